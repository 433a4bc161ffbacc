"""The folder in which live computers of this user are written down: one entry and one socket each.

An entry is a JSON file that its owner process keeps locked (``flock``) while the computer lives. The kernel gives the
lock back however the owner ends, so that a lock that can be had means a dead owner, whatever process ids say.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from deskhand.errors import ConfigError, ConflictError, InvalidInputError
from deskhand.providers.contract import ComputerInfo, Screen

__all__ = ["Entry", "find", "is_live", "live_entries", "registered", "runtime_folder"]

_LONGEST_ENTRY = 65_536
_LONGEST_SOCKET_PATH = 103
"""Bytes: what the address of a unix socket holds on every system, its terminating zero left out."""

_GROWING = 10.0
"""Seconds for which an entry may be empty: its owner has made the file and is about to lock and write it."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A live computer, as its owner wrote it down.

    Attributes:
        id: The computer's id.
        name: Its name.
        created_at: When it was created.
        screen: Its screen's size when it was created.
        pid: The owner's process id.
    """

    id: str
    name: str
    created_at: datetime
    screen: Screen | None
    pid: int


_ENTRY = TypeAdapter(Entry)


def runtime_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder of this user's live computers, made where it is missing.

    It lies in ``XDG_RUNTIME_DIR``, where that is this user's, else in the folder for temporary files.

    Raises:
        ConfigError: If it is somebody else's, a symbolic link or no folder, or cannot be made.
    """
    environment = os.environ if environment is None else environment
    user = os.geteuid()
    given = environment.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/") and _owner(given) == user:  # after sudo it may still be another user's
        folder = Path(given) / "deskhand"
    else:
        folder = Path(tempfile.gettempdir()) / f"deskhand-{user}"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user:
            if stat.S_IMODE(found.st_mode) != 0o700:
                folder.chmod(0o700)
            return folder
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} for the sockets of local computers cannot be made: {error.strerror}",
            hint="export XDG_RUNTIME_DIR to a folder of your own",
        ) from error
    kind = "belongs to another user" if stat.S_ISDIR(found.st_mode) else "is no folder"
    raise ConfigError(
        f"{folder}, where the sockets of local computers belong, {kind}, so it is not used",
        hint="remove it, or export XDG_RUNTIME_DIR to a folder of your own",
    )


def _owner(path: str) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def socket_path(folder: Path, computer_id: str) -> Path:
    """Return where a computer's socket is."""
    return folder / f"{computer_id}.sock"


def _entry_path(folder: Path, computer_id: str) -> Path:
    return folder / f"{computer_id}.json"


@contextmanager
def registered(info: ComputerInfo) -> Iterator[Path]:
    """Write a computer down while the block lasts; yields the path for its socket, which is removed on leaving.

    Raises:
        ConfigError: If the folder may not be used, or its path is too long for a socket.
        ConflictError: If a live computer has that id.
        InvalidInputError: If the id cannot name a file.
    """
    if not _ID.fullmatch(info.id):
        raise InvalidInputError(f"the computer's id {info.id!r} cannot name a socket", hint="letters, digits, - and _")
    folder = runtime_folder()
    path, socket = _entry_path(folder, info.id), socket_path(folder, info.id)
    if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
        raise ConfigError(
            f"the path {socket} is too long for a socket (at most {_LONGEST_SOCKET_PATH} bytes)",
            hint="export XDG_RUNTIME_DIR to a folder with a shorter path",
        )
    descriptor = _claim(path, info.id)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # at most for as long as somebody looks whether it is locked
        os.write(descriptor, _render(info))
        yield socket
    finally:
        socket.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _claim(path: Path, computer_id: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(2):
        try:
            return os.open(path, flags, 0o600)
        except FileExistsError:
            if _read(path) is not None:
                break
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}", hint="export XDG_RUNTIME_DIR to a folder of your own"
            ) from error
    raise ConflictError(f"a computer with the id {computer_id} is there already", hint="deskhand ls")


def _render(info: ComputerInfo) -> bytes:
    created_at = info.created_at or datetime.now().astimezone()
    entry = Entry(info.id, info.name, created_at, info.screen, os.getpid())
    return json.dumps(_ENTRY.dump_python(entry, mode="json")).encode("ascii")


def live_entries(folder: Path) -> list[Entry]:
    """Return the entries of live owners, oldest first, and remove what dead ones left."""
    found = [entry for path in folder.glob("*.json") if (entry := _read(path)) is not None]
    return sorted(found, key=lambda entry: (entry.created_at, entry.id))


def find(folder: Path, computer_id: str) -> Entry | None:
    """Return the entry of a live computer, or ``None``."""
    return _read(_entry_path(folder, computer_id)) if _ID.fullmatch(computer_id) else None


def is_live(folder: Path, computer_id: str) -> bool:
    """Whether a computer's owner lives and has not let go of it."""
    return find(folder, computer_id) is not None


def _read(path: Path) -> Entry | None:
    """Read one entry; a dead owner's is removed with its socket."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = os.read(descriptor, _LONGEST_ENTRY)
        if _is_locked(descriptor):
            entry = _ENTRY.validate_python(json.loads(content))
            return entry if entry.id == path.stem else None
        if content or time.time() - os.fstat(descriptor).st_mtime > _GROWING:
            path.with_suffix(".sock").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    except (OSError, ValueError, RecursionError):
        return None  # being written at this moment, or no entry of ours
    finally:
        os.close(descriptor)
    return None


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
