"""Environments with the vendors' own packages, which would not go together with what is installed here.

Each has a file of pinned requirements beside this one, is made in ``.judges`` on first use, and made anew when the file
or the Python changes. ::

    python = await judge("orgo")
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

ROOT = Path(__file__).parents[2]
STAMP = ".made-from"
PATIENCE = 540
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.devnull, "no_proxy": "*"}
"""What a vendor's package finds around it: nothing of whoever runs the tests."""


async def judge(name: str) -> Path:
    """Return the Python of a judge's environment, which is made where it is not there.

    Raises:
        AssertionError: If it cannot be installed: then the judge has not judged.
    """
    return await anyio.to_thread.run_sync(_make, name)


async def driven(name: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run the program of a vendor's own package, and return what it told in its last line.

    Args:
        name: The judge; its program has its name.
        *arguments: The program's arguments.
        **environment: Variables besides the few that it always has.
    """
    program = [str(await judge(name)), str(Path(__file__).with_name(f"{name}_program.py"))]
    with anyio.fail_after(90):
        ended = await anyio.run_process([*program, *arguments], env={**ENVIRONMENT, **environment}, check=False)
    assert ended.returncode == 0, ended.stderr.decode()[-3000:]
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def _make(name: str) -> Path:
    requirements = ROOT / "tests" / "judges" / f"{name}.txt"
    folder = (ROOT / ".judges").resolve() / name  # trees may share one
    folder.parent.mkdir(exist_ok=True)
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode() + str(folder).encode()).hexdigest()
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers may want it at the same time
        python = folder / "bin" / "python"
        stamp = folder / STAMP
        if not (stamp.is_file() and stamp.read_text() == wanted):
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, python, requirements)
            stamp.write_text(wanted)
    return python


def _install(folder: Path, python: Path, requirements: Path) -> None:
    uv = shutil.which("uv")
    venv.create(folder, with_pip=uv is None)
    if uv is not None:
        command = [uv, "pip", "install", "-q", "--python", str(python), "-r", str(requirements)]
    else:
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"the judge {requirements.stem} cannot be installed:\n{done.stderr[-2000:]}"
