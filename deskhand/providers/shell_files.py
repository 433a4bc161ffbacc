"""Files over commands: byte for byte, in base64, put in their place at once."""

from __future__ import annotations

import base64
import binascii
import builtins
import hashlib
import posixpath
import secrets
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Literal

import anyio

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
)
from deskhand.providers.contract import FileInfo
from deskhand.providers.shell_commands import INLINE, ShellCommands, inline_input

__all__ = ["MAX_FILE", "ShellFiles"]

MAX_FILE: Final = 100 * 1024 * 1024
"""Bytes of a file that can be read or written at once."""

_AT_ONCE: Final = 4
_LARGE_PART: Final = 1 << 20
"""Bytes that are read at once: an output has no such bound as a command line."""
_FORMAT: Final = r"%y\t%s\t%T@\t%m\t%f\0"
_KINDS: Final[dict[str, Literal["file", "directory", "symlink"]]] = {"f": "file", "d": "directory", "l": "symlink"}

_MISSING, _FOLDER, _SPECIAL, _DENIED, _LARGE, _FULL, _NO_FOLDER, _ROOT, _NOT_EMPTY, _DAMAGED = range(71, 81)

_LATE: Final = 0.3
"""Seconds in which a request that was broken off may still be carried out."""
_READ: Final = rf"""
[ -e "$p" ] || exit {_MISSING}
[ -d "$p" ] && exit {_FOLDER}
[ -f "$p" ] || exit {_SPECIAL}
[ -r "$p" ] || exit {_DENIED}
s=$(stat -L -c %s -- "$p") || exit {_MISSING}
if [ "$s" -le {INLINE} ]; then printf '%s\n' inline; base64 -w0 < "$p"; exit; fi
[ "$s" -le {MAX_FILE} ] || exit {_LARGE}
t=@COPY@; umask 077; cp -- "$p" "$t" || {{ rm -f -- "$t"; exit {_FULL}; }}
printf '%s %s ' "$t" "$(stat -c %s "$t")"; sha256sum < "$t"
"""
_PREPARE: Final = rf"""
[ -L "$p" ] && p=$(readlink -m -- "$p")
[ -d "$p" ] && exit {_FOLDER}
[ -e "$p" ] && [ ! -f "$p" ] && exit {_SPECIAL}
d=${{p%/*}}; d=${{d:-/}}
mkdir -p -- "$d" || {{ while [ ! -e "$d" ]; do d=${{d%/*}}; done; [ -d "$d" ] && exit {_DENIED} || exit {_NO_FOLDER}; }}
t=$d/.deskhand-@TOKEN@
"""
_COMMIT: Final = rf"""
[ -e "$p" ] && chmod --reference="$p" -- "$t"
mv -fT -- "$t" "$p" || {{ rm -f -- "$t"; exit {_DENIED}; }}
"""
_LIST: Final = rf"""
[ -e "$p" ] || exit {_MISSING}
[ -d "$p" ] || exit {_NO_FOLDER}
[ -r "$p" ] || exit {_DENIED}
find "$p/" -mindepth 1 -maxdepth 1 -printf '{_FORMAT}' | base64 -w0
"""
_STAT: Final = rf"""
[ -e "$p" ] || [ -L "$p" ] || exit {_MISSING}
find "$p" -maxdepth 0 -printf '{_FORMAT}' | base64 -w0
"""
_DELETE: Final = rf"""
[ -e "$p" ] || [ -L "$p" ] || exit {_MISSING}
r=$(realpath -s -- "$p"); [ "$r" = / ] || [ "$r" = "$PWD" ] && exit {_ROOT}
if [ ! -d "$p" ] || [ -L "$p" ]; then rm -f -- "$p" || exit {_DENIED}
elif [ -n "@RECURSIVE@" ]; then rm -rf --one-file-system -- "$p"; [ -e "$p" ] && exit {_DENIED} || exit 0
else rmdir -- "$p" || {{ [ -n "$(ls -A -- "$p")" ] && exit {_NOT_EMPTY} || exit {_DENIED}; }}
fi
"""


