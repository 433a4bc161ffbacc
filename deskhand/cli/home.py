"""Where the command line keeps things, and where it finds its settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import BinaryIO

from deskhand.errors import ConfigError

__all__ = ["blobs_path", "home", "load_dotenv", "log_path", "private_file", "private_folder", "runs_path"]

_LINE = re.compile(
    r"""(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(?:(?:"([^"]*)"|'([^']*)')\s*(?:\#.*)?|([^#]*)(?:\#.*)?)"""
)
_OURS = re.compile(r"DESKHAND_[A-Z0-9_]+|[A-Z0-9]+_(?:API_KEY|AUTH_TOKEN)")
_ADDRESS = re.compile(r"([A-Z0-9]+)_(?:BASE_URL|API_BASE)")


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the log, its blobs and the run folders: ``DESKHAND_HOME``, else the platform's state folder.

    Raises:
        ConfigError: If there is no home folder at all.
    """
    environment = os.environ if environment is None else environment
    if environment.get("DESKHAND_HOME"):
        return Path(environment["DESKHAND_HOME"]).expanduser().absolute()
    state = environment.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # the standard has relative paths ignored
        return Path(state) / "deskhand"
    try:
        return Path.home() / ".local" / "state" / "deskhand"
    except RuntimeError as error:
        raise ConfigError(
            "there is no home folder to keep runs in", hint="export DESKHAND_HOME=/some/folder"
        ) from error


def log_path() -> Path:
    """Return the event log's file."""
    return home() / "events.db"


def blobs_path() -> Path:
    """Return the folder of the frames and raw model items that the log names."""
    return home() / "blobs"


def runs_path() -> Path:
    """Return the folder of the run folders where no other is named."""
    return home() / "runs"


def private_folder(path: Path) -> Path:
    """Make a folder, with its parents, that only its owner can enter, and return it.

    Raises:
        ConfigError: If it cannot be made or written.
    """
    try:
        for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
            missing.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"the folder {path} cannot be made: {error.strerror}",
            hint="export DESKHAND_HOME to a folder that you can write to",
        ) from error
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder", hint="export DESKHAND_HOME to a folder that you can write to")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(
            f"the folder {path} cannot be written to", hint="export DESKHAND_HOME to a folder that you can write to"
        )
    return path


def private_file(path: Path) -> BinaryIO:
    """Open a file for writing that only its owner can read, whatever the umask is; a link in its place is not followed.

    Raises:
        OSError: If it cannot be made, or a link lies there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o600)
    try:
        os.fchmod(handle, 0o600)
        return os.fdopen(handle, "wb")
    except BaseException:
        os.close(handle)
        raise


def load_dotenv(path: Path, environment: MutableMapping[str, str]) -> None:
    """Take settings from a ``.env`` file: this program's and vendors' keys, where the environment has none.

    Other names are left alone: a file that lies in some folder must not set ``PATH``. The address of a vendor's API
    counts only in a file that also holds the key: it must not send a key of the environment elsewhere.

    Raises:
        ConfigError: If the file is there and cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the settings file {path} cannot be read: {error}", hint="mend it or move it away"
        ) from error
    found: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            quoted = next((value for value in match.groups()[1:3] if value is not None), None)
            found[match[1]] = (match[4] or "").strip() if quoted is None else quoted
    keyed = {name.removesuffix("_API_KEY") for name in found if name.endswith("_API_KEY") and name not in environment}
    for name, value in found.items():
        address = _ADDRESS.fullmatch(name)
        if _OURS.fullmatch(name) or (address is not None and address[1] in keyed):
            environment.setdefault(name, value)
