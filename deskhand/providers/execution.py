"""What running a command means on every computer: what is refused, what is kept of its output, how it times out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from deskhand.errors import ConflictError, InvalidInputError
from deskhand.providers.contract import DEFAULT_TIMEOUT, KEPT_OUTPUT

__all__ = [
    "LONGEST_COMMAND",
    "KeptOutput",
    "check_command",
    "check_terminal_size",
    "checked_timeout",
    "shell_ended",
    "timed_out",
]

LONGEST_COMMAND = 128 * 1024 - 1
"""Bytes of one argument of a program, as Linux has it."""


def checked_timeout(timeout: float | None) -> float:
    """Return the seconds that something may take.

    Raises:
        InvalidInputError: If that is no positive number.
    """
    seconds = DEFAULT_TIMEOUT if timeout is None else timeout
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InvalidInputError(f"timeout is {timeout}; it must be a positive number of seconds")
    return seconds


def check_command(command: str, env: Mapping[str, str] | None = None) -> None:
    """Refuse what no shell can be given.

    Raises:
        InvalidInputError: If the command or a variable cannot be passed to a program.
    """
    if "\0" in command:
        raise InvalidInputError("the command holds a NUL character, which no program can be given")
    if len(command.encode(errors="surrogateescape")) > LONGEST_COMMAND:
        raise InvalidInputError(
            f"the command is longer than {LONGEST_COMMAND} bytes", hint="write it to a file and run that"
        )
    for name, value in (env or {}).items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise InvalidInputError(f"{name!r} cannot be an environment variable", hint="name and value are text")
        if not name or "=" in name or "\0" in name + value:
            raise InvalidInputError(f"{name!r} cannot be an environment variable", hint="no '=' in names, no NUL")


def check_terminal_size(columns: int, rows: int, *, most: int = 1_000) -> None:
    """Refuse a size that no terminal of a vendor has.

    Raises:
        InvalidInputError: If it is out of bounds.
    """
    for name, value in (("columns", columns), ("rows", rows)):
        if isinstance(value, bool) or not 1 <= value <= most:
            raise InvalidInputError(f"{name} is {value!r}; allowed is 1 to {most}")


def shell_ended(provider: str) -> ConflictError:
    """Return the error of typing into a terminal whose shell has ended: nobody gets what is typed."""
    return ConflictError("the terminal's shell has ended", hint="open another terminal", provider=provider, effect="no")


def timed_out(seconds: float) -> str:
    """Say that a command took too long."""
    return f"timed out after {seconds:g} s"


class KeptOutput:
    """The first and the last half of what was written; the middle is counted."""

    def __init__(self, limit: int = KEPT_OUTPUT) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._length = 0

    def add(self, data: bytes) -> None:
        """Take a piece."""
        self._length += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data[-self._half :] if len(data) > self._half else data
        if len(self._tail) > 8 * self._half:
            del self._tail[: -self._half]

    def skip(self, length: int) -> None:
        """Count bytes that somebody else did not keep, before the last half."""
        self._length += length

    @property
    def dropped(self) -> int:
        """Bytes that were not kept."""
        return max(0, self._length - len(self._head) - self._half)

    def text(self) -> str:
        """Return what was kept, the first half and the last; bytes that are not UTF-8 are replaced."""
        if not self.dropped:
            return (self._head + self._tail).decode(errors="replace")
        head, tail = self._head, self._tail[-self._half :]
        # A character that the cut went through is not the command's fault.
        whole = head.decode(errors="ignore" if _ends_within_character(head) else "replace")
        start = next((index for index in range(min(4, len(tail))) if tail[index] & 0xC0 != 0x80), 0)
        return whole + tail[start:].decode(errors="replace")


def _ends_within_character(data: bytearray) -> bool:
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
        if byte < 0x80:
            return False
    return False
