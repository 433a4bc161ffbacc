"""The files of a fake computer, in memory."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Final

from deskhand.errors import FileMissingError, InvalidInputError, PayloadTooLargeError
from deskhand.providers import FileInfo

HOME: Final = "/home/agent"
MAX_FILE: Final = 100 * 1024 * 1024


class FakeFiles(MutableMapping[str, bytes]):
    """A file system as a mapping from paths to contents; relative paths start at ``/home/agent``."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._written: dict[str, datetime] = {}
        self._folders: set[str] = {"/", "/home", HOME, "/tmp"}  # noqa: S108 - a folder of the fake's own

    @staticmethod
    def absolute(path: str, cwd: str = HOME) -> str:
        """Return a path as the machine's root sees it.

        Raises:
            InvalidInputError: If it is empty or holds a NUL.
        """
        if not path or "\0" in path:
            raise InvalidInputError(f"{path!r} is not a path", hint="absolute, or relative to the home folder")
        home = HOME + path[1:] if path == "~" or path.startswith("~/") else path
        joined = posixpath.normpath(posixpath.join(cwd, home))
        return "/" + joined.lstrip("/")

    def __getitem__(self, path: str) -> bytes:
        """Return a file's content."""
        try:
            return self._files[self.absolute(path)]
        except KeyError:
            raise KeyError(path) from None

    def __setitem__(self, path: str, content: bytes | str) -> None:
        """Write a file, making its folders."""
        data = content.encode() if isinstance(content, str) else bytes(content)
        full = self.absolute(path)
        if full in self._folders:
            raise InvalidInputError(f"{path} is a directory; a file cannot take its place")
        if len(data) > MAX_FILE:
            raise PayloadTooLargeError(f"{path} would have {len(data)} bytes; allowed are {MAX_FILE}")
        self.make_folder(posixpath.dirname(full))
        self._files[full] = data
        self._written[full] = datetime.now(UTC)

    def __delitem__(self, path: str) -> None:
        """Delete a file."""
        self[path]
        self.delete(path)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the absolute paths of all files."""
        return iter(sorted(self._files))

    def __len__(self) -> int:
        """Count the files."""
        return len(self._files)

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<FakeFiles {len(self._files)} files>"

    def read(self, path: str) -> bytes:
        """Read a file as the contract has it.

        Raises:
            FileMissingError: If it is not there.
            InvalidInputError: If it is a folder.
        """
        full = self.absolute(path)
        if full in self._folders:
            raise InvalidInputError(f"{path} is a directory, not a regular file", hint="list_dir lists it")
        if full not in self._files:
            raise FileMissingError(f"there is no file {path}")
        return self._files[full]

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder."""
        return self.absolute(path) in self._folders

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        full = self.absolute(path)
        while full not in self._folders:
            if full in self._files:
                raise InvalidInputError(f"{full} is a file, not a directory")
            self._folders.add(full)
            full = posixpath.dirname(full)

    def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""
        full = self.absolute(path)
        if full in self._folders:
            return FileInfo(full, "directory", 0, mode=0o755)
        if full not in self._files:
            raise FileMissingError(f"there is no file {path}")
        return FileInfo(full, "file", len(self._files[full]), self._written[full], 0o644)

    def list_folder(self, path: str) -> list[FileInfo]:
        """List a folder, sorted by name."""
        full = self.absolute(path)
        if full in self._files:
            raise InvalidInputError(f"{path} is not a directory", hint="read_bytes reads it")
        if full not in self._folders:
            raise FileMissingError(f"there is no directory {path}")
        inside = [name for name in (*self._files, *self._folders) if name != "/" and posixpath.dirname(name) == full]
        return [self.stat(name) for name in sorted(inside, key=posixpath.basename)]

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or a folder and all in it."""
        full = self.absolute(path)
        if full in self._files:
            del self._files[full]
            del self._written[full]
            return
        inside = self.list_folder(path)
        if inside and not recursive:
            raise InvalidInputError(
                f"the directory {path} is not empty", hint="recursive=True deletes what is in it too"
            )
        for entry in inside:
            self.delete(entry.path, recursive=True)
        self._folders.discard(full)
