"""An engine: runs that outlive the block that started them, found again, followed all together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from deskhand import DirectoryBlobs, MemoryLog, RunContext, SqliteLog, open_run
from deskhand.errors import ConflictError, ConnectionLostError, InvalidInputError, NotFoundError
from deskhand.harness import Engine, LogEntry, OpenRun, Run
from deskhand.harness import engine as engine_module
from deskhand.harness import order as order_module
from deskhand.harness import stream as stream_module
from deskhand.harness.events import CustomEvent, RunStarted
from deskhand.providers import Click, ComputerSpec, MouseDown, MouseUp, Screen
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.logs import LOGS, attribute
from tests.tools.recording import RecordingComputer


async def wait(run: RunContext) -> None:
    """Drive for ever."""
    await anyio.sleep_forever()


async def count(run: RunContext) -> str:
    """Emit three events."""
    for n in range(3):
        run.emit("test.count", n)
        await anyio.lowlevel.checkpoint()
    return "counted"


async def test_run_outlives_the_block_that_started_it() -> None:
    """It belongs to the engine: whoever started it may leave, and anybody finds it again."""
    async with Engine() as engine:

        async def start() -> str:
            run = await engine.start(Driver(count), computer_with_screen(), "count")
            return run.id

        with anyio.fail_after(10):
            run_id = await start()
            found = await engine.get(run_id)
            assert (await found.result()).outcome == "completed"
            assert engine.list() == []
            again = await engine.get(run_id)
            assert again.ended
            assert (await again.result()).output == "counted"
            with pytest.raises(ConflictError):
                await again.pause()
            with pytest.raises(NotFoundError):
                await engine.get("run_nobody")


async def test_engine_starts_runs_inside_its_block_only() -> None:
    """Before and after it is closed, and says so."""
    engine = Engine()
    with pytest.raises(ConflictError, match="closed"):
        await engine.start(Driver(count), computer_with_screen(), "early")
    async with engine:
        await (await engine.start(Driver(count), computer_with_screen(), "in time")).result()
    with pytest.raises(ConflictError, match="closed"):
        async with engine.open(computer_with_screen(), "late"):
            pass


async def test_frames_of_an_ended_run_are_found_through_the_log(tmp_path: Path) -> None:
    """Those of zooms too, and by another engine on the same log and blobs."""

    async def look(run: RunContext) -> None:
        await run.look()
        await run.act("zoom", x0=0, y0=0, x1=4, y1=4, check=True)

    blobs = DirectoryBlobs(tmp_path / "blobs")
    async with SqliteLog(tmp_path / "log.db") as log:
        async with Engine(log=log, blobs=blobs) as engine:
            run = await engine.start(Driver(look), computer_with_screen(), "look")
            assert (await run.result()).outcome == "completed"
            images = [await run.frame(name) for name in ("f1", "f2")]
        async with Engine(log=log, blobs=blobs) as engine:
            again = await engine.get(run.id)
            assert [await again.frame(name) for name in ("f1", "f2")] == images
            with pytest.raises(NotFoundError, match="f3"):
                await again.frame("f3")


async def test_engine_lists_what_lives() -> None:
    """Oldest first; leaving the engine stops them all, each with its outcome."""
    with anyio.fail_after(10):
        async with Engine() as engine:
            runs = [await engine.start(Driver(wait), computer_with_screen(), "wait") for _ in range(3)]
            assert [run.id for run in engine.list()] == [run.id for run in runs]
            await runs[1].stop(now=True)
            await runs[1].result()
            assert [run.id for run in engine.list()] == [runs[0].id, runs[2].id]
            with attribute(engine_module, "GRACE", 0.05):
                await engine.__aexit__(None, None, None)
    assert [(await run.result()).reason for run in runs] == ["left", "user", "left"]


@pytest.mark.parametrize("kind", list(LOGS))
async def test_events_across_runs_come_in_the_order_of_commits(kind: str, tmp_path: Path) -> None:
    """Every durable event of every run once; the position is where to go on; the end of the engine is the end."""
    async with LOGS[kind](tmp_path) as log:
        live: list[LogEntry] = []

        async def follow(engine: Engine) -> None:
            async for entry in engine.events():
                live.append(entry)  # noqa: PERF401 (what was seen so far counts)

        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(20):
                async with Engine(log=log) as engine:
                    tasks.start_soon(follow, engine)
                    runs = [
                        await engine.start(
                            Driver(count), computer_with_screen(), str(n), workspace=f"w{n % 2}", user="u"
                        )
                        for n in range(4)
                    ]
                    for run in runs:
                        await run.result()
        for run in runs:
            assert [entry.event.seq for entry in live if entry.event.run_id == run.id] == [1, 2, 3, 4, 5, 6]
        positions = [entry.position for entry in live]
        assert positions == sorted(set(positions))

        async with Engine(log=log) as later:
            rest = await read(later, len(live) - 10, after=positions[9])
            assert rest == live[10:]
            only = await read(later, 2, types=[RunStarted], workspace="w1", user="u")
            assert [entry.event.data.goal for entry in only if isinstance(entry.event, RunStarted)] == ["1", "3"]
            globbed = await read(later, 4, types=["run.f*"])
            assert {entry.event.run_id for entry in globbed} == {run.id for run in runs}


async def read(engine: Engine, count: int, **options: object) -> list[LogEntry]:
    """Take so many entries, and hold that there are no more."""
    stream = engine.events(**options)  # type: ignore[arg-type]
    entries = [await anext(stream) for _ in range(count)]
    stream.end()
    assert [entry async for entry in stream] == []
    return entries


async def test_stream_across_runs_can_be_closed_while_it_waits() -> None:
    """By whoever holds it; a wrong position is refused at once."""
    async with Engine() as engine:
        stream = engine.events()
        seen: list[LogEntry] = []

        async def follow() -> None:
            async for entry in stream:
                seen.append(entry)  # noqa: PERF401 (what was seen so far counts)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                await stream.aclose()
        assert seen == []
        for odd in (-1, True, "x"):
            with pytest.raises(InvalidInputError, match="no position"):
                engine.events(after=odd)  # type: ignore[arg-type]


async def test_two_engines_share_one_log(tmp_path: Path) -> None:
    """A run of one process is found, followed and awaited by another."""
    path = tmp_path / "log.db"
    async with SqliteLog(path) as ours, SqliteLog(path) as theirs:
        with anyio.fail_after(20):
            async with Engine(log=ours) as here, Engine(log=theirs) as there:
                run = await here.start(Driver(count), computer_with_screen(), "count")
                await run.result()
                seen = await there.get(run.id)
                counted = [event.data.value async for event in seen.events() if isinstance(event, CustomEvent)]
                assert counted == [0, 1, 2]
                assert (await seen.result()).outcome == "completed"


async def test_who_waits_for_a_run_whose_process_dies_is_told() -> None:
    """The log of a process that is gone has no end of its run, and never will by itself."""

    async def await_end(run: Run[object]) -> None:
        with pytest.raises(ConflictError, match="died"):
            await run.result()

    with anyio.fail_after(10), attribute(stream_module, "_OWNER", 0.01):
        async with MemoryLog() as log, Engine(log=log) as engine:
            run = await engine.start(Driver(count), computer_with_screen(), "count")
            await run.result()
            epoch = await log.claim("run_other")
            log.append("run_other", epoch, await log.read(run.id, limit=1))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(await_end, await engine.get("run_other"))
                await anyio.wait_all_tasks_blocked()  # it lives, and is waited for
                log.release("run_other", epoch)


async def test_run_owns_the_computer_that_was_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made when the run starts, given up when it ends, whoever left before."""
    made: list[RecordingComputer] = []
    closed: list[RecordingComputer] = []

    @asynccontextmanager
    async def opened(name: str, *, spec: ComputerSpec | None = None):  # type: ignore[no-untyped-def]
        assert (name, spec) == ("recording", ComputerSpec(screen=Screen(640, 480)))
        computer = computer_with_screen(640, 480)
        made.append(computer)
        try:
            yield computer
        finally:
            closed.append(computer)

    monkeypatch.setattr(order_module, "open_computer", opened)

    async def drive(run: RunContext) -> str:
        return str((await run.look()).width)

    with anyio.fail_after(10):
        async with Engine() as engine:
            spec = ComputerSpec(screen=Screen(640, 480))
            run = await engine.start(Driver(drive), spec, "look", provider="recording")
            assert (await run.result()).output == "640"
            await anyio.wait_all_tasks_blocked()
            assert made == closed
            waiting = await engine.start(Driver(wait), spec, "wait", provider="recording")
            await waiting.stop(now=True)
            await waiting.result()
            await anyio.wait_all_tasks_blocked()
            assert made == closed
            assert len(made) == 2


