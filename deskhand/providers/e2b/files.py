"""Files: bytes over the daemon's route for them, put in their place at once by a move."""

from __future__ import annotations

import posixpath
import secrets
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final, Literal

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    PayloadTooLargeError,
    ProtocolError,
    ProviderError,
)
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import FileInfo
from deskhand.providers.e2b.api import MAX_FILE, NAME, OPERATIONS, E2BApi
from deskhand.providers.e2b.processes import Processes

__all__ = ["Files"]

_SERVICE: Final = "filesystem.Filesystem"
_PLAIN: Final = 0o644
_KINDS: Final[Mapping[str, Literal["file", "directory", "symlink"]]] = {
    "FILE_TYPE_FILE": "file",
    "FILE_TYPE_DIRECTORY": "directory",
    "FILE_TYPE_SYMLINK": "symlink",
}
_LATE: Final = 0.3
"""Seconds in which a request that was broken off may still be carried out."""
_ROOTS: Final = frozenset({"/", ".", "~", ""})


class Files:
    """The files of one sandbox."""

    def __init__(self, api: E2BApi, processes: Processes) -> None:
        self._api = api
        self._processes = processes

    async def read(self, path: str) -> bytes:
        """Read a regular file, whole."""
        return await self._processes.daemon.get(OPERATIONS["read a file"], "/files", path=_checked(path))

    async def write(self, path: str, content: bytes) -> None:
        """Write a file beside its place and move it there; a link is written through."""
        if len(content) > MAX_FILE:
            raise PayloadTooLargeError(f"{path}: {len(content)} bytes are more than {MAX_FILE}", provider=NAME)
        place, mode = await self._place(path)
        beside = posixpath.join(posixpath.dirname(place), f".deskhand-{secrets.token_hex(8)}")
        is_put = is_moved = False
        try:
            await self._put(beside, content)
            is_put = True
            if mode not in {None, _PLAIN}:
                changed = await self._processes.run(f"chmod {mode:o} -- {shlex.quote(beside)}")
                if not changed.ok:  # who could not read the file before could then
                    raise ProviderError(f"{path} cannot have its mode {mode:o} again", provider=NAME, effect="no")
            await self._call("move a file", "Move", {"source": beside, "destination": place})
            is_moved = True
        finally:
            if not is_moved:
                await self._api.in_background(lambda: self._discard(beside, is_put=is_put))

    async def _place(self, path: str) -> tuple[str, int | None]:
        """Return where a file's bytes are, and its mode where it is there."""
        try:
            entry = await self._entry(path)
        except FileMissingError:
            return path, None
        target = entry.get("symlinkTarget")
        if isinstance(target, str) and target:
            return await self._place(target) if target != path else (path, None)
        kind = _KINDS.get(str(entry.get("type")))
        if kind != "file":
            what = "a directory" if kind == "directory" else "not a regular file"
            raise InvalidInputError(f"{path} is {what}", provider=NAME)
        mode = entry.get("mode")
        return path, mode & 0o7777 if isinstance(mode, int) else None

    @asynccontextmanager
    async def given(self, stdin: bytes | None) -> AsyncIterator[str]:
        """Give the file that a command's input is in; empty where there is none.

        The command removes it as it begins, and whoever ends one too; what breaks off before that is made up for.
        """
        if not stdin:
            yield ""
            return
        place = f"/tmp/.deskhand-{secrets.token_hex(8)}"  # noqa: S108 (in the sandbox, with a name nobody guesses)
        is_put = is_done = False
        try:
            await self._put(place, stdin)
            is_put = True
            yield place
            is_done = True
        finally:
            if not is_done:
                await self._api.in_background(lambda: self._discard(place, is_put=is_put))

    async def _put(self, path: str, content: bytes) -> None:
        answer = await self._processes.daemon.put(OPERATIONS["write a file"], "/files", content, path=_checked(path))
        try:
            written = from_json(answer)
        except ValueError:
            written = None
        if not isinstance(written, list) or not written:
            raise ProtocolError(f"e2b does not say that {path} was written", provider=NAME)

    async def _discard(self, path: str, *, is_put: bool) -> None:
        if not is_put:
            await anyio.sleep(_LATE)
        with suppress(DeskhandError):  # the sandbox is gone, or cannot be reached: nobody can do more
            await self._call("remove a file", "Remove", {"path": path})

    async def list(self, path: str) -> list[FileInfo]:
        """List a directory, sorted by name."""
        answer = await self._call("list a folder", "ListDir", {"path": _checked(path), "depth": 1})
        entries = answer.get("entries", [])
        if not isinstance(entries, list):
            raise ProtocolError(f"e2b lists no entries of {path}", provider=NAME, effect="no")
        found = [_info(posixpath.join(path, str(one.get("name"))), one) for one in entries if isinstance(one, dict)]
        return sorted(found, key=lambda info: info.path)

    async def stat(self, path: str) -> FileInfo:
        """Look at a path; a link is told as such."""
        return _info(path, await self._entry(path))

    async def delete(self, path: str, *, recursive: bool) -> None:
        """Delete a file, an empty directory, or a directory and all in it; the daemon itself deletes all at once."""
        entry = await self._entry(path)
        if posixpath.normpath(path) in _ROOTS or entry.get("path") in ("/", (await self._entry("~")).get("path")):
            raise InvalidInputError(f"{path!r} is the sandbox's root or home folder", provider=NAME)
        if not recursive and _info(path, entry).kind == "directory":
            removed = await self._processes.run(f"rmdir -- {shlex.quote(str(entry.get('path')))}")
            if not removed.ok:
                raise InvalidInputError(
                    f"{path}: the directory is not empty", hint="recursive=True deletes all in it", provider=NAME
                )
            return
        await self._call("remove a file", "Remove", {"path": path})

    async def _entry(self, path: str) -> JsonObject:
        entry = (await self._call("describe a file", "Stat", {"path": _checked(path)})).get("entry")
        if not isinstance(entry, dict):
            raise ProtocolError(f"e2b does not describe {path}", provider=NAME, effect="no")
        return entry

    async def _call(self, operation: str, method: str, message: Mapping[str, object]) -> JsonObject:
        return await self._processes.daemon.call(OPERATIONS[operation], f"{_SERVICE}/{method}", message)


def _checked(path: str) -> str:
    if not path or "\0" in path:
        raise InvalidInputError(f"{path!r} is no path")
    return path


def _info(path: str, entry: Mapping[str, JsonValue]) -> FileInfo:
    is_link = entry.get("isSymlink") is True or bool(entry.get("symlinkTarget"))
    mode, size, modified = entry.get("mode"), entry.get("size", "0"), entry.get("modifiedTime")
    try:
        return FileInfo(
            path=path,
            kind="symlink" if is_link else _KINDS.get(str(entry.get("type")), "other"),
            size=int(str(size)),
            modified_at=datetime.fromisoformat(modified) if isinstance(modified, str) else None,
            mode=mode & 0o7777 if isinstance(mode, int) else None,
        )
    except ValueError as error:
        raise ProtocolError(f"e2b describes {path} in a way that cannot be read", provider=NAME, effect="no") from error
