"""Runs cancelled at every suspension of their caller: one outcome, nothing held, nothing left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from deskhand import MemoryLog, RunContext, SqliteLog, ToolCall, open_run
from deskhand.harness import Engine, EventLog, ProbeHarness, Run
from deskhand.harness.events import FrameCaptured, Usage
from deskhand.providers import MouseDown, MouseUp
from deskhand.tools import ToolRegistry
from tests.cancellation.injector import Counted, Mode, Schedule, explore, explore_pairs, open_descriptors, pairs_of
from tests.harness.driving import Driver, computer_with_screen
from tests.tools.recording import RecordingComputer

pytestmark = pytest.mark.slow


class StopNow(anyio.CancelScope):
    """Stops a run where another scope would be cancelled."""

    def __new__(cls, run: Run[str]) -> StopNow:
        return object.__new__(cls)

    def __init__(self, run: Run[str]) -> None:
        self.run = run

    def cancel(self, reason: str | None = None) -> None:
        """Stop the run."""
        with suppress(StopIteration):  # (it never waits)
            self.run.stop(now=True).send(None)


async def look_and_wait(run: RunContext) -> None:
    """Drive until stopped."""
    await run.act("left_mouse_down")
    await run.look()
    while True:
        await run.act("exec", command="x")
        await anyio.lowlevel.checkpoint()


def tools() -> ToolRegistry:
    """Make tools that wait in every way there is."""
    registry = ToolRegistry()

    @registry.tool
    async def waits() -> str:
        """Wait on the loop."""
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        return "waited"

    @registry.tool
    def works() -> str:
        """Work in a thread."""
        return "worked"

    return registry


async def everything(run: RunContext) -> None:
    """Use all that a driver has."""
    await run.act("left_mouse_down")
    async with run.turn(model="m") as turn:
        await anyio.lowlevel.checkpoint()
        calls = await turn.record("text", [ToolCall("waits"), ToolCall("works")], Usage(input=1), raw=b"{}")
    await run.act_batch(calls)
    frame = await run.look()
    await run.image(frame)
    await run.on("cmp_1").act("type", text="a")


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

    async def steering(self) -> None:
        """Everything that one can ask of an engine and a run."""
        self.computer, self.outcomes = computer_with_screen(), {}
        log = self.log()
        try:
            async with log, Engine(log=log) as engine:
                run = await engine.start(Driver(look_and_wait), self.computer, "look", workspace="w")
                async for event in run.events(types=["frame.captured"]):
                    assert isinstance(event, FrameCaptured)
                    await run.frame(event.data.frame_id)
                    break
                await run.pause()
                await run.step()
                await run.resume()
                await engine.get(run.id)
                across = engine.events(types=["run.*"], workspace="w")
                await anext(across)
                await across.aclose()
                await run.stop(now=True)
                await run.result()
                await (await engine.get(run.id)).result()
        finally:
            await self.remember(log)

    async def stopped(self, schedule: Schedule) -> None:
        """A driver that does everything, stopped at some suspension."""
        self.computer, self.outcomes = computer_with_screen(), {}
        holder: list[Run[str]] = []
        started = anyio.Event()

        async def drive(run: RunContext) -> None:
            await started.wait()
            schedule.task = asyncio.current_task()
            schedule.scope = StopNow(holder[0])
            await Counted(everything(run), schedule)

        async with MemoryLog() as log:
            try:
                async with Driver(drive).start(self.computer, "everything", tools=[*tools()], log=log) as run:
                    holder.append(run)
                    started.set()
                    with anyio.fail_after(20):
                        result = await run.result()
                    assert result.outcome == ("stopped" if schedule.where else "completed"), result
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


@pytest.mark.parametrize("scenario", ["own_loop", "bundled_loop", "steering"])
def test_run_cancelled_once_at_any_suspension_ends_in_one_outcome(scenario: str) -> None:
    """Scope and native cancellation, in memory."""
    bench = Bench()
    assert explore(getattr(bench, scenario), bench.check) > 3


@pytest.mark.parametrize("scenario", ["own_loop", "bundled_loop"])
def test_run_cancelled_once_leaves_a_sound_file(scenario: str, tmp_path: Path) -> None:
    """The same with a log in a file: it opens, and each run in it ends once."""
    bench = Bench(tmp_path / "log.db")
    assert explore(getattr(bench, scenario), bench.check) > 5


@pytest.mark.parametrize("mode", ["scope", "native", "mixed"])
@pytest.mark.parametrize("scenario", ["own_loop", "bundled_loop", "steering"])
def test_run_cancelled_twice_at_any_pair_of_suspensions_ends_in_one_outcome(scenario: str, mode: Mode) -> None:
    """A second cancellation during the clean-up after the first changes nothing."""
    bench = Bench()
    act = getattr(bench, scenario)
    explore_pairs(act, bench.check, pairs_of(act, most=400), mode=mode)


def test_run_stopped_now_at_any_suspension_of_its_driver_ends_in_one_outcome() -> None:
    """Whatever the driver waits for: an action, a batch on two computers, a turn, a tool."""
    bench = Bench()
    total, n = 1, 0
    while n < total:  # the first pass, with no stop, counts
        schedule = Schedule(frozenset({n} if n else ()), "scope")
        asyncio.run(bench.stopped(schedule))
        total = max(total, schedule.seen) if n == 0 else total
        bench.check()
        n += 1
    assert total > 10
