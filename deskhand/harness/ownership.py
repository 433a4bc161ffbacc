"""Whether the process that claimed a run still lives: a file beside the log that it keeps locked.

The kernel gives the lock (``flock``) back however the process ends, so that a lock that can be had means a dead owner,
whatever process ids say.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["Mark", "living_process"]


class Mark:
    """Says that this process lives, until it is taken away or the process ends.

    Args:
        log: The log's file; the mark lies beside it.
    """

    def __init__(self, log: Path) -> None:
        self._folder = log.parent
        self.name: str = f"{log.name}-owner-{os.getpid()}-{secrets.token_hex(8)}"
        self._descriptor = -1

    def set(self) -> str:
        """Make the file, where that was not done yet, and return its name.

        Raises:
            OSError: If it cannot be made.
        """
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._folder / self.name, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self.name

    def remove(self) -> None:
        """Take it away."""
        if self._descriptor >= 0:
            with suppress(OSError):
                (self._folder / self.name).unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def living_process(log: Path, name: str) -> int | None:
    """Return the id of the process whose mark this is; ``None`` where it is dead, and then its mark is taken away."""
    path = log.parent / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(name.rpartition("-owner-")[2].partition("-")[0])
    else:
        path.unlink(missing_ok=True)
        return None
    finally:
        os.close(descriptor)
