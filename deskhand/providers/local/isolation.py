"""How a local computer is kept apart from its machine: the bubblewrap command line, tried once per process."""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from deskhand.providers.local.folder import ComputerFolder, open_folder

__all__ = ["ISOLATION_HINT", "Isolation", "find_isolation"]

ISOLATION_HINT = "apt-get install bubblewrap util-linux, and allow user namespaces (sysctl user.max_user_namespaces)"

HOME = "/home/agent"
"""The home folder inside the sandbox."""

SYSTEM = "/run/deskhand"
"""Where the owner's read-only files are inside the sandbox."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games"
X_SOCKETS = "/tmp/.X11-unix"  # noqa: S108 - where the X protocol's conventions put them
USER_ID = 1000
_PROBE_DEADLINE = 10.0
_HIGH_IDS = (0x70000000, 0x7EFFFFFF)  # far above what distributions and containers hand out
_LOW_IDS = (20_000, 60_000)
_ROOT_ONLY = ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/sudoers")
_NAMESPACES = (
    *("--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID)),
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "deskhand"),
    *("--as-pid-1", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
)


@dataclass(frozen=True, slots=True)
class Isolation:
    """What this machine allows.

    Attributes:
        python: The interpreter of the spawner, and what ``python3`` is where the search path has none.
        drops_user: Whether each computer gets a user id of its own.
        reason: Why there is no sandbox, where there is none.
    """

    python: str
    drops_user: bool = False
    reason: str | None = None

    @property
    def isolated(self) -> bool:
        """Whether there is a sandbox."""
        return self.reason is None

    @property
    def has_python_on_path(self) -> bool:
        """Whether ``python3`` is found without help."""
        return shutil.which("python3", path=SEARCH_PATH) is not None

    def new_user(self) -> int | None:
        """Return a user id for one computer, where it gets one of its own."""
        if not self.drops_user:
            return None
        low, high = _HIGH_IDS if _maps(_HIGH_IDS[1]) else _LOW_IDS
        return random.SystemRandom().randint(low, high)

    def command(
        self,
        folder: ComputerFolder,
        *,
        uid: int | None,
        network: bool,
    ) -> list[str]:
        """Return the command line that runs what follows it inside a sandbox.

        Args:
            folder: The computer's folder.
            uid: The user id that it drops to.
            network: Whether it shares the machine's network.
        """
        dropped = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--"] if uid else []
        line = [*dropped, "bwrap", *_NAMESPACES, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for place in _masked_folders():
            line += ["--tmpfs", place]
        for place in _masked_files(as_root=os.geteuid() == 0 and uid is None):
            line += ["--ro-bind", "/dev/null", place]
        prefix = sys.base_prefix
        if self.python.startswith(prefix) and any(is_below(prefix, place) for place in _masked_folders()):
            line += ["--ro-bind", prefix, prefix]
        line += ["--bind", str(folder.temporary), "/tmp", "--bind", str(folder.home), HOME]  # noqa: S108 - its own
        line += ["--ro-bind", str(folder.system), SYSTEM]
        own_sockets = str(folder.sockets) if can_link_sockets(folder) else X_SOCKETS
        line += ["--ro-bind-try", own_sockets, X_SOCKETS]
        for account in ("passwd", "group"):
            line += ["--ro-bind", str(folder.system / account), f"/etc/{account}"]
        return [*line, *([] if network else ["--unshare-net"]), "--chdir", "/", "--"]


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or something in it."""
    return Path(path) == Path(folder) or Path(folder) in Path(path).parents


def can_link_sockets(folder: ComputerFolder) -> bool:
    """Whether an X socket can get a second name in a computer's folder; else all are seen, and cookies guard them."""
    return folder.path.stat().st_dev == Path(X_SOCKETS).parent.stat().st_dev


