"""Read what processes write: kept within bounds, or handed on as it comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from deskhand.providers.contract import KEPT_OUTPUT

__all__ = ["KeptOutput", "PipeReader"]

_READ = 262_144
_DRAIN_READS = 64
_FORGET_PAUSE = 0.05  # seconds between two reads of what nobody wants any more


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


class PipeReader:
    """Reads one descriptor on the event loop and owns it.

    Args:
        descriptor: The reading end.
        take: Gets each piece.
        at_end: Called once, at end of file.
    """

    def __init__(self, descriptor: int, take: Callable[[bytes], None], at_end: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self._at_end = at_end
        self._loop = asyncio.get_running_loop()
        self.paused: bool = False
        self.ended: bool = False
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def pause(self) -> None:
        """Stop reading, so that the writer has to wait."""
        if not self.paused and not self.ended:
            self.paused = True
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read on."""
        if self.paused and not self.ended:
            self.paused = False
            self._loop.add_reader(self._descriptor, self._read)

    def drain(self) -> None:
        """Read what is there now, within bounds: someone may be writing without end."""
        for _ in range(_DRAIN_READS):
            if self.ended or self.paused or not self._read():
                return

    def forget(self) -> None:
        """Read on, slowly, and keep nothing: whoever still writes is neither killed by a closed pipe nor held up."""
        self._take, self._at_end = self._discard, lambda: None
        self.resume()

    def _discard(self, data: bytes) -> None:
        del data
        self.pause()
        self._loop.call_later(_FORGET_PAUSE, self.resume)

    def close(self) -> None:
        """Stop reading for good."""
        if not self.ended:
            self.ended = True
            if not self.paused:
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _READ)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""  # the other end of a pseudo-terminal is gone
        if data:
            self._take(data)
            return True
        self.close()
        self._at_end()
        return False