class ShellFiles:
    """The files of one computer.

    A vendor with a way of its own to move many bytes overrides `_fetched` and `_put`.

    Args:
        provider: Whose it is, as errors say it.
        commands: Runs scripts there.
    """

    def __init__(self, provider: str, commands: ShellCommands) -> None:
        self._provider = provider
        self._commands = commands

    async def read(self, path: str) -> bytes:
        """Read a regular file, whole: a large one is first copied, so that nobody changes it under the reader."""
        copy = _new_place()
        is_told, is_copied = False, True  # as long as nobody says that it is not
        try:
            output = await self._run("read a file", path, _READ.replace("@COPY@", copy))
            head, _, rest = output.partition("\n")
            if head == "inline":
                is_copied = False
                return self._decoded(rest, path)
            length, digest = self._described(head, copy, path)
            is_told = True
            try:
                return self._whole(await self._fetched(path, copy, length, _LARGE_PART), path, length, digest)
            except ProtocolError:  # a server may cut long outputs
                return self._whole(await self._fetched(path, copy, length, INLINE), path, length, digest)
        except (FileMissingError, InvalidInputError, PermissionDeniedError):
            is_copied = is_told
            raise
        finally:
            if is_copied:
                await self._commands.in_background(lambda: self._forget(copy, is_late=not is_told))

    def _described(self, head: str, copy: str, path: str) -> tuple[int, str]:
        """Return the length and the digest of a copy."""
        try:
            place, size, digest = head.split()[:3]
            length = int(size)
        except ValueError as error:
            raise self._garbled(path) from error
        if place != copy:
            raise self._garbled(path)
        return length, digest

    def _whole(self, data: bytes, path: str, length: int, digest: str) -> bytes:
        if len(data) != length or hashlib.sha256(data).hexdigest() != digest:
            raise self._garbled(path)
        return data

    async def _fetched(self, path: str, copy: str, length: int, part: int) -> bytes:
        """Fetch a copy in parts of so many bytes."""
        parts: dict[int, bytes] = {}
        count = -(-length // part)

        async def fetch(index: int) -> None:
            script = f"dd if={shlex.quote(copy)} bs={part} skip={index} count=1 2>/dev/null | base64 -w0"
            output, code = await self._commands.plain("read a file", script)
            if code:
                raise self._garbled(path)
            parts[index] = self._decoded(output, path)

        await _all(fetch, range(count))
        return b"".join(parts[index] for index in range(count))

    async def write(self, path: str, content: bytes) -> None:
        """Write a file beside its place and put it there at once."""
        if len(content) > MAX_FILE:
            raise PayloadTooLargeError(
                f"{path}: {len(content)} bytes are more than {MAX_FILE}", provider=self._provider
            )
        prepare = _PREPARE.replace("@TOKEN@", secrets.token_hex(6))
        if len(content) <= INLINE:
            data = base64.b64encode(content).decode()
            put = f'printf %s {data} | base64 -d > "$t" || {{ rm -f -- "$t"; exit {_FULL}; }}'
            await self._run("write a part of a file", path, prepare + put + _COMMIT)
            return
        async with self._staged(path, prepare, content):
            check = f'[ "$(sha256sum < "$t")" = "{hashlib.sha256(content).hexdigest()}  -" ]'
            commit = f'{check} || {{ rm -f -- "$t"; exit {_DAMAGED}; }}'
            await self._run("run a command", path, prepare + commit + _COMMIT)

    @asynccontextmanager
    async def _staged(self, path: str, prepare: str, content: bytes) -> AsyncIterator[None]:
        """Hold a large content at the place that a script calls ``$t``; nothing is left of it where something fails."""
        is_put = is_done = False
        try:
            begin = f'{prepare}: > "$t" || exit {_DENIED}; readlink -f -- "$t" | base64 -w0'
            place = self._decoded(await self._run("write a part of a file", path, begin), path)
            await self._put(path, place.decode(errors="surrogateescape").removesuffix("\n"), content)
            is_put = True
            yield
            is_done = True
        finally:
            if not is_done:
                await self._commands.in_background(lambda: self._discard(path, prepare, is_put=is_put))

    async def _put(self, path: str, place: str, content: bytes) -> None:
        """Write a content to an empty file, in parts."""

        async def put(index: int) -> None:
            data = base64.b64encode(content[index * INLINE : (index + 1) * INLINE]).decode()
            into = f"dd of={shlex.quote(place)} bs={INLINE} seek={index} conv=notrunc,nocreat iflag=fullblock"
            script = f"set -o pipefail; printf %s {data} | base64 -d | {into} || exit {_FULL}"
            await self._run("write a part of a file", path, script)

        await _all(put, range(-(-len(content) // INLINE)))

    async def stage_input(self, content: bytes) -> str:
        """Put a command's long input into a file of its own; return the file's place."""
        place = _new_place()
        async with self._staged(place, f"t={place}\n", content):
            return place

    @asynccontextmanager
    async def given(self, stdin: bytes | None, *, inline: int = INLINE) -> AsyncIterator[str | None]:
        """Give the redirection of a command's input; what is long lies in a file for as long as the block lasts.

        Args:
            stdin: The input; ``None`` for none.
            inline: Bytes that travel inside the command.
        """
        if stdin is None or len(stdin) <= inline:
            yield None if stdin is None else inline_input(stdin)
            return
        place = await self.stage_input(stdin)
        try:
            yield f"< {place}"
        finally:
            await self.forget(place)

    async def list(self, path: str) -> list[FileInfo]:
        """List a directory, sorted by name."""
        found = self._entries(await self._run("read a file", path, _LIST), path)
        return sorted(
            (self._info(posixpath.join(path, name), fields) for name, fields in found), key=lambda info: info.path
        )

    async def stat(self, path: str) -> FileInfo:
        """Look at a path; a link is told as such."""
        for _, fields in self._entries(await self._run("read a file", path, _STAT), path):
            return self._info(path, fields)
        raise self._garbled(path)

    async def delete(self, path: str, *, recursive: bool) -> None:
        """Delete a file, an empty directory, or a directory and all in it."""
        await self._run("run a command", path, _DELETE.replace("@RECURSIVE@", "1" if recursive else ""))

    async def _run(self, operation: str, path: str, script: str) -> str:
        """Run a script about a path, ``$p``; return what it prints."""
        output, code = await self._commands.plain(
            operation, f"exec 2>/dev/null </dev/null\ncd\np={shlex.quote(_place(path))}\n{script}"
        )
        if code:
            raise _error(self._provider, code, path)
        return output

    async def forget(self, place: str) -> None:
        """Delete a file of our own, whatever becomes of whoever asked for it."""
        await self._commands.in_background(lambda: self._forget(place))

    async def _forget(self, copy: str, *, is_late: bool = False) -> None:
        if is_late:
            await anyio.sleep(_LATE)
        with suppress(DeskhandError):  # it lies in /tmp, which is emptied
            await self._commands.plain("write a part of a file", f"rm -f -- {shlex.quote(copy)}", is_urgent=True)

    async def _discard(self, path: str, prepare: str, *, is_put: bool) -> None:
        if not is_put:
            await anyio.sleep(_LATE)
        with suppress(DeskhandError):  # the computer is gone, or cannot be reached: nobody can do more
            await self._run("write a part of a file", path, f'{prepare}rm -f -- "$t"')

    def _decoded(self, text: str, path: str) -> bytes:
        try:
            return binascii.a2b_base64(text, strict_mode=True) if text else b""
        except (binascii.Error, ValueError) as error:
            raise self._garbled(path) from error

    def _entries(self, output: str, path: str) -> builtins.list[tuple[str, builtins.list[str]]]:
        """Return name and fields of each entry."""
        found = []
        for line in self._decoded(output, path).split(b"\0"):
            fields = line.decode(errors="surrogateescape").split("\t", 4)
            if len(fields) == 5:
                found.append((fields[4], fields))
        return found

    def _info(self, path: str, fields: builtins.list[str]) -> FileInfo:
        try:
            return FileInfo(
                path=path,
                kind=_KINDS.get(fields[0], "other"),
                size=int(fields[1]),
                modified_at=datetime.fromtimestamp(float(fields[2]), UTC),
                mode=int(fields[3], 8),
            )
        except (ValueError, OverflowError) as error:
            raise self._garbled(path) from error

    def _garbled(self, path: str) -> ProtocolError:
        return ProtocolError(
            f"{path} did not arrive whole",
            hint="try again; if it stays, move it by parts with exec",
            provider=self._provider,
        )


async def _all(do: Callable[[int], Awaitable[None]], indexes: Iterable[int]) -> None:
    """Do something for each index, some at once; the first error counts."""
    waiting = iter(indexes)
    failed: list[DeskhandError] = []

    async def work(tasks: anyio.abc.TaskGroup) -> None:
        try:
            for index in waiting:
                await do(index)
        except DeskhandError as error:
            failed.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(_AT_ONCE):
            tasks.start_soon(work, tasks)
    if failed:
        raise failed[0]


def _new_place() -> str:
    """Return where a file of our own can lie on the computer: under a name that nobody guesses."""
    return f"/tmp/.deskhand-{secrets.token_hex(8)}"  # noqa: S108


def _place(path: str) -> str:
    """Return a path as a script can take it: relative ones begin at the home folder, where scripts start."""
    if not path or "\0" in path:
        raise InvalidInputError(f"{path!r} is no path")
    if path == "~" or path.startswith("~/"):
        path = path[2:] or "."
    return path if path.startswith("/") else f"./{path}"


def _error(provider: str, code: int, path: str) -> DeskhandError:
    match code:
        case 71:
            return FileMissingError(f"there is no {path} on the computer", provider=provider)
        case 72:
            return InvalidInputError(
                f"{path} is a directory, not a regular file", hint="list_dir lists it", provider=provider
            )
        case 73:
            return InvalidInputError(f"{path} is not a regular file", hint="use exec for it", provider=provider)
        case 74:
            return PermissionDeniedError(f"{path}: permission denied", provider=provider)
        case 75:
            return PayloadTooLargeError(
                f"{path} has more than {MAX_FILE} bytes", hint="read a part of it with exec", provider=provider
            )
        case 77:
            return InvalidInputError(f"{path} is, or lies below, what is no directory", provider=provider)
        case 78:
            return InvalidInputError(f"{path!r} is the computer's root or home folder", provider=provider)
        case 79:
            return InvalidInputError(
                f"{path}: the directory is not empty", hint="recursive=True deletes all in it", provider=provider
            )
        case _:
            return ProviderError(
                f"{path} could not be copied whole (status {code})",
                hint="see that the disk has space left",
                provider=provider,
                effect="no",
            )