def _maps(uid: int) -> bool:
    """Whether this process's user namespace knows a user id."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    ranges = [tuple(map(int, line.split())) for line in lines]
    return any(first <= uid < first + count for first, _, count in ranges)


def _masked_folders() -> list[str]:
    """Return the folders that hold what is nobody's business on a computer, none within another."""
    wanted = ["/root", "/home", "/run", "/tmp", "/var/tmp", tempfile.gettempdir(), str(Path.home())]  # noqa: S108 - hidden
    wanted += [os.environ[name] for name in ("HOME", "DESKHAND_HOME", "XDG_RUNTIME_DIR") if os.environ.get(name)]
    real = sorted({os.path.realpath(place) for place in wanted if os.path.isdir(place)} - {"/"})
    return [place for place in real if not any(place != other and is_below(place, other) for other in real)]


def _masked_files(*, as_root: bool) -> list[str]:
    """Return the files that hold secrets outside of the masked folders."""
    wanted = [os.path.realpath(".env"), *(_ROOT_ONLY if as_root else ())]
    masked = _masked_folders()
    return [
        place for place in wanted if os.path.isfile(place) and not any(is_below(place, folder) for folder in masked)
    ]


def _pythons() -> list[str]:
    """Return the interpreters that may be reachable inside: the system's, then this one."""
    own = os.path.realpath(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))
    system = shutil.which("python3", path=SEARCH_PATH)
    return [*([system] if system else []), own if os.path.exists(own) else sys.executable]


_found: dict[tuple[str, str], Isolation] = {}  # by search path and place of the folders: facts, no resources


async def find_isolation() -> Isolation:
    """Find out, once per process, how far a computer can be kept apart on this machine."""
    key = (os.environ.get("PATH", ""), tempfile.gettempdir())
    if key not in _found:
        _found[key] = await _probe()
    return _found[key]


async def _probe() -> Isolation:
    own = _pythons()[-1]
    if shutil.which("bwrap") is None:
        return Isolation(own, reason="bubblewrap is not installed")
    may_drop = os.geteuid() == 0 and shutil.which("setpriv") is not None
    said = ""
    for drops_user in (True, False) if may_drop else (False,):
        for python in _pythons():
            candidate = Isolation(python, drops_user)
            said = await _try(candidate)
            if not said:
                return candidate
    return Isolation(own, reason=f"bubblewrap does not work here: {said}")


async def _try(candidate: Isolation) -> str:
    """Run nothing in a sandbox; return what was said if that fails."""
    uid = candidate.new_user()
    async with open_folder(f"probe-{os.getpid()}-{os.urandom(4).hex()}", uid) as folder:
        write_system_files(folder)
        line = candidate.command(folder, uid=uid, network=True)
        program = [candidate.python, "-I", "-S", "-c", "import os, socket; assert os.getpid() == 1"]
        with anyio.move_on_after(_PROBE_DEADLINE):
            done = await anyio.run_process([*line, *program], check=False, cwd="/")
            if done.returncode == 0:
                return ""
            return done.stderr.decode(errors="replace").strip()[-300:] or f"exit code {done.returncode}"
    return "no answer"


def write_system_files(folder: ComputerFolder) -> None:
    """Write what the owner puts into the sandbox: the spawner, and accounts with names."""
    shutil.copyfile(Path(__file__).with_name("spawner.py"), folder.system / "spawner.py")
    accounts = {
        "passwd": (
            "root:x:0:0:root:/root:/bin/bash",
            f"agent:x:{USER_ID}:{USER_ID}:agent:{HOME}:/bin/bash",
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        ),
        "group": ("root:x:0:", f"agent:x:{USER_ID}:", "nogroup:x:65534:"),
    }
    for name, lines in accounts.items():
        (folder.system / name).write_text("\n".join((*lines, "")), encoding="ascii")
    for path in folder.system.iterdir():
        path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)


def link_python(folder: ComputerFolder, python: str) -> None:
    """Make ``python3`` point to an interpreter, for a search path that has none."""
    (folder.system / "bin").mkdir(mode=0o755, exist_ok=True)
    (folder.system / "bin" / "python3").symlink_to(python)


def spawner_command(python: str, program: str, descriptor: int) -> Sequence[str]:
    """Return the command line of the spawner."""
    return (python, "-I", "-S", "-X", "utf8", program, str(descriptor))
