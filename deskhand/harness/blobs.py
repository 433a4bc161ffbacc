"""Where bytes live that events only name: frames and raw model items, by the SHA-256 of their content."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from deskhand.errors import CorruptJournalError, JournalError, NotFoundError

__all__ = ["BlobStore", "DirectoryBlobs", "MemoryBlobs"]

DEFAULT_LIMIT = 512 * 1024 * 1024
GONE = "see whether the store was moved or cleaned up"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


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


class DirectoryBlobs:
    """Keeps blobs as files of a directory (mode 0700), two levels deep, each written whole or not at all.

    Args:
        path: The directory; made where it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<DirectoryBlobs {self._path}>"

    async def put(self, data: bytes) -> str:
        """Keep bytes and return their key; see `BlobStore`."""
        return await anyio.to_thread.run_sync(self._put, data)

    async def get(self, key: str) -> bytes:
        """Return the bytes of a key; see `BlobStore`."""
        return await anyio.to_thread.run_sync(self._get, key)

    def _file(self, key: str) -> Path:
        if len(key) != 64 or not key.isascii() or not key.isalnum():
            raise NotFoundError(f"{key[:80]!r} is no blob's key")
        return self._path / key[:2] / key

    def _put(self, data: bytes) -> str:
        key = hashlib.sha256(data).hexdigest()
        target = self._file(key)
        try:
            if _size(target) == len(data):  # (a power cut may have left a file without its content)
                return key
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
        except OSError as error:
            raise JournalError(
                f"a blob of {len(data)} bytes cannot be kept: {error.strerror}", hint="free some space"
            ) from error
        return key

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
