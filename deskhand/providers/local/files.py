"""Files of a local computer: opened inside its sandbox, so that no path leads out of what it sees."""

from __future__ import annotations

import errno
import os
import posixpath
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

import anyio
import anyio.to_thread

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderError,
)
from deskhand.providers.contract import FileInfo
from deskhand.providers.local.commands import run_command
from deskhand.providers.local.sandbox import Answer, Sandbox, out_of_descriptors

__all__ = ["Files"]

MAX_FILE: Final = 100 * 1024 * 1024
"""Bytes of a file that can be read or written at once."""

MAX_ENTRIES: Final = 100_000
"""Entries of a directory that can be listed."""

_READ = 1 << 20
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")
_WRONG_PATH = {
    errno.ENOTDIR: "one of its folders is a file",
    errno.EEXIST: "one of its folders is a file",
    errno.EISDIR: "it is a directory",
    errno.ELOOP: "its links go in a circle",
    errno.ENAMETOOLONG: "it is too long",
    errno.ENOTEMPTY: "the directory is not empty",
    errno.EINVAL: "no file can be called that",
    errno.EBUSY: "it is in use by the system",
    errno.ENXIO: "it is not a regular file",
}


class Files:
    """The file operations of one computer; relative paths start at its home folder."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def read(self, path: str) -> bytes:
        """Read a regular file."""
        with self._mapped(path):
            return await _in_thread((await self._open(path, "read")).descriptors[0], _read_all, path)

    async def write(self, path: str, content: bytes) -> None:
        """Write a file beside its place and put it there at once."""
        if len(content) > MAX_FILE:
            raise PayloadTooLargeError(f"{path}: {len(content)} bytes are more than {MAX_FILE}", provider="local")
        with self._mapped(path):
            place = {"path": self._absolute(path), "token": secrets.token_hex(6)}
            committed = False
            try:
                answer = await self._sandbox.request("create", **place)
                self._check_kind(answer, path)
                await _in_thread(answer.descriptors[0], _write_all, content)
                await self._sandbox.request("commit", **place)
                committed = True
            finally:
                if not committed:
                    self._sandbox.request_nowait("discard", **place)

    async def list(self, path: str) -> list[FileInfo]:
        """List a directory."""
        with self._mapped(path):
            return await _in_thread((await self._open(path, "directory")).descriptors[0], _list, path)

    async def stat(self, path: str) -> FileInfo:
        """Look at a path; a link is told as such, not followed."""
        descriptor = (await self._open(path, "look")).descriptors[0]
        try:
            return _info(path, os.fstat(descriptor))
        finally:
            os.close(descriptor)

    async def delete(self, path: str, *, recursive: bool) -> None:
        """Delete a file, an empty directory, or a directory and all in it."""
        place = posixpath.normpath(self._absolute(path))
        if place in {"/", self._sandbox.home}:
            raise InvalidInputError(f"{path!r} is the computer's {'root' if place == '/' else 'home'} folder")
        info = await self.stat(path)
        if not (recursive and info.kind == "directory"):
            try:
                with self._mapped(path):
                    await self._sandbox.request("delete", path=place)
            except InvalidInputError as error:
                if info.kind == "directory":
                    raise InvalidInputError(error.message, hint="recursive=True deletes all in it") from error
                raise
            return
        result = await run_command(
            self._sandbox, 'exec rm -rf --one-file-system -- "$PATH_TO_DELETE"', env={"PATH_TO_DELETE": place}
        )
        if not result.ok:
            said = (result.stderr or "").strip().splitlines()
            raise PermissionDeniedError(
                f"{path} could not be deleted whole: {result.error or (said[-1] if said else 'rm failed')}",
                provider="local",
                effect="unknown",
            )

    def _absolute(self, path: str) -> str:
        if not path or "\0" in path:
            raise InvalidInputError(f"{path!r} is no path")
        if path == "~" or path.startswith("~/"):
            path = path[2:] or "."
        # Not normalised: `..` after a link means what the link points to.
        return posixpath.join(self._sandbox.home, path)

    async def _open(self, path: str, kind: Literal["read", "directory", "look"]) -> Answer:
        with self._mapped(path):
            answer = await self._sandbox.request("open", path=self._absolute(path), kind=kind)
        self._check_kind(answer, path)
        return answer

    def _check_kind(self, answer: Answer, path: str) -> None:
        if "refused" in answer.fields:
            what = answer.fields["refused"]
            hint = "list_dir lists it" if what == "a directory" else "use exec for what is not a regular file"
            raise InvalidInputError(f"{path} is {what}, not a regular file", hint=hint, provider="local")

    @contextmanager
    def _mapped(self, path: str) -> Iterator[None]:
        """Say in the package's own errors what the operating system said."""
        try:
            yield
        except DeskhandError:
            raise
        except OSError as error:
            raise _mapped_error(error, path) from error


