"""A disk that loses what was not synced, as in a power cut: killing a process alone loses nothing of the page cache.

Programs run on real files, with a small library before the C library that notes what they write, name and sync. A cut
brings the folder back to what the disk must still have, and perhaps some of what it may have: any of the unsynced
writes, torn or whole, and a first part of the unsynced changes of names.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_SECTOR = 512
_HEAD = struct.Struct("=IIqQ")
_SOURCE = Path(__file__).with_suffix(".c")
_SHARED_MEMORY = "-shm"
"""SQLite maps this one; a power cut leaves nothing of what is in it."""


class _Note(NamedTuple):
    """A call as it was noted; ``place`` is where the note stands in the journal."""

    what: str
    path: str
    at: int
    data: bytes
    place: int


@dataclass(eq=False)
class _File:
    """A file or a folder: what of its content is synced, and what was done to it since."""

    folder: bool = False
    stable: bytearray = field(default_factory=bytearray)
    unsynced: list[_Note] = field(default_factory=list)

    def sync(self, until: int) -> None:
        """Keep for good what was done before a place of the journal."""
        for note in self.unsynced:
            if note.place < until:
                _apply(note, self.stable)
        self.unsynced = [note for note in self.unsynced if note.place >= until]

    def content(self) -> bytearray:
        """Return what is in it while the power is on."""
        found = bytearray(self.stable)
        for note in self.unsynced:
            _apply(note, found)
        return found

    def lose(self, chance: random.Random | None) -> None:
        """Keep none of the unsynced, or any of it."""
        for note in self.unsynced:
            if chance is not None and chance.random() < 0.5:
                whole = chance.random() < 0.8
                end = len(note.data) if whole else _SECTOR * chance.randint(0, len(note.data) // _SECTOR)
                _apply(note._replace(data=note.data[:end]), self.stable)
        self.unsynced = []


class _Naming(NamedTuple):
    """A change of names in a folder, of which the disk has all or nothing."""

    place: int
    folder: str
    changes: dict[str, _File | None]

    def apply(self, names: dict[str, _File]) -> None:
        for path, file in self.changes.items():
            if file is None:
                names.pop(path, None)
            else:
                names[path] = file


class LossyDisk:
    """A folder whose power can be cut.

    Args:
        folder: The folder; it is made.
        seed: Decides what of the unsynced a cut leaves.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir()
        self.lost = 0
        self._journal = folder.with_name(folder.name + ".journal").resolve()
        self._journal.touch()
        self._library = folder.with_name(folder.name + ".so").resolve()
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self._library, _SOURCE], check=True)
        self._chance = random.Random(seed)
        self._names: dict[str, _File] = {}  # as the disk has them for good
        self._live: dict[str, _File] = {}  # as programs see them
        self._namings: list[_Naming] = []  # what lies between the two
        self._read = 0
        self._left: dict[str, tuple[int, int, int]] = {}  # how the last cut left the files

    @property
    def environment(self) -> dict[str, str]:
        """What a program that uses the disk must have in its environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "LOSSY_DISK": str(self.folder),
            "LOSSY_JOURNAL": str(self._journal),
        }

    def check(self) -> None:
        """Hold that all is noted: what follows from the notes is what is there; no program may be running."""
        self._catch_up()
        expected = {path: file.content() for path, file in self._live.items() if not _is_unnoted(path, file)}
        assert set(expected) == {path for path in self._paths() if not path.endswith(_SHARED_MEMORY)}
        for path, content in expected.items():
            assert Path(path).read_bytes() == content, path

    def cut(self) -> None:
        """Lose what a power cut loses; no program may be running."""
        self._catch_up()
        chance = self._chance if self._chance.random() < 0.5 else None
        for naming in self._namings[: chance.randint(0, len(self._namings)) if chance else 0]:
            naming.apply(self._names)
        self._names = {path: file for path, file in self._names.items() if self._is_reachable(path)}
        self.lost += sum(len(file.unsynced) for file in self._live.values())
        changed = {path for path, file in self._names.items() if file.unsynced or self._live.get(path) is not file}
        for file in self._names.values():
            file.lose(chance)
        self._restore(changed)
        os.truncate(self._journal, 0)
        self._live, self._namings, self._read = dict(self._names), [], 0

    def _restore(self, changed: set[str]) -> None:
        """Bring the folder to what the disk has; what was done and not yet noted is lost too."""
        for path in self._paths():
            if path not in self._names:
                os.unlink(path)
        for path, _, _ in os.walk(self.folder, topdown=False):
            if path not in self._names and path != str(self.folder):
                os.rmdir(path)  # else it would be there for the next program, which then notes no new one
        for path, file in self._names.items():
            if file.folder:
                os.makedirs(path, exist_ok=True)
            elif path in changed or self._left.get(path) != _stamp(path):
                Path(path).write_bytes(file.stable)
                self._left[path] = _stamp(path)

    def _paths(self) -> list[str]:
        return [os.path.join(folder, name) for folder, _, names in os.walk(self.folder) for name in names]

    def _is_reachable(self, path: str) -> bool:
        parent = os.path.dirname(path)
        return parent == str(self.folder) or (parent in self._names and self._is_reachable(parent))

    def _catch_up(self) -> None:
        """Take in what was noted since."""
        for note in self._notes():
            file = self._live.get(note.path)
            match note.what:
                case "c" | "m":
                    self._name(note, {note.path: _File(folder=note.what == "m")})
                case "u":
                    self._name(note, {note.path: None})
                case "r":
                    self._name(note, {note.path: None, note.data.decode(): file})
                case "s" if note.path == str(self.folder) or (file is not None and file.folder):
                    self._sync_names(note)
                case "s" if file is not None:
                    file.sync(note.at)
                case _ if file is not None:
                    file.unsynced.append(note)
                case _:
                    pass  # (it has no name any more)

    def _name(self, note: _Note, changes: dict[str, _File | None]) -> None:
        naming = _Naming(note.place, os.path.dirname(note.path), changes)
        naming.apply(self._live)
        self._namings.append(naming)

    def _sync_names(self, note: _Note) -> None:
        left: list[_Naming] = []
        for naming in self._namings:
            if naming.folder == note.path and naming.place < note.at:
                naming.apply(self._names)
            else:
                left.append(naming)
        self._namings = left

    def _notes(self) -> Iterator[_Note]:
        """Read on; a program that was killed may have left half a note at the end."""
        with self._journal.open("rb") as file:
            file.seek(self._read)
            journal = file.read()
        begin = 0
        while begin + _HEAD.size <= len(journal):
            what, path, at, size = _HEAD.unpack_from(journal, begin)
            name = begin + _HEAD.size
            data = name + path
            if data + size > len(journal):
                return
            place = self._read
            self._read += data + size - begin
            yield _Note(chr(what), journal[name:data].decode(), at, journal[data : data + size], place)
            begin = data + size


def _stamp(path: str) -> tuple[int, int, int]:
    if not os.path.exists(path):
        return (0, 0, 0)
    found = os.stat(path)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _is_unnoted(path: str, file: _File) -> bool:
    return file.folder or path.endswith(_SHARED_MEMORY)


def _apply(note: _Note, content: bytearray) -> None:
    """Do a write, or a change of length."""
    if note.what == "t":
        content[note.at :] = bytes(max(0, note.at - len(content)))
        return
    content.extend(bytes(max(0, note.at - len(content))))
    content[note.at : note.at + len(note.data)] = note.data
