"""Runs cancelled at every suspension of their caller: one outcome, nothing held, nothing left."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import anyio
import pytest

from deskhand import MemoryLog, SqliteLog, ToolCall, open_run
from deskhand.harness import EventLog, ProbeHarness
from deskhand.providers import MouseDown, MouseUp
from tests.cancellation.injector import Mode, explore, explore_pairs, open_descriptors, run_once
from tests.harness.driving import computer_with_screen
from tests.tools.recording import RecordingComputer

pytestmark = pytest.mark.slow


class Bench:
    """A scenario with its computer and log, and what must hold after it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.computer: RecordingComputer = computer_with_screen()
        self.outcomes: dict[str, list[str]] = {}
        self.descriptors = len(open_descriptors())

    def log(self) -> EventLog:
        """Open a fresh log, in memory or in a file."""
        return MemoryLog() if self.path is None else SqliteLog(self.path)

    async def own_loop(self) -> None:
        """A loop of one's own that holds a button while it is cancelled."""
        self.computer, self.outcomes = computer_with_screen(), {}
        log = self.log()
        try:
            async with log, open_run(self.computer, goal="act", log=log) as run:
                await run.look()
                await run.act("left_mouse_down")
                await run.act_batch([ToolCall("right_click", {"x": 1, "y": 1}), ToolCall("exec", {"command": "x"})])
                async for event in run.events(types=["action.finished"]):
                    if event.seq and event.seq > 5:
                        break
        finally:
            await self.remember(log)

    async def bundled_loop(self) -> None:
        """A bundled loop, started, followed and awaited."""
        self.computer, self.outcomes = computer_with_screen(), {}
        log = self.log()
        try:
            async with log, ProbeHarness().start(self.computer, "probe", log=log) as run:
                async for _ in run.events():
                    pass
                await run.result()
        finally:
            await self.remember(log)

    async def remember(self, log: EventLog) -> None:
        """Keep what a memory log tells; a file is read afterwards."""
        if isinstance(log, MemoryLog):
            for entry in log._entries:
                self.outcomes.setdefault(entry.event.run_id, []).append(entry.event.type)

    async def _lease(self) -> None:
        async with self.computer.lease("test"):
            pass

    def check(self) -> None:
        """Hold every invariant."""
        if self.path is not None and self.path.exists():
            import sqlite3

            with sqlite3.connect(self.path) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                for run_id, kind in connection.execute("SELECT run_id, type FROM events ORDER BY run_id, seq"):
                    self.outcomes.setdefault(run_id, []).append(kind)
            connection.close()
        for kinds in self.outcomes.values():
            assert kinds.count("run.finished") == 1, kinds
            assert kinds[-1] == "run.finished", kinds
            assert kinds.count("action.started") <= kinds.count("action.finished")
        held = [action for action in self.computer.performed if isinstance(action, MouseDown | MouseUp)]
        assert not held or isinstance(held[-1], MouseUp), held
        anyio.run(self._lease)
        assert len(open_descriptors()) <= self.descriptors


@pytest.mark.parametrize("scenario", ["own_loop", "bundled_loop"])
def test_run_cancelled_once_at_any_suspension_ends_in_one_outcome(scenario: str) -> None:
    """Scope and native cancellation, in memory."""
    bench = Bench()
    assert explore(getattr(bench, scenario), bench.check) > 3


@pytest.mark.parametrize("scenario", ["own_loop", "bundled_loop"])
def test_run_cancelled_once_leaves_a_sound_file(scenario: str, tmp_path: Path) -> None:
    """The same with a log in a file: it opens, and each run in it ends once."""
    bench = Bench(tmp_path / "log.db")
    assert explore(getattr(bench, scenario), bench.check) > 5


@pytest.mark.parametrize("mode", ["scope", "native"])
def test_run_cancelled_twice_at_any_pair_of_suspensions_ends_in_one_outcome(mode: Mode) -> None:
    """A second cancellation during the clean-up after the first changes nothing."""
    bench = Bench()
    total = run_once(bench.own_loop, frozenset(), "scope").seen
    pairs = list(itertools.combinations(range(1, total + 3), 2))
    if len(pairs) > 600:
        pairs = random.Random(7).sample(pairs, 600)
    explore_pairs(bench.own_loop, bench.check, pairs, mode=mode)