async def _in_thread(descriptor: int, function: Callable[[int, ArgumentT], ResultT], argument: ArgumentT) -> ResultT:
    """Work on a descriptor in a thread and close it, there: a cancelled caller must not close it under the thread."""
    claim = threading.Lock()

    def work() -> ResultT:
        if not claim.acquire(blocking=False):
            raise ConnectionAbortedError  # nobody waits any more
        try:
            return function(descriptor, argument)
        finally:
            os.close(descriptor)

    try:
        return await anyio.to_thread.run_sync(work)
    finally:
        if claim.acquire(blocking=False):  # it was not even begun
            os.close(descriptor)


def _mapped_error(error: OSError, path: str) -> DeskhandError:
    if error.errno == errno.ENOENT:
        return FileMissingError(f"there is no {path} on the computer", provider="local")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return PermissionDeniedError(f"{path}: {(error.strerror or '').lower()}", provider="local")
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return ProviderError(
            f"{path} was not written: {(error.strerror or '').lower()}",
            hint="free some space, or set TMPDIR to a larger disk",
            provider="local",
            effect="no",
        )
    if error.errno in _WRONG_PATH:
        return InvalidInputError(f"{path}: {_WRONG_PATH[error.errno]}", provider="local")
    return out_of_descriptors(error)


def _read_all(descriptor: int, path: str) -> bytes:
    size = os.fstat(descriptor).st_size
    parts: list[bytes] = []
    total = 0
    if size <= MAX_FILE:
        while data := os.read(descriptor, _READ):
            parts.append(data)
            total += len(data)
            if total > MAX_FILE:  # it grows while it is read
                break
    if max(size, total) > MAX_FILE:
        raise PayloadTooLargeError(
            f"{path} has {max(size, total)} bytes; at most {MAX_FILE} can be read at once",
            hint="read a part of it with exec (head, tail, dd)",
            provider="local",
        )
    return b"".join(parts)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _list(descriptor: int, path: str) -> list[FileInfo]:
    found: list[FileInfo] = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if len(found) == MAX_ENTRIES:
                raise PayloadTooLargeError(
                    f"{path} has more than {MAX_ENTRIES} entries", hint="list a part of it with exec", provider="local"
                )
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since it was listed
            found.append(_info(posixpath.join(path, entry.name), status))
    return sorted(found, key=lambda info: info.path)


def _info(path: str, status: os.stat_result) -> FileInfo:
    kinds: tuple[tuple[bool, Literal["file", "directory", "symlink", "other"]], ...] = (
        (stat.S_ISREG(status.st_mode), "file"),
        (stat.S_ISDIR(status.st_mode), "directory"),
        (stat.S_ISLNK(status.st_mode), "symlink"),
        (True, "other"),
    )
    return FileInfo(
        path=path,
        kind=next(kind for is_kind, kind in kinds if is_kind),
        size=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        mode=stat.S_IMODE(status.st_mode),
    )
