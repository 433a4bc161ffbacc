"""A streamed command, whichever way its output comes: byte for byte, although MIOSA sends text.

Its output travels in base64, line by line, which a few lines of shell around it see to.
"""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator
from typing import Final, Literal, Protocol, TypeAlias

import anyio

from deskhand.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    ProtocolError,
)
from deskhand.providers.contract import ExecChunk, ExecStream
from deskhand.providers.execution import timed_out
from deskhand.providers.miosa.api import NAME
from deskhand.providers.shell_commands import Marked, ShellCommands

__all__ = ["MiosaExecStream", "Piece", "Pieces", "streamed"]

Piece: TypeAlias = tuple[Literal["stdout", "stderr"], str]
"""A stream and what came of it."""

_NO_FOLDER: Final = 97
_LONGEST: Final = 1 << 17
"""Characters of one line at most: twice what the bytes of one are in base64."""

_STREAMED: Final = """\
packed() {
  local piece
  while piece=$(dd bs=@BYTES@ count=1 2>/dev/null | base64 -w0) && [ -n "$piece" ]; do printf '%s\\n' "$piece"; done
}
exec 4>&2
{
  bash -c @SCRIPT@ 2>&1 1>&5 4>&- 5>&- | packed 1>&4 5>&-
  exit "${PIPESTATUS[0]}"
} 5>&1 | packed
exit "${PIPESTATUS[0]}"
"""


class Pieces(Protocol):
    """What a program prints, as it comes."""

    @property
    def exit_code(self) -> int | None:
        """How it ended, where that was told."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the program's end was told."""
        ...

    async def next(self) -> Piece | None:
        """Return the next piece of output; ``None`` where no more comes."""
        ...


def streamed(marked: Marked, *, most: int = 49_152) -> str:
    """Return the script that runs a command and prints its output as lines of base64.

    Args:
        marked: The command.
        most: Bytes that one line stands for at most.
    """
    return _STREAMED.replace("@BYTES@", str(most)).replace("@SCRIPT@", marked.word)


class MiosaExecStream(ExecStream):
    """A running command, its output in base64 lines."""

    def __init__(
        self, pieces: Pieces, commands: ShellCommands, marked: Marked, seconds: float, cwd: str | None
    ) -> None:
        self._pieces = pieces
        self._commands = commands
        self._marked = marked
        self._seconds = seconds
        self._ends = anyio.current_time() + seconds
        self._cwd = cwd
        self._is_killed = False

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended by itself, else ``None``."""
        return None if self._is_killed else self._pieces.exit_code

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended.

        Raises:
            DeadlineExceededError: If it took too long; it was killed.
            FileMissingError: If its folder is not there.
            ProtocolError: If its output did not arrive whole.
        """
        lines = {"stdout": _Lines(), "stderr": _Lines()}
        told = b""
        while True:
            piece = await self._next()
            if piece is None:
                break
            stream, text = piece
            for line in lines[stream].ended_by(text):
                data = _unpacked(line)
                told = (told + data)[:64]
                if not self._marked.found_no_folder(_NO_FOLDER, told.decode(errors="replace")):
                    yield ExecChunk(stream, data)
        if any(one.is_open for one in lines.values()) and not self._is_killed:
            raise _not_whole()
        if self._marked.found_no_folder(self._pieces.exit_code or 0, told.decode(errors="replace")):
            raise FileMissingError(f"there is no folder {self._cwd} on the computer", provider=NAME)

    async def _next(self) -> Piece | None:
        with anyio.move_on_at(self._ends):
            try:
                piece = await self._pieces.next()
            except DeskhandError as error:
                error.effect = "unknown"  # whatever it is, the command was started
                raise
            if piece is None and not (self._pieces.has_ended or self._is_killed):
                raise ConnectionLostError("miosa stopped telling of the command before its end", provider=NAME)
            return piece
        await self.kill()
        raise DeadlineExceededError(f"the command {timed_out(self._seconds)}", provider=NAME, effect="unknown")

    async def kill(self) -> None:
        """End the command and everything it started."""
        if not self._pieces.has_ended:
            self._is_killed = True
            await self._commands.kill(self._marked)


class _Lines:
    """The lines of one stream, put together from pieces; the one that is not ended yet is held in bounds."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._size = 0

    @property
    def is_open(self) -> bool:
        """Whether the last line was not ended."""
        return self._size > 0

    def ended_by(self, text: str) -> list[str]:
        """Return the lines that a piece ends, and keep what it begins.

        Raises:
            ProtocolError: If that is longer than any line.
        """
        *ended, last = text.replace("\r", "").split("\n")
        if ended:
            ended[0] = "".join((*self._open, ended[0]))
            self._open, self._size = [], 0
        if last:
            self._open.append(last)
            self._size += len(last)
        if self._size > _LONGEST:
            raise _not_whole()
        return ended


def _not_whole() -> ProtocolError:
    return ProtocolError("the output of a command did not arrive whole", provider=NAME, effect="yes")


def _unpacked(line: str) -> bytes:
    try:
        return binascii.a2b_base64(line, strict_mode=True) if line else b""
    except (binascii.Error, ValueError) as error:
        raise _not_whole() from error
