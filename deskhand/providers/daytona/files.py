"""Large files: the toolbox moves their bytes, commands put them in their place at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from pydantic_core import from_json, to_json

from deskhand.errors import NotFoundError, ProtocolError, ProviderError
from deskhand.providers.daytona.api import NAME, OPERATIONS, DaytonaApi
from deskhand.providers.http.forms import file_form
from deskhand.providers.shell_commands import ShellCommands
from deskhand.providers.shell_files import ShellFiles

__all__ = ["DaytonaFiles"]

_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?')


class DaytonaFiles(ShellFiles):
    """The files of one computer."""

    def __init__(self, api: DaytonaApi, commands: ShellCommands, computer_id: str) -> None:
        super().__init__(NAME, commands)
        self._api = api
        self._computer_id = computer_id

    async def _fetched(self, path: str, copy: str, length: int, part: int) -> bytes:
        del length, part
        url = await self._api.toolbox(self._computer_id, "files/bulk-download")
        operation = OPERATIONS["download a file"]
        try:
            reply = await self._api.http.ask(operation, url, {"paths": [copy]})
        except NotFoundError as error:
            raise await self._api.missing(error, operation.name, self._computer_id) from error
        for name, data in _parts(reply.headers, reply.data):
            if name == "file":
                return data
            if name == "error":
                raise ProviderError(f"{path} could not be read: {_said(data)}", provider=NAME, effect="no")
        raise self._garbled(path)

    async def _put(self, path: str, place: str, content: bytes) -> None:
        url = await self._api.toolbox(self._computer_id, "files/bulk-upload")
        operation = OPERATIONS["write a part of a file"]
        body, kind = file_form(
            place, content, path_field="files[0].path", file_field="files[0].file", filename=quote(place)
        )
        try:
            reply = await self._api.http.ask(operation, url, content=body, headers=[kind])
        except NotFoundError as error:
            raise await self._api.missing(error, operation.name, self._computer_id) from error
        failed = _errors(reply.data)
        if failed:
            raise ProviderError(
                f"{path} could not be written: {failed}",
                hint="see that the disk has space left",
                provider=NAME,
                effect="no",
            )


def _parts(headers: Mapping[str, str], data: bytes) -> list[tuple[str, bytes]]:
    """Return the name and content of each part of a form.

    Raises:
        ProtocolError: If it is none.
    """
    found = _BOUNDARY.search(headers.get("content-type", ""))
    if found is None:
        raise ProtocolError("daytona answered with no form when asked for a file", provider=NAME, effect="no")
    mark = b"\r\n--" + found[1].encode()
    parts: list[tuple[str, bytes]] = []
    for part in (b"\r\n" + data).split(mark)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        parts.append((name[1].decode(errors="replace") if name else "", content))
    return parts


def _errors(data: bytes) -> str:
    """Return what an upload says went wrong; nothing where all went well."""
    try:
        answer = from_json(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ProtocolError("daytona's answer to an upload is no JSON object", provider=NAME, effect="unknown")
    errors = answer.get("errors")
    return to_json(errors).decode()[:500] if errors else ""


def _said(data: bytes) -> str:
    try:
        told = from_json(data)
    except ValueError:
        told = None
    message = told.get("message") if isinstance(told, dict) else None
    return message[:500] if isinstance(message, str) else "it does not say why"
