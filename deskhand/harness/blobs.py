"""Where bytes live that events only name: frames and raw model items, by the SHA-256 of their content."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread

from deskhand.errors import CorruptJournalError, JournalError, NotFoundError
from deskhand.harness.stable import sync_file, sync_folder, sync_way_to

__all__ = ["LOST_BLOB", "BlobStore", "DirectoryBlobs", "MemoryBlobs"]

DEFAULT_LIMIT = 512 * 1024 * 1024
LOST_BLOB: Final = (NotFoundError, CorruptJournalError)
"""What `BlobStore.get` raises of one that was cleaned up, or that a power cut took, whole or in part."""

GONE = "see whether the store was moved or cleaned up"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNSYNCED_LIMIT = 1_000
"""Files that wait for somebody to want them synced; then they are."""


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file has this content: a power cut may have left one without it."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


class BlobStore(Protocol):
    """Keeps bytes under the SHA-256 of their content."""

    async def put(self, data: bytes) -> str:
        """Keep bytes and return their key; keeping the same bytes again changes nothing.

        Raises:
            JournalError: If they cannot be kept.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Return the bytes of a key.

        Raises:
            NotFoundError: If they are not kept.
            CorruptJournalError: If they are no longer what the key says.
        """
        ...

    async def sync(self) -> None:
        """Wait until everything put so far is on stable storage.

        Raises:
            JournalError: If it cannot be.
        """
        ...


class MemoryBlobs:
    """Keeps blobs in memory, the oldest dropped beyond the limit.

    Args:
        limit: Bytes kept at most.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._blobs: OrderedDict[str, bytes] = OrderedDict()

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<MemoryBlobs {len(self._blobs)} blobs, {self._size} bytes>"

    async def put(self, data: bytes) -> str:
        """Keep bytes and return their key; see `BlobStore`."""
        key = hashlib.sha256(data).hexdigest()
        if key not in self._blobs:
            self._blobs[key] = data
            self._size += len(data)
            while self._size > self._limit and len(self._blobs) > 1:
                _, dropped = self._blobs.popitem(last=False)
                self._size -= len(dropped)
        return key

    async def get(self, key: str) -> bytes:
        """Return the bytes of a key; see `BlobStore`."""
        try:
            return self._blobs[key]
        except KeyError:
            raise NotFoundError(f"the blob {key[:12]}… is not kept", hint=GONE) from None

    async def sync(self) -> None:
        """Memory has nothing to sync."""


class DirectoryBlobs:
    """Keeps blobs as files of a directory (mode 0700), two levels deep, each written whole or not at all.

    Nothing is synced before `sync`, which takes all that was put since the last at once.

    Args:
        path: The directory; made where it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._noting = threading.Lock()
        self._unsynced: set[Path] = set()
        self._syncing = threading.Lock()
        self._has_way = False
        self._broken: JournalError | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<DirectoryBlobs {self._path}>"

    async def put(self, data: bytes) -> str:
        """Keep bytes and return their key; see `BlobStore`."""
        return await anyio.to_thread.run_sync(self._put, data)

    async def get(self, key: str) -> bytes:
        """Return the bytes of a key; see `BlobStore`."""
        return await anyio.to_thread.run_sync(self._get, key)

    async def sync(self) -> None:
        """Wait until everything put so far is on stable storage; see `BlobStore`."""
        if self._unsynced or self._syncing.locked() or self._broken is not None:
            await anyio.to_thread.run_sync(self._sync)

    def _file(self, key: str) -> Path:
        if len(key) != 64 or not key.isascii() or not key.isalnum():
            raise NotFoundError(f"{key[:80]!r} is no blob's key")
        return self._path / key[:2] / key

    def _put(self, data: bytes) -> str:
        key = hashlib.sha256(data).hexdigest()
        target = self._file(key)
        try:
            if not _holds(target, data):
                self._write(target, data)
        except OSError as error:
            raise JournalError(
                f"a blob of {len(data)} bytes cannot be kept: {error.strerror}",
                hint="free some space",
                retryable=error.errno in _FULL,
            ) from error
        with self._noting:  # (one that was there already may be that of a process that died before it synced it)
            self._unsynced.add(target)
        if len(self._unsynced) >= _UNSYNCED_LIMIT:
            self._sync()
        return key

    def _write(self, target: Path, data: bytes) -> None:
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)  # (parents get no mode of their own)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _sync(self) -> None:
        """Sync what waits, one thread at a time: whoever finds nothing waiting has waited for who took it."""
        with self._syncing:
            if self._broken is not None:
                raise self._broken
            with self._noting:
                files, self._unsynced = self._unsynced, set()
            try:
                for file in files:
                    with suppress(FileNotFoundError):  # somebody has cleaned up
                        sync_file(file)
            except OSError as error:  # the kernel may call the lost pages clean: another try would prove nothing
                self._broken = JournalError(
                    f"the blobs in {self._path} cannot be synced: {error.strerror}",
                    hint="look at the disk and its file system, then start the program again",
                )
                raise self._broken from error
            for folder in {file.parent for file in files}:
                sync_folder(folder)
            sync_folder(self._path)
            if not self._has_way:
                sync_way_to(self._path)
                self._has_way = True

    def _get(self, key: str) -> bytes:
        try:
            data = self._file(key).read_bytes()
        except FileNotFoundError:
            raise NotFoundError(f"the blob {key[:12]}… is not kept", hint=GONE) from None
        except OSError as error:
            raise JournalError(f"the blob {key[:12]}… cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != key:
            raise CorruptJournalError(
                f"the blob {key[:12]}… is damaged", hint="restore it from a copy, or delete the file"
            )
        return data
