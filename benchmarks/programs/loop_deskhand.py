"""deskhand's loop for Claude, with everything on: events to a subscriber, the log in SQLite."""

from __future__ import annotations

import asyncio
import functools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anthropic import AsyncAnthropic
from bench_computer import BenchComputer
from episode import GOAL, MODEL
from playing import play

from deskhand import ClaudeComputerUseHarness, Run, SqliteLog


async def _follow(run: Run[str]) -> None:
    async for _event in run.events():
        pass


async def episode(log: SqliteLog, client: AsyncAnthropic | None, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    computer = BenchComputer(frames)
    harness = ClaudeComputerUseHarness(MODEL, client, max_turns=1000)
    async with harness.start(computer, GOAL, log=log) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(_follow, run)
        result = await run.result()
    result.raise_for_outcome()
    return computer.actions - 1  # the first look was the loop's own


@asynccontextmanager
async def _own_client(url: str) -> AsyncIterator[None]:
    """Let the loop make its client itself."""
    os.environ |= {"ANTHROPIC_API_KEY": "benchmark", "ANTHROPIC_BASE_URL": url}
    yield


async def main() -> None:
    """Play with one log, as a program would."""
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteLog(Path(folder) / "log.db") as log:
            await play(functools.partial(episode, log), _own_client)


if __name__ == "__main__":
    asyncio.run(main())
