"""Environments of the peers' own, made on first use: one folder each under ``benchmarks/.venvs``."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent / ".venvs"
_SECONDS = 600
_used: set[str] = set()


class UnavailableError(Exception):
    """Something cannot be measured on this machine."""


def _same(*distributions: str) -> list[str]:
    """Pin distributions to the versions that deskhand uses here, so that like is compared with like."""
    return [f"{each}=={importlib.metadata.version(each)}" for each in distributions]


def requirements(name: str) -> list[str]:
    """Return what stands in an environment, with the vendors' clients that deskhand uses where it takes them."""
    anthropic, openai = ("anthropic", "httpx2", "anyio", "pydantic"), ("openai", "httpx2", "anyio", "pydantic")
    return {
        "anthropic": _same(*anthropic),
        "openai": _same(*openai),
        "openai-agents": ["openai-agents==0.24.0", *_same(*openai)],
        "pydantic-ai": ["pydantic-ai-slim[anthropic,openai]==2.68.0", *_same("anthropic", *openai)],
        "langchain": [
            *("langchain==1.5.2", "langchain-anthropic==1.7.10", "langchain-openai==1.7.4"),
            *_same("anthropic", "openai"),
        ],
        "cua-agent": ["cua-agent==0.9.1"],  # (it asks for other versions of the vendors' clients)
        "orgo": ["orgo==0.0.47", *_same("httpx2", "anyio", "pillow")],
        "streams": _same("anyio"),
        "pyautogui": ["pyautogui", *_same("pillow")],
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
    _used.add(name)
    return str(interpreter)


def versions() -> list[str]:
    """Return what stood in the environments that were used, each distribution with its version."""
    pinned = {requirement for name in _used for requirement in requirements(name)}
    return sorted(requirement.replace("==", " ") for requirement in pinned)


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
