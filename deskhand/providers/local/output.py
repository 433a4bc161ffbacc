"""Read what processes write: kept within bounds, or handed on as it comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

__all__ = ["PipeReader"]

_READ = 262_144
_DRAIN_READS = 64
_FORGET_PAUSE = 0.05  # seconds between two reads of what nobody wants any more


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
