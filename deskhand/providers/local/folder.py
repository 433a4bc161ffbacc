"""The folder of one local computer: its home, its temporary files, and a lock that tells whether its owner lives."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from deskhand.errors import ConfigError

__all__ = ["ComputerFolder", "open_folder", "remove_stale_folders"]

_LOCK = "owner.lock"
_PASSABLE = 0o711  # whatever the umask is, a computer's own user must be able to pass


@dataclass(frozen=True, slots=True)
class ComputerFolder:
    """Where a computer's files are, as its owner sees them."""

    path: Path

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.path / "home"

    @property
    def temporary(self) -> Path:
        """What is ``/tmp`` on the computer."""
        return self.path / "tmp"

    @property
    def screen(self) -> Path:
        """Cookie, sockets and log of the X server."""
        return self.path / "screen"

    @property
    def sockets(self) -> Path:
        """The X sockets that can be reached from inside."""
        return self.path / "sockets"

    @property
    def system(self) -> Path:
        """What is put read-only into the sandbox."""
        return self.path / "system"


def folders_root() -> Path:
    """Return the folder of all local computers of this user, made and checked.

    Raises:
        ConfigError: If somebody else could change it.
    """
    root = Path(tempfile.gettempdir(), f"deskhand-computers-{os.geteuid()}")
    root.mkdir(mode=_PASSABLE, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"{root} does not belong to this user alone", hint=f"remove {root}, or set TMPDIR to a folder of your own"
        )
    if stat.S_IMODE(found.st_mode) != _PASSABLE:
        root.chmod(_PASSABLE)
    return root


@contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Have the folders for oneself: none is swept between being made and being locked."""
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """Lock a folder; return the descriptor that holds the lock, or ``None`` where its owner lives."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def remove_tree(path: Path) -> None:
    """Remove a folder, whatever a computer has made of its permissions and its depth."""

    def make_writable(_function: object, name: str, _info: object) -> None:
        inside = (name,) if Path(name) == path else (os.path.dirname(name), name)  # what holds the tree is not its own
        for folder in inside:
            if os.path.isdir(folder) and not os.path.islink(folder):
                os.chmod(folder, 0o700)

    with suppress(RecursionError):  # deeper than this can follow: in pieces, below
        shutil.rmtree(path, onerror=make_writable)
    for _ in range(1000):
        if not path.exists():
            return
        _remove_deep(path)
        shutil.rmtree(path, ignore_errors=True)


def _remove_deep(path: Path) -> None:
    """Bring what lies some hundred folders deep up to the top, so that a plain removal reaches it."""
    current, depth = os.open(path, os.O_RDONLY | os.O_DIRECTORY), 0
    try:
        top = os.dup(current)
        try:
            while depth < 200:
                below = next((entry.name for entry in os.scandir(current) if entry.is_dir(follow_symlinks=False)), None)
                if below is None:
                    return
                deeper = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
                os.close(current)
                current, depth = deeper, depth + 1
            os.rename(_first(current), f"deep-{os.urandom(6).hex()}", src_dir_fd=current, dst_dir_fd=top)
        finally:
            os.close(top)
    except OSError:
        return
    finally:
        os.close(current)


def _first(directory: int) -> str:
    with os.scandir(directory) as entries:
        return next(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def remove_stale_folders() -> list[str]:
    """Remove the folders of computers whose owners were killed; return the names."""
    root, removed = folders_root(), []
    with _turn(root):
        for folder in sorted(root.iterdir()):
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            lock = _locked(folder)
            if lock is not None:
                remove_tree(folder)
                os.close(lock)
                removed.append(folder.name)
    return removed


def _make(name: str, uid: int | None) -> tuple[ComputerFolder, int]:
    root = folders_root()
    folder = ComputerFolder(root / name)
    with _turn(root):
        folder.path.mkdir(mode=_PASSABLE)
        folder.path.chmod(_PASSABLE)
        lock = _locked(folder.path)
    assert lock is not None  # noqa: S101 - nobody else can have it: the folder is new
    for path, mode in (
        (folder.home, 0o755),
        (folder.temporary, 0o1777),
        (folder.screen, _PASSABLE),
        (folder.sockets, 0o755),
        (folder.system, 0o755),
    ):
        path.mkdir()
        path.chmod(mode)
    if uid is not None:
        os.chown(folder.home, uid, uid)
    return folder, lock


def _remove(folder: ComputerFolder, lock: int) -> None:
    try:
        with _turn(folder.path.parent):  # a sweep would find the lock file gone, and make a new one in what goes
            remove_tree(folder.path)
    finally:
        os.close(lock)


@asynccontextmanager
async def open_folder(name: str, uid: int | None = None) -> AsyncIterator[ComputerFolder]:
    """Make a computer's folder, removed on leaving; what a killed owner leaves is removed by the next start.

    Args:
        name: The computer's id.
        uid: Whose the home folder is, where it is not this process's user.

    Raises:
        ConfigError: If there is no place for it.
    """
    try:
        folder, lock = _make(name, uid)
    except OSError as error:
        raise ConfigError(
            f"no folder for a computer can be made: {error}", hint="set TMPDIR to a folder with space"
        ) from error
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_remove, folder, lock)
