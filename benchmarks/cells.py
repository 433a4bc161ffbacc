"""Run one measurement in a fresh process, and several of them side by side."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from benchmarks.environments import UnavailableError, python

PROGRAMS = Path(__file__).parent / "programs"
_SECONDS = 600


class Values(dict[str, float]):
    """What a cell reports; a list is what it measured many times."""

    def median(self, name: str) -> float:
        """Return the middle of what was measured many times."""
        return statistics.median(cast("list[float]", self[name]))

    def least(self, other: Mapping[str, float]) -> None:
        """Keep the least of each value of two reports."""
        for name, value in other.items():
            self[name] = min(self[name], value)


@dataclass(frozen=True, slots=True)
class Cell:
    """A program, its arguments, and whose environment it runs in; deskhand's own where none is named."""

    program: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How thorough a run is.

    Attributes:
        quick: Whether fewer and smaller repetitions are made; then no goal is judged on time.
    """

    quick: bool = False

    def times(self, thorough: int, quick: int = 1) -> int:
        """Return how often something is done."""
        return quick if self.quick else thorough


def run(cell: Cell) -> Values:
    """Run a cell and return what it reports.

    Raises:
        UnavailableError: If its environment cannot be had, or it fails.
    """
    interpreter = sys.executable if cell.environment is None else python(cell.environment)
    command = [interpreter, str(PROGRAMS / f"{cell.program}.py"), json.dumps(dict(cell.arguments))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{cell.program} took over {_SECONDS} s") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise UnavailableError(f"{cell.program} ended with code {done.returncode}: {last[0]}")
    return Values(json.loads(done.stdout.splitlines()[-1]))


def least(cells: Mapping[str, Cell], times: int) -> dict[str, Values]:
    """Run cells in turn, several times, and keep the least of each value: the repetition that was disturbed least."""
    found: dict[str, Values] = {}
    for _ in range(times):
        for name, cell in cells.items():
            values = run(cell)
            found.setdefault(name, values).least(values)
    return found


@contextmanager
def model_server() -> Iterator[str]:
    """Run the scripted model in a process of its own, for the block; its address comes before the number of actions."""
    command = [sys.executable, str(PROGRAMS / "model_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()
