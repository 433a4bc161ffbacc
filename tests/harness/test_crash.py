"""A program that is killed in the middle of its run: every effect has its intent in the log, which can be read."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from deskhand import SqliteLog
from deskhand.harness import Engine
from deskhand.harness.events import ActionFinished, ActionStarted

pytestmark = pytest.mark.slow


def killed(log: Path, ledger: Path, *, after: int, delay: float) -> None:
    """Run the worker and kill it some moments after so many clicks."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.harness.crash_worker", str(log), str(ledger)], stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        assert len(worker.stdout.read(after)) == after
        time.sleep(delay)
        worker.send_signal(signal.SIGKILL)


async def check(log: Path, ledger: Path) -> str:
    """Hold the log of the newest run against the ledger; return the type of its last event."""
    effects = [int(line) for line in (await anyio.Path(ledger).read_text()).split()]
    async with SqliteLog(log) as opened, Engine(log=opened) as engine:
        [newest, *_] = await opened.runs()
        assert not newest.finished
        events = await opened.read(newest.run_id, limit=10_000)
        assert [event.seq for event in events] == list(range(1, newest.last_seq + 1))
        intents = [event.data for event in events if isinstance(event, ActionStarted)]
        clicks = [data.arguments["x"] for data in intents if data.name == "left_click"]
        done = {event.data.call_id for event in events if isinstance(event, ActionFinished)}
        # Each effect once, in the order of the intents; at most the last intent has none.
        assert effects == clicks[: len(effects)]
        assert len(clicks) - len(effects) <= 1
        open_intents = [data for data in intents if data.call_id not in done]
        assert open_intents in ([], intents[-1:])
        happened = [data.arguments["x"] for data in intents if data.name == "left_click" and data.call_id in done]
        assert happened == effects[: len(happened)]  # nothing is called done that was not
        assert (await engine.get(newest.run_id)).ended
        return events[-1].type


@pytest.mark.parametrize("seed", range(4))
async def test_killed_run_has_an_intent_for_each_effect(seed: int, tmp_path: Path) -> None:
    """At whatever moment: no effect twice, none without an intent before it, none invented."""
    chance = random.Random(seed)
    log, ledger = tmp_path / "log.db", tmp_path / "ledger"
    kill = partial(killed, log, ledger, after=chance.randint(1, 30), delay=chance.uniform(0, 0.005))
    await anyio.to_thread.run_sync(kill)
    await check(log, ledger)


@pytest.mark.long
async def test_many_killed_runs_have_an_intent_for_each_effect(tmp_path: Path) -> None:
    """A hundred times, on one log; among them some whose last event is the intent of the action that was under way."""
    chance = random.Random(7)
    log = tmp_path / "log.db"
    last: list[str] = []
    for number in range(100):
        ledger = tmp_path / f"ledger{number}"
        kill = partial(killed, log, ledger, after=chance.randint(1, 10), delay=chance.uniform(0, 0.005))
        await anyio.to_thread.run_sync(kill)
        last.append(await check(log, ledger))
    assert "action.started" in last