async def test_computer_that_cannot_be_given_up_is_told_on_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    """It harms neither its own run's result nor any other run."""

    @asynccontextmanager
    async def opened(name: str, *, spec: ComputerSpec | None = None):  # type: ignore[no-untyped-def]
        yield computer_with_screen()
        raise ConnectionLostError(f"{name} did not answer")

    monkeypatch.setattr(order_module, "open_computer", opened)

    async def main() -> None:
        async with Engine() as engine:
            other = await engine.start(Driver(wait), computer_with_screen(), "wait")
            run = await engine.start(Driver(count), ComputerSpec(), "count", provider="flaky")
            assert (await run.result()).output == "counted"
            await anyio.wait_all_tasks_blocked()
            assert not other.ended
            await other.stop(now=True)
            assert (await other.result()).reason == "user"

    with anyio.fail_after(10), pytest.raises(ConnectionLostError, match="flaky did not answer"):
        await main()


async def test_computer_is_free_when_its_run_has_ended() -> None:
    """Whoever awaited a run's result can start the next on the same computer at once."""
    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with Engine() as engine:
            for _ in range(5):
                run = await engine.start(Driver(count), computer, "count")
                (await run.result()).raise_for_outcome()


async def test_run_that_another_process_took_over_ends_before_its_next_effect(tmp_path: Path) -> None:
    """The older owner of a run neither acts nor writes any more."""
    computer = computer_with_screen()
    taken = anyio.Event()

    async def drive(run: RunContext) -> None:
        await run.act("left_click", x=1, y=1)
        await taken.wait()
        await run.act("left_click", x=2, y=2)

    path = tmp_path / "log.db"
    with anyio.fail_after(20):
        async with SqliteLog(path) as ours, SqliteLog(path) as theirs, Engine(log=ours) as engine:
            run = await engine.start(Driver(drive), computer, "click")
            async for event in run.events(types=["action.finished"]):
                await theirs.claim(event.run_id)
                taken.set()
                break
            result = await run.result()
            kinds = [event.type for event in await theirs.read(run.id)]
    assert (result.outcome, result.reason) == ("failed", "journal")
    assert result.error is not None
    assert result.error.code == "fenced"
    assert computer.performed == [Click(1, 1)]
    assert kinds[-1] == "action.finished"


