"""What ``deskhand doctor`` looks at."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deskhand.cli.home import home, log_path, private_folder
from deskhand.errors import DeskhandError, UnsupportedError

__all__ = ["Check", "all_checks", "key_checks", "provider_checks"]

NEEDED_PYTHON = (3, 11)
APT = "apt-get install -y"
PROGRAMS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "x-server": (("Xvnc", "Xvfb"), "tigervnc-standalone-server"),
    "window-manager": (("openbox",), "openbox"),
    "panel": (("tint2",), "tint2"),
    "terminal": (("xterm",), "xterm"),
    "editor": (("l3afpad",), "l3afpad"),
    "file-manager": (("pcmanfm",), "pcmanfm"),
}
"""The desktop's parts: the programs that will do, and the package that brings the first."""

NAMESPACES = "sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "local": ("xcffib", "numpy", "isal", "xxhash"),
    "simulate": ("starlette", "uvicorn", "python_multipart"),
}
"""What the package's extras bring."""
KEYS: Mapping[str, str] = {
    "ANTHROPIC_API_KEY": "deskhand run with a Claude model",
    "OPENAI_API_KEY": "deskhand run with a model of OpenAI",
    "ORGO_API_KEY": "a computer of Orgo's",
    "MIOSA_API_KEY": "a computer of MIOSA's or OpenComputers', or a model that MIOSA serves,",
    "E2B_API_KEY": "a computer of E2B's",
    "DAYTONA_API_KEY": "a computer of Daytona's",
    "CUA_API_KEY": "a computer of Cua's cloud",
}
"""Environment variables that hold keys, and what needs them."""
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "ANTHROPIC_API_KEY": ("ANTHROPIC_AUTH_TOKEN",),
    "MIOSA_API_KEY": ("MIOSA_ACCESS_TOKEN",),
}
"""Variables that do in the place of these."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What ``--require`` calls it.
        ready: Whether it can be used.
        detail: What was found.
        fix: What to do where it is not ready, a command where there is one.
    """

    name: str
    ready: bool
    detail: str
    fix: str | None = None


async def all_checks() -> list[Check]:
    """Look at everything; takes a second or two where a desktop can be started."""
    checks = [_python(), _home(), *_programs(), await _sandbox(), *_extras()]
    return [*checks, await _local_computer(), *provider_checks(), *key_checks(os.environ)]


def _python() -> Check:
    version = platform.python_version()
    ready = sys.version_info >= NEEDED_PYTHON
    return Check("python", ready, f"{version} at {sys.executable}", "use Python 3.11 or newer")


def _home() -> Check:
    try:
        folder = private_folder(home())
    except DeskhandError as error:
        return Check("home", ready=False, detail=error.message, fix=error.hint)
    log = "with a log" if log_path().exists() else "no log yet"
    return Check("home", ready=True, detail=f"{folder}, {log}")


def _programs() -> Iterator[Check]:
    for name, (programs, package) in PROGRAMS.items():
        found = next((path for program in programs if (path := shutil.which(program))), None)
        names = " nor ".join(programs)
        missing = f"neither {names} is" if len(programs) > 1 else f"{names} is not"
        yield Check(name, found is not None, found or f"{missing} installed", f"{APT} {package}")


async def _sandbox() -> Check:
    """Try one: the program alone says nothing, since the machine may not allow namespaces."""
    from deskhand.providers.local.isolation import find_isolation

    path = shutil.which("bwrap")
    if path is None:
        return Check("sandbox", ready=False, detail="bubblewrap is not installed", fix=f"{APT} bubblewrap")
    isolation = await find_isolation()
    own_user = ", with a user id for each computer" if isolation.drops_user else ""
    return Check("sandbox", isolation.isolated, isolation.reason or f"{path} works{own_user}", NAMESPACES)


def _extras() -> Iterator[Check]:
    for extra, brought in EXTRAS.items():
        missing = [name for name in brought if importlib.util.find_spec(name) is None]
        detail = f"not installed: {', '.join(missing)}" if missing else ", ".join(brought)
        yield Check(f"{extra}-extra", not missing, detail, f"pip install 'deskhand[{extra}]'")


async def _local_computer() -> Check:
    """Start one, look at its screen, end it: what all the parts are for."""
    import time

    import anyio

    from deskhand.providers.contract import Capability
    from deskhand.providers.lookup import open_computer

    began = time.monotonic()
    try:
        with anyio.fail_after(60):
            async with open_computer("local") as computer:
                booted = time.monotonic() - began
                computer.require(Capability.SCREENSHOT)
                await computer.screenshot()
                return Check("desktop", ready=True, detail=f"starts in {booted:.1f} s")
    except TimeoutError as error:
        return Check("desktop", ready=False, detail=f"it does not start: {error}", fix="deskhand doctor --debug")
    except UnsupportedError as error:
        return Check("desktop", ready=False, detail="it has a shell and files only", fix=error.hint)
    except DeskhandError as error:
        return Check("desktop", ready=False, detail=error.message, fix=error.hint)


def provider_checks() -> Iterator[Check]:
    """Load every provider that is installed, bundled or not."""
    from deskhand.providers.lookup import provider, provider_names

    for name in provider_names():
        try:
            provider(name)
        except DeskhandError as error:
            yield Check(f"provider:{name}", ready=False, detail=error.message, fix=_reinstall(name))
        except Exception as error:  # a plug-in may fail in any way; it must not end the doctor
            detail = f"it raised {type(error).__name__}: {error}"
            yield Check(f"provider:{name}", ready=False, detail=detail, fix=_reinstall(name))
        else:
            yield Check(f"provider:{name}", ready=True, detail="loads")


def _reinstall(name: str) -> str:
    from importlib.metadata import entry_points

    [entry] = entry_points(group="deskhand.providers", name=name) or [None]
    package = entry.dist.name if entry is not None and entry.dist is not None else name
    return f"pip install --upgrade {package}"


def key_checks(environment: Mapping[str, str]) -> Iterator[Check]:
    """Tell which keys are set, never what they are."""
    for name, what_for in KEYS.items():
        ready = any(environment.get(one) for one in (name, *OTHER_NAMES.get(name, ())))
        yield Check(name, ready, "set" if ready else f"not set; {what_for} needs it", f"export {name}=...")
