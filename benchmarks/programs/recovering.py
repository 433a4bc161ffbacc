"""How long a run that died takes until its first new action: the floor only reads its events from SQLite.

The run is played once to its end, with the log and the frames on disk; what a process that died behind so many actions
leaves is the beginning of that log.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import episode_claude
from bench_computer import BenchComputer
from episode import GOAL, frames
from measuring import arguments, report

from deskhand import ClaudeComputerUseHarness, DirectoryBlobs, Engine, EventLog, SqliteLog
from deskhand.harness.events import ActionFinished, Event

_READ = "SELECT payload FROM events ORDER BY seq"


async def _events(log: EventLog, run_id: str) -> list[Event]:
    found: list[Event] = []
    while page := await log.read(run_id, len(found)):
        found += page
    return found


async def _played(folder: Path, harness: Any) -> list[Event]:
    """Play the run, and return all of its events."""
    async with SqliteLog(folder / "whole.db") as log, Engine(log=log, blobs=DirectoryBlobs(folder)) as engine:
        run = await engine.start(harness, BenchComputer(frames()), GOAL)
        result = await run.result()
        assert result.ok, result
        return await _events(log, run.id)


async def _died(path: Path, events: list[Event], actions: int) -> str:
    """Leave a log as a process does that died behind so many actions; return the run's id."""
    done = [place for place, event in enumerate(events) if isinstance(event, ActionFinished)]
    run_id = events[0].run_id
    async with SqliteLog(path) as log:
        log.append(run_id, await log.claim(run_id), events[: done[actions - 1] + 1])
        await log.barrier(run_id)
    return run_id


def _read(path: Path) -> float:
    """Return the seconds in which all events are read, as bytes."""
    began = time.perf_counter()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(_READ).fetchall()
    took = time.perf_counter() - began
    assert rows
    return took


async def _recovered(path: Path, blobs: Path, run_id: str, harness: Any) -> float:
    """Return the seconds from the opening of the log until the first new action is sent."""
    acted = asyncio.Event()
    began = time.perf_counter()
    async with SqliteLog(path) as log, Engine(log=log, blobs=DirectoryBlobs(blobs)) as engine:
        run = await engine.recover(run_id, harness=harness, computer=BenchComputer(frames(), acted.set))
        await acted.wait()
        took = time.perf_counter() - began
        await run.stop(now=True)
        await run.result()
    return took


async def main() -> None:
    """Report the middle of several recoveries, and of as many readings."""
    given = arguments()
    actions, more = given["actions"], 4
    floors: list[float] = []
    found: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with episode_claude.connect(f"{given['url']}/{actions + more}/computer") as client:
            harness = ClaudeComputerUseHarness(episode_claude.MODEL, client, max_turns=10_000)
            events = await _played(folder, harness)
            gc.collect()
            for number in range(given["times"]):
                path = folder / f"{number}.db"
                run_id = await _died(path, events, actions)
                floors.append(_read(path))
                found.append(await _recovered(path, folder, run_id, harness))
    report(seconds=statistics.median(found), floor=statistics.median(floors), least=min(found))


if __name__ == "__main__":
    asyncio.run(main())
