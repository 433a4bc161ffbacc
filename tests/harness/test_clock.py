"""The wall clock is set while a run goes, or the machine sleeps: only what is told to people changes."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).with_name("jumping_clock.c")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What sets one program's clock."""
    path = tmp_path_factory.mktemp("clock") / "jumping_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, _SOURCE], check=True)
    return path


def told_by_run(library: Path, folder: Path, seconds: int) -> dict[str, Any]:
    """Have a run during which the clock is set by so many seconds, and back."""
    clock = folder / "clock"
    clock.write_bytes(struct.pack("q", 0))
    environment = {**os.environ, "LD_PRELOAD": str(library), "JUMPING_CLOCK": str(clock)}
    command = [sys.executable, "-m", "tests.harness.clock_worker", str(seconds), str(folder / "log.db")]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=50)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("seconds", [3600, -3600, 600], ids=["set-forward", "set-back", "ten-minutes-asleep"])
def test_clock_that_is_set_changes_no_deadline(library: Path, tmp_path: Path, seconds: int) -> None:
    """An approval is waited for as long as ever, actions and budgets have their time, numbers rise."""
    told = told_by_run(library, tmp_path, seconds)
    assert told["outcome"] == "completed", told["error"]
    assert told["outcomes"] == ["ok", "denied", "ok"]  # approved; expired; in time
    assert told["numbers"] == list(range(1, len(told["numbers"]) + 1))
    assert any(abs(step - seconds) < 100 for step in told["steps"])  # the clock was set indeed, and back
    assert any(abs(step + seconds) < 100 for step in told["steps"])
    assert all(0 <= duration < 100 for duration in told["durations"])
