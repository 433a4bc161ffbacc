"""MIOSA's route for commands, what its answers mean, and files by commands and by the vendor's own routes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from anyio import to_thread
from pydantic import JsonValue

from deskhand.errors import PayloadTooLargeError, UnsupportedError
from deskhand.providers.answers import no_result
from deskhand.providers.http.forms import file_form
from deskhand.providers.miosa.api import NAME, MiosaApi
from deskhand.providers.miosa.envelope import unwrapped
from deskhand.providers.shell_commands import Line, Ran, ShellCommands
from deskhand.providers.shell_files import ShellFiles

__all__ = ["MiosaFiles", "SandboxFiles", "line_to", "ran"]


def line_to(api: MiosaApi, computer_id: str) -> Line:
    """Return what runs scripts on a computer."""

    async def run(
        operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        body = {"command": script, "timeout": seconds}
        answer = await api.act(operation, computer_id, "exec", body, deadline=deadline, is_urgent=is_urgent)
        return ran(unwrapped(answer))

    return run


def ran(answer: Mapping[str, JsonValue]) -> Ran:
    """Read what came of a command: servers name its output and its exit code in two ways.

    Raises:
        ProviderError: If the answer says that there is none.
        ProtocolError: If it is not the vendor's.
    """
    output, stderr = answer.get("stdout", answer.get("output")), answer.get("stderr")
    code = answer.get("exit_code", answer.get("exitCode"))
    is_told = isinstance(code, int) and not isinstance(code, bool)
    if not isinstance(output, str) or not (is_told or isinstance(answer.get("success"), bool)):
        raise no_result(NAME, "run a command", answer)
    error = answer.get("error")
    return Ran(
        output,
        int(str(code)) if is_told else (0 if answer.get("success") is True else 1),
        None if is_told or not isinstance(error, str) else error[:500],
        stderr if isinstance(stderr, str) else None,
    )


class MiosaFiles(ShellFiles):
    """The files of one computer: what is large goes by the vendor's routes, whole, and the rest within commands."""

    download: ClassVar[str] = "files/download"
    upload: ClassVar[str] = "files/upload"

    def __init__(self, api: MiosaApi, commands: ShellCommands, computer_id: str) -> None:
        super().__init__(NAME, commands)
        self._api = api
        self._computer_id = computer_id

    async def _fetched(self, path: str, copy: str, length: int, part: int) -> bytes:
        if self.download not in self._api.missing:
            route = f"{self.download}?path={quote(copy, safe='')}"
            try:
                reply = await self._api.ask("download a file", self._computer_id, route)
            except UnsupportedError:
                pass  # which is remembered
            else:
                if len(reply.data) == length:
                    return reply.data
        return await super()._fetched(path, copy, length, part)

    async def _put(self, path: str, place: str, content: bytes) -> None:
        if self.upload not in self._api.missing and place.isprintable():
            try:
                await self._uploaded(place, content)
            except (UnsupportedError, PayloadTooLargeError):
                pass
            else:
                return
        await super()._put(path, place, content)

    async def _uploaded(self, place: str, content: bytes) -> None:
        body, kind = file_form(place, content)
        await self._api.ask("upload a file", self._computer_id, self.upload, content=body, headers=[kind])


class SandboxFiles(MiosaFiles):
    """The files of one sandbox, whose routes for them are others."""

    download = "fs/download"
    upload = "fs/write"

    async def _uploaded(self, place: str, content: bytes) -> None:
        data = (await to_thread.run_sync(base64.b64encode, content)).decode()
        await self._api.ask("upload a file", self._computer_id, self.upload, {"path": place, "content_base64": data})
