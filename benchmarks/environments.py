"""Environments of the peers' own, made on first use: one folder each under ``benchmarks/.venvs``."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent / ".venvs"
_SECONDS = 600


class UnavailableError(Exception):
    """Something cannot be measured on this machine."""


def _same(distribution: str) -> str:
    """Pin a distribution to the version that deskhand uses here, so that like is compared with like."""
    return f"{distribution}=={importlib.metadata.version(distribution)}"


def requirements(name: str) -> list[str]:
    """Return what stands in an environment."""
    return {
        "anthropic": [_same(each) for each in ("anthropic", "httpx2", "anyio", "pydantic")],
        "streams": [_same("anyio")],
        "pyautogui": ["pyautogui", _same("pillow")],
    }[name]


def python(name: str) -> str:
    """Return the interpreter of an environment, made first where it is not there or holds something else.

    Raises:
        UnavailableError: If it cannot be made.
    """
    wanted = "\n".join(requirements(name))
    folder = _FOLDER / name
    interpreter, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if not (interpreter.exists() and stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, requirements(name))
        stamp.write_text(wanted)
    return str(interpreter)


def _make(folder: Path, wanted: list[str]) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if uv:
        commands = [
            [uv, "venv", "-q", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "-q", "--python", str(folder / "bin" / "python"), *wanted],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *wanted],
        ]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"{' '.join(wanted)} took over {_SECONDS} s to install") from error
        except subprocess.CalledProcessError as error:
            last = (error.stderr or "").strip().splitlines()[-1:] or ["no reason given"]
            raise UnavailableError(f"{' '.join(wanted)} cannot be installed: {last[0]}") from error
