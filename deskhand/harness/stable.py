"""Files and folders on stable storage: what a power cut must not take."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["sync_file", "sync_folder", "sync_way_to"]


def sync_file(path: Path) -> None:
    """Bring a file's content to stable storage; its name is its folder's matter.

    Raises:
        OSError: If that fails; what became of the content is then not known.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to stable storage, where its file system can and need be told to."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_way_to(path: Path) -> None:
    """Bring the names of a file, or a folder, and of all folders above it to stable storage."""
    for folder in path.absolute().parents:
        sync_folder(folder)
