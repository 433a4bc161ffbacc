"""What the server's commands about files do, on the machine behind."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from typing import Any

from deskhand.errors import DeskhandError, FileMissingError
from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.wire import Json

__all__ = ["Files"]


class Files:
    """The files of one machine."""

    def __init__(self, machine: ExternalComputer) -> None:
        self._machine = machine

    async def file_exists(self, path: str) -> Json:
        """Tells whether there is a file."""
        return {"exists": await self._kind(path) == "file"}

    async def directory_exists(self, path: str) -> Json:
        """Tells whether there is a folder."""
        return {"exists": await self._kind(path) == "directory"}

    async def list_dir(self, path: str) -> Json:
        """Lists the names of files and folders."""
        entries = await self._machine.list_dir(path)
        return {"files": [entry.path.rsplit("/", 1)[-1] for entry in entries if entry.kind in {"file", "directory"}]}

    async def read_text(self, path: str) -> Json:
        """Reads text."""
        return {"content": (await self._machine.read_bytes(path)).decode()}

    async def write_text(self, path: str, content: str) -> Json:
        """Writes text."""
        await self._machine.write_file(path, content)
        return {}

    async def read_bytes(self, path: str, offset: int = 0, length: int | None = None) -> Json:
        """Reads bytes."""
        data = await self._machine.read_bytes(path)
        data = data[offset:] if length is None else data[offset : offset + length]
        return {"content_b64": base64.b64encode(data).decode()}

    async def write_bytes(self, path: str, content_b64: str, append: bool = False) -> Json:
        """Writes bytes, over a file or behind its end."""
        data = base64.b64decode(content_b64)
        if append:
            done = await self._machine.exec(f"cat >> {shlex.quote(path)}", stdin=data)
            if done.exit_code:
                raise DeskhandError(done.output.strip())
        else:
            await self._machine.write_file(path, data)
        return {}

    async def get_file_size(self, path: str) -> Json:
        """Tells a file's size."""
        return {"size": (await self._machine.stat(path)).size}

    async def create_dir(self, path: str) -> Json:
        """Makes a folder and those above it."""
        return await self._run("mkdir -p", path)

    async def delete_file(self, path: str) -> Json:
        """Deletes a file."""
        if await self._kind(path) == "directory":
            raise DeskhandError(f"[Errno 21] Is a directory: {path!r}")
        await self._machine.delete(path)
        return {}

    async def delete_dir(self, path: str) -> Json:
        """Deletes a folder that is empty."""
        if await self._kind(path) == "file":
            raise DeskhandError(f"[Errno 20] Not a directory: {path!r}")
        await self._machine.delete(path)
        return {}

    async def _run(self, program: str, path: str) -> Json:
        done = await self._machine.exec(f"{program} {shlex.quote(path)}")
        if done.exit_code:
            raise DeskhandError(done.output.strip())
        return {}

    async def _kind(self, path: str) -> str | None:
        try:
            return (await self._machine.stat(path)).kind
        except FileMissingError:
            return None


def said(error: DeskhandError, params: Mapping[str, Any]) -> str:
    """Returns an error in the words of the server's own file system."""
    if isinstance(error, FileMissingError):
        return f"[Errno 2] No such file or directory: {params.get('path')!r}"
    return error.message
