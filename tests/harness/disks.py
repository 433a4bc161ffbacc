"""A disk that can be filled and emptied again."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class SmallDisk(Protocol):
    """A folder whose files can be kept from growing."""

    path: Path
    is_real: bool
    """Whether it is full as disks are."""

    def fill(self) -> None:
        """Let no file grow any more."""

    def free(self) -> None:
        """Let files grow again."""


class SmallFileSystem:
    """A file system of its own, in memory, filled by a file."""

    is_real = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Write until nothing more fits."""
        with (self.path / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                return

    def free(self) -> None:
        """Delete what fills it."""
        (self.path / "filler").unlink(missing_ok=True)


class LimitedFiles:
    """The limit on the size of files that this process may write, for those who may not mount anything."""

    is_real = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """Forbid files larger than 4 KiB."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, self._limits[1]))

    def free(self) -> None:
        """Allow again what was allowed before."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Give a disk of 2 MiB, or where nothing may be mounted a folder whose files are limited."""
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", path], check=False, capture_output=True
        ).returncode
        == 0
    )
    disk: SmallDisk = SmallFileSystem(path) if mounted else LimitedFiles(path)
    try:
        yield disk
    finally:
        disk.free()
        if mounted:
            subprocess.run(["umount", "--lazy", path], check=True)
