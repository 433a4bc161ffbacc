"""Run one measurement in a fresh process, and several of them side by side."""

from __future__ import annotations

import json
import os
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
_SECONDS = 900
_VENDORS = ("ANTHROPIC_", "OPENAI_", "ORGO_", "MIOSA_", "E2B_", "DAYTONA_", "CUA_", "DESKHAND_")


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
    """A program, its arguments, and whose environment it runs in; deskhand's own where none is named.

    Attributes:
        most: How often it is repeated at most; one that takes long is disturbed little.
        is_peer: Whether the others are still worth measuring without it.
    """

    program: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    environment: str | None = None
    most: int = 100
    is_peer: bool = False


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


def _environment() -> dict[str, str]:
    """Return the environment variables of a cell: none that leads it to a live API, and bytecode is kept."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_VENDORS) and name != "PYTHONDONTWRITEBYTECODE"
    }


def run(cell: Cell) -> Values:
    """Run a cell and return what it reports.

    Raises:
        UnavailableError: If its environment cannot be had, or it fails.
    """
    interpreter = sys.executable if cell.environment is None else python(cell.environment)
    command = [interpreter, str(PROGRAMS / f"{cell.program}.py"), json.dumps(dict(cell.arguments))]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{cell.program} took over {_SECONDS} s") from error
    if done.returncode:
        said = [line.strip(" |+-") for line in done.stderr.splitlines()]  # (an exception group draws a tree)
        last = next((line for line in reversed(said) if line), "it said nothing")
        raise UnavailableError(f"{cell.program} ended with code {done.returncode}: {last}")
    return Values(json.loads(done.stdout.splitlines()[-1]))


def least(cells: Mapping[str, Cell], times: int) -> dict[str, Values]:
    """Run cells in turn, several times, and keep the least of each value: the repetition that was disturbed least."""
    found, gone = side_by_side(cells, times)
    for reason in gone.values():
        raise UnavailableError(reason)
    return found


def side_by_side(cells: Mapping[str, Cell], times: int) -> tuple[dict[str, Values], dict[str, str]]:
    """Do as `least` does, and say of each peer that cannot be measured why.

    Raises:
        UnavailableError: If one that is no peer cannot be measured.
    """
    found: dict[str, Values] = {}
    gone: dict[str, str] = {}
    for repetition in range(times):
        for name, cell in cells.items():
            if name in gone or repetition >= cell.most:
                continue
            try:
                values = run(cell)
            except UnavailableError as error:
                if not cell.is_peer:
                    raise
                gone[name] = str(error)
                found.pop(name, None)
            else:
                found.setdefault(name, values).least(values)
    return found, gone


@contextmanager
def served(program: str, arguments: Mapping[str, object] | None = None) -> Iterator[str]:
    """Run a server in a process of its own, for the block, and give what it says first.

    Raises:
        UnavailableError: If it does not start.
    """
    command = [sys.executable, str(PROGRAMS / f"{program}.py"), json.dumps(dict(arguments or {}))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            said = server.stdout.readline().strip()
            if not said:
                raise UnavailableError(f"{program} did not start")
            yield said
        finally:
            server.stdin.close()


@contextmanager
def model_server() -> Iterator[str]:
    """Run the scripted model for the block; what it is to do follows its address."""
    with served("model_server") as port:
        yield f"http://127.0.0.1:{int(port)}"
