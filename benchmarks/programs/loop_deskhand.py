"""deskhand's loops, with everything on: events to a subscriber, the log in SQLite, the policy of `deskhand run`."""

from __future__ import annotations

import asyncio
import functools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from bench_computer import BenchComputer
from episode import GOAL
from measuring import arguments
from playing import play

from deskhand import DirectoryBlobs, Harness, Policy, Run, SqliteLog

_POLICY = Policy.cautious()


def _harness(given: Mapping[str, Any], client: Any) -> Harness[str]:
    if given["vendor"] == "claude":
        from deskhand import ClaudeComputerUseHarness

        return ClaudeComputerUseHarness(given.get("model", "claude-sonnet-5-5"), client, max_turns=1000)
    from deskhand import OpenAIComputerUseHarness, OpenAIFunctionHarness

    harness = OpenAIComputerUseHarness if given["kind"].endswith("computer") else OpenAIFunctionHarness
    return harness("gpt-5.5", client, max_turns=1000, keep_on_server=given.get("on_server", False))


def _connect(vendor: str, url: str) -> Any:
    """Return a client of the vendor's."""
    if vendor == "claude":
        import episode_claude

        return episode_claude.connect(url)
    import episode_openai

    return episode_openai.connect(url)


@asynccontextmanager
async def _own_client(url: str) -> AsyncIterator[None]:
    """Let the loop make its client itself."""
    for vendor in ("ANTHROPIC", "OPENAI"):
        os.environ |= {f"{vendor}_API_KEY": "benchmark", f"{vendor}_BASE_URL": url}
    yield


async def _follow(run: Run[str]) -> None:
    async for _event in run.events():
        pass


async def _episode(given: Mapping[str, Any], folder: Path, log: SqliteLog, client: Any, frames: Iterator[bytes]) -> int:
    computer = BenchComputer(frames)
    harness = _harness(given, client)
    blobs = DirectoryBlobs(folder / "blobs") if given.get("on_disk") else None
    async with (
        harness.start(computer, GOAL, log=log, blobs=blobs, policy=_POLICY) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_follow, run)
        result = await run.result()
    result.raise_for_outcome()
    return computer.actions - 1  # the first look was the loop's own


async def main() -> None:
    """Play with one log, as a program would."""
    given = arguments()
    connect = _own_client if "firsts" in given else functools.partial(_connect, given["vendor"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with SqliteLog(folder / "log.db") as log:
            await play(functools.partial(_episode, given, folder, log), connect)


if __name__ == "__main__":
    asyncio.run(main())