async def test_run_that_cannot_start_leaves_nothing() -> None:
    """No computer is leased, no event written; the error is the caller's."""

    class BadComputer(RecordingComputer):
        @property
        def info(self):  # type: ignore[no-untyped-def]
            raise ConnectionError("gone")

    good = computer_with_screen()
    async with MemoryLog() as log, Engine(log=log) as engine:
        with pytest.raises(ConnectionError):
            await engine.start(Driver(wait), [good, BadComputer()], "start")
        with pytest.raises(InvalidInputError, match="at least one computer"):
            await engine.start(Driver(wait), [], "start")
        async with good.lease("test"):
            pass
        assert await log.runs() == []
        assert engine.list() == []


async def test_open_run_in_another_task_is_stopped_with_its_engine() -> None:
    """A block that does not know that its engine is being left is cancelled, and its button released."""
    computer = computer_with_screen()
    outcome: list[str | None] = []

    async def own_loop(engine: Engine, opened: anyio.Event) -> None:
        async with engine.open(computer, "mine") as run:
            await run.act("left_mouse_down")
            opened.set()
            await anyio.sleep_forever()
        outcome.append((await run.result()).reason)

    with anyio.fail_after(10), attribute(engine_module, "GRACE", 0.2):
        async with anyio.create_task_group() as tasks, Engine() as engine:
            opened = anyio.Event()
            tasks.start_soon(own_loop, engine, opened)
            await opened.wait()
    assert outcome == ["left"]
    assert computer.performed == [MouseDown("left"), MouseUp("left")]


async def test_time_limit_around_an_open_run_is_the_callers_own() -> None:
    """The limit ends the block with the caller's timeout, not with an error of the run."""
    computer = computer_with_screen()
    with anyio.move_on_after(0.05) as scope:
        async with open_run(computer, "mine") as run:
            while True:
                await run.act("left_click", x=1, y=1)
                await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert (await run.result()).reason == "cancelled"

    async def for_ever() -> None:
        async with open_run(computer, "mine", metadata={"kind": "native"}) as run:
            runs.append(run)
            await anyio.sleep_forever()

    runs: list[OpenRun] = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(for_ever(), 0.05)
    assert (await runs[0].result()).reason == "cancelled"


async def test_ended_run_is_kept_by_nobody_but_its_holder() -> None:
    """An engine that serves for months holds nothing of runs that ended, ring and frames included."""
    import gc
    import weakref

    async with MemoryLog() as log, Engine(log=log) as engine:
        run = await engine.start(Driver(count), computer_with_screen(), "count")
        assert run._live is not None
        state = weakref.ref(run._live.state)
        feed = weakref.ref(run._live.state.feed)
        await run.result()
        del run
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert state() is None
        assert feed() is None
