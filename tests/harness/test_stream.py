"""Streams of a live run: exactly the rest, whatever the reader's pace, and nothing where nothing happens."""

from __future__ import annotations

import asyncio
import functools
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deskhand import MemoryLog, SqliteLog
from deskhand.errors import ConflictError, FencedError, InvalidInputError, JournalError, NotFoundError
from deskhand.harness import EventLog
from deskhand.harness.events import Event, ModelDelta, RunFinished, StreamGap
from deskhand.harness.stream import EventStream, Feed, subscribe
from tests.harness.logs import LOGS, custom, finished, value_of


def delta(text: str) -> ModelDelta:
    """Make a transient event."""
    return ModelDelta.model_validate(
        {"source": "/runs/a", "run_id": "a", "data": {"kind": "text", "message_id": "m", "delta": text}}
    )


@asynccontextmanager
async def a_log(kind: str) -> AsyncIterator[EventLog]:
    """Open a fresh log of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        async with LOGS[kind](Path(folder)) as log:
            yield log


def check_is_the_rest(events: list[Event], after: int, last: int) -> None:
    """Hold that durable events and gaps together cover every number behind ``after`` once, in order."""
    expected = after + 1
    for event in events:
        if isinstance(event, StreamGap):
            assert event.data.from_seq == expected
            assert event.data.to_seq >= event.data.from_seq
            expected = event.data.to_seq + 1
        elif event.seq is not None:
            assert event.seq == expected
            expected += 1
    assert expected == last + 1
    assert events[-1].type == "run.finished"


class Reader:
    """A subscriber that attaches at a number and takes so many events a turn."""

    def __init__(self, after: int, pace: int) -> None:
        self.after = after
        self.pace = pace
        self.events: list[Event] = []

    async def read(self, stream: EventStream) -> None:
        """Read to the end."""
        async for event in stream:
            self.events.append(event)
            if len(self.events) % self.pace == 0:
                await anyio.lowlevel.checkpoint()


STEPS = st.lists(st.sampled_from(["durable", "transient", "trim", "turn", "barrier"]), min_size=1, max_size=40)


@pytest.mark.parametrize("kind", list(LOGS))
def test_subscriber_at_every_number_of_a_live_run_gets_exactly_the_rest(kind: str) -> None:
    """Whatever is emitted, trimmed and read at whatever pace: no hole, no double, and gaps told only where trimmed."""

    async def live(steps: list[str], ring: int, pace: int) -> None:
        async with a_log(kind) as log:
            feed = await Feed.open(log, "a", ring=ring)
            readers: list[Reader] = []
            trimmed = False
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:

                    def attach(after: int) -> None:
                        for stream in (feed.subscribe(after=after), subscribe(log, "a", after=after)):
                            readers.append(Reader(after, pace + len(readers) % 3))
                            tasks.start_soon(readers[-1].read, stream)

                    feed.emit(custom("a", 0))
                    await feed.barrier()
                    attach(0)
                    for step in steps:
                        match step:
                            case "durable":
                                feed.emit(custom("a", feed.last_seq))
                                await feed.barrier()
                                attach(feed.last_seq)
                            case "transient":
                                feed.emit(delta("x"))
                            case "trim":
                                await log.trim("a", max(1, feed.last_seq - 1))
                                trimmed = True
                            case "barrier":
                                await feed.barrier()
                            case _:
                                await anyio.lowlevel.checkpoint()
                    feed.emit(finished("a"))
                    await feed.barrier()
                    feed.close()
                    last = feed.last_seq
            for reader in readers:
                check_is_the_rest(reader.events, reader.after, last)
                if not trimmed:
                    assert not any(isinstance(event, StreamGap) for event in reader.events)

    @settings(
        max_examples=60 if kind == "memory" else 12,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @example(steps=["durable"] * 8 + ["trim", "turn", "durable"], ring=2, pace=1)
    @example(steps=["transient", "durable", "transient"] * 4, ring=3, pace=7)
    @given(steps=STEPS, ring=st.sampled_from([1, 2, 3, 8, 4096]), pace=st.integers(1, 7))
    def held(steps: list[str], ring: int, pace: int) -> None:
        asyncio.run(live(steps, ring, pace))

    held()


async def test_subscriber_behind_the_end_of_a_run_has_nothing_to_wait_for() -> None:
    """Who has seen the last event and comes again gets none, from a run whose holder still holds it as from a log."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a")
        feed.emit(custom("a", 1))
        early = feed.subscribe(after=1)
        feed.emit(finished("a"))
        feed.close()
        with anyio.fail_after(5):
            assert [event.seq async for event in early] == [2]
            assert [event.seq async for event in feed.subscribe(after=2)] == []
            assert [event.seq async for event in subscribe(log, "a", after=2)] == []
            assert await feed.subscribe(after=2, types=["run.*"]).batch() == []


async def test_late_subscriber_is_told_of_what_was_trimmed() -> None:
    """The gap names both ends, and comes before what is left."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a", ring=2)
        for value in range(9):
            feed.emit(custom("a", value))
        await log.trim("a", 5)
        feed.emit(finished("a"))
        events = [event async for event in feed.subscribe(after=1)]
        assert isinstance(events[0], StreamGap)
        assert (events[0].data.from_seq, events[0].data.to_seq) == (2, 4)
        assert [event.seq for event in events[1:]] == [5, 6, 7, 8, 9, 10]
        only = [event.type async for event in feed.subscribe(after=1, types=["run.*"])]
        assert only == ["stream.gap", "run.finished"]
        await log.trim("a", 99)
        [gap] = [event async for event in _some(subscribe(log, "a", after=3), 1)]
        assert isinstance(gap, StreamGap)
        assert (gap.data.from_seq, gap.data.to_seq) == (4, 10)


async def _some(stream: EventStream, count: int) -> AsyncIterator[Event]:
    for _ in range(count):
        yield await anext(stream)


class CountedTask:
    """Counts how often the loop runs the subscribers' coroutines."""

    def __init__(self) -> None:
        self.turns = 0

    async def read(self, feed: Feed) -> None:
        """Follow to the end, and count each time that something was to be had."""
        stream = feed.subscribe()
        async for _ in stream:
            self.turns += 1


async def test_idle_subscribers_cause_no_wakeups() -> None:
    """A thousand who wait cost nothing: nobody is woken and no callback is scheduled while nothing happens."""
    loop = asyncio.get_running_loop()
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a")
        counted = CountedTask()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for _ in range(1000):
                    tasks.start_soon(counted.read, feed)
                await anyio.wait_all_tasks_blocked()
                assert feed.wakes == 0
                assert len(loop._ready) == 0  # type: ignore[attr-defined]
                timers = len(loop._scheduled)  # type: ignore[attr-defined]
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                assert feed.wakes == 0
                assert len(loop._scheduled) == timers  # type: ignore[attr-defined]
                for value in range(64):
                    feed.emit(custom("a", value))
                await anyio.wait_all_tasks_blocked()
                assert feed.wakes == 1  # a burst wakes everybody once
                assert counted.turns == 64_000
                feed.emit(finished("a"))
        assert feed.wakes == 2


async def test_stalled_subscriber_costs_only_itself() -> None:
    """The run is never held up, memory stays at the ring's size, the healthy get all, the stalled learns its gap."""
    total, ring = 20_000, 256
    async with MemoryLog(10 * total) as log:
        feed = await Feed.open(log, "a", ring=ring)
        stalled = feed.subscribe()
        healthy = Reader(0, 10**9)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(healthy.read, feed.subscribe())
                feed.emit(custom("a", 0))
                first = await anext(stalled)
                for value in range(1, total):
                    feed.emit(custom("a", value))  # synchronous: there is nothing here that could wait
                    if value % 64 == 0:
                        await anyio.lowlevel.checkpoint()
                        await log.trim("a", max(1, value - 1000))
                        assert len(feed._ring) <= ring
                feed.emit(finished("a"))
            check_is_the_rest(healthy.events, 0, total + 1)
            assert not any(isinstance(event, StreamGap) for event in healthy.events)
            rest = [event async for event in stalled]
        assert first.seq == 1
        assert isinstance(rest[0], StreamGap)
        check_is_the_rest(rest, 1, total + 1)


async def test_lagging_subscriber_misses_transient_events_never_durable_ones() -> None:
    """What left the ring is read from the log, which holds no transient events."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a", ring=4)
        stream = feed.subscribe()
        for value in range(10):
            feed.emit(delta(str(value)))
            feed.emit(custom("a", value))
        feed.emit(finished("a"))
        events = [event async for event in stream]
        check_is_the_rest(events, 0, 11)
        assert len([event for event in events if event.seq is None]) < 10


async def test_event_is_seen_only_once_it_is_committed() -> None:
    """A subscriber never sees what a crash of the process could undo, and sees transient events in their place."""

    class Held(MemoryLog):
        """Says that an append is committed only when told to."""

        async def claim(self, run_id: str, listener: object = None) -> int:
            assert callable(listener)
            self.told = listener
            return await super().claim(run_id)

    async with Held() as log:
        feed = await Feed.open(log, "a")
        reader = Reader(0, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.read, feed.subscribe())
            feed.emit(custom("a", 1))
            feed.emit(delta("x"))
            await anyio.wait_all_tasks_blocked()
            assert reader.events == []
            log.told(1)
            await anyio.wait_all_tasks_blocked()
            assert [value_of(event) for event in reader.events] == [1, "model.delta"]
            feed.emit(finished("a"))
            log.told(2)


async def test_stream_refuses_what_cannot_be() -> None:
    """A number behind the end, no number at all, a run that the log does not know."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a")
        feed.emit(custom("a", 1))
        for stream in (feed.subscribe(after=5), subscribe(log, "a", after=5)):
            with pytest.raises(InvalidInputError, match="behind the run's last event, 1"):
                await anext(stream)
        for odd in (-1, True, "3", 1.5):
            with pytest.raises(InvalidInputError, match="no event number"):
                feed.subscribe(after=odd)  # type: ignore[arg-type]
        with pytest.raises(NotFoundError, match="no run 'nobody'"):
            await anext(subscribe(log, "nobody"))


@pytest.mark.parametrize("kind", list(LOGS))
async def test_closing_a_stream_ends_it_for_whoever_waits(kind: str) -> None:
    """The reader that is blocked in it ends at once, others go on."""
    async with a_log(kind) as log:
        feed = await Feed.open(log, "a")
        feed.emit(custom("a", 1))
        await feed.barrier()
        with anyio.fail_after(10):
            for stream in (feed.subscribe(), subscribe(log, "a")):
                reader, other = Reader(0, 1), Reader(0, 1)
                async with anyio.create_task_group() as tasks:
                    async with anyio.create_task_group() as first:
                        tasks.start_soon(other.read, feed.subscribe())
                        first.start_soon(reader.read, stream)
                        await anyio.wait_all_tasks_blocked()
                        await stream.aclose()
                    tasks.cancel_scope.cancel()
                assert [event.seq for event in reader.events] == [1]
                await stream.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)


async def test_cancelled_reader_can_go_on_where_it_was() -> None:
    """A time limit around one event loses nothing, and harms nobody else who waits."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a")
        stream, other = feed.subscribe(), Reader(0, 1)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other.read, feed.subscribe())
                await anyio.wait_all_tasks_blocked()
                with anyio.move_on_after(0.01):
                    await anext(stream)
                feed.emit(custom("a", 1))
                assert (await anext(stream)).seq == 1
                feed.emit(finished("a"))
        assert [event.seq for event in other.events] == [1, 2]


async def test_subscribers_of_a_run_whose_end_is_not_kept_are_told() -> None:
    """They get what was committed, then the reason; nobody waits for ever."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a")
        feed.emit(custom("a", 1))
        waiting = feed.subscribe()
        assert (await anext(waiting)).seq == 1
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:

                async def hear() -> None:
                    with pytest.raises(JournalError, match="full"):
                        await anext(waiting)

                tasks.start_soon(hear)
                await anyio.wait_all_tasks_blocked()
                feed.fail(JournalError("the disk is full"))
            late = feed.subscribe()
            assert (await anext(late)).seq == 1
            with pytest.raises(JournalError, match="full"):
                await anext(late)


async def test_fenced_writer_emits_nothing_and_its_barrier_says_so() -> None:
    """Another process took the run over: what this one still emits reaches nobody."""
    async with MemoryLog() as log:
        old = await Feed.open(log, "a")
        old.emit(custom("a", 1))
        new = await Feed.open(log, "a")
        old.emit(custom("a", 98))
        with pytest.raises(FencedError):
            await old.barrier()
        with pytest.raises(FencedError):
            old.check()
        new.emit(finished("a"))
        assert [value_of(event) async for event in new.subscribe()] == [1, "run.finished"]


async def test_memory_log_that_is_full_lets_no_further_action_start() -> None:
    """Bounded, and never trimmed behind anybody's back: what is over the limit is still kept."""
    async with MemoryLog(limit=3) as log:
        feed = await Feed.open(log, "a")
        for value in range(3):
            feed.check()
            feed.emit(custom("a", value))
        with pytest.raises(JournalError, match="its limit"):
            feed.check()
        with pytest.raises(JournalError, match="use a SqliteLog"):
            await feed.barrier()
        feed.emit(finished("a"))
        assert await log.bounds("a") == (1, 4)
        await log.trim("a", 3)
        feed.check()


async def test_batch_gives_what_is_there_and_nothing_at_the_end() -> None:
    """Batches hold every wanted event once and in order, mix with single reads, and end with an empty one."""
    async with MemoryLog() as log:
        feed = await Feed.open(log, "a")
        stream, only = feed.subscribe(), feed.subscribe(types=[RunFinished])
        for value in range(5):
            feed.emit(custom("a", value))
        with anyio.fail_after(10):
            assert (await anext(stream)).seq == 1
            assert [event.seq for event in await stream.batch()] == [2, 3, 4, 5]
            feed.emit(finished("a"))
            assert [event.seq for event in await stream.batch()] == [6]
            assert [event.type for event in await only.batch()] == ["run.finished"]
            assert await stream.batch() == []
            assert await only.batch() == []


@pytest.mark.parametrize("kind", list(LOGS))
async def test_subscriber_that_comes_back_a_hundred_times_gets_every_event_once(kind: str) -> None:
    """With whatever number it says it has seen: its own goes on, a wrong one is told so, trimmed ones are a gap."""
    choice = random.Random(30)
    last, refused, gaps = 120, 0, 0
    seen: list[int] = []
    async with a_log(kind) as log:
        feed = await Feed.open(log, "a", ring=8)
        for value in range(last - 1):
            feed.emit(custom("a", value))
        await feed.barrier()
        at = 0
        with anyio.fail_after(30):
            for visit in range(100):
                streams = (feed.subscribe, functools.partial(subscribe, log, "a"))
                come_back = streams[visit % 2]
                wrong = choice.choice([last + 5, 10**30, -1, True, "7", 1.5, None, b"3"])
                with pytest.raises(InvalidInputError):
                    await anext(come_back(after=wrong))  # type: ignore[arg-type]
                refused += 1
                if visit == 60:
                    await log.trim("a", 90)
                past = choice.randrange(at + 1)
                again = [event async for event in _some(come_back(after=past), 1)]
                assert isinstance(again[0], StreamGap) or again[0].seq == past + 1
                for event in [event async for event in _some(come_back(after=at), choice.randint(1, 2))]:
                    if isinstance(event, StreamGap):
                        assert event.data.from_seq == at + 1
                        gaps, at = gaps + 1, event.data.to_seq
                    else:
                        assert event.seq == at + 1
                        seen.append(at + 1)
                        at += 1
                if at >= last - 3:
                    break
        feed.emit(finished("a"))
        await feed.barrier()
        feed.close()
        with anyio.fail_after(10):
            seen += [event.seq or 0 async for event in feed.subscribe(after=at)]
    assert refused > 30
    assert len(seen) == len(set(seen))
    assert seen[-1] == last
    assert gaps <= 1
    assert len(seen) == last or gaps == 1


async def test_stream_of_a_run_that_died_says_so_behind_its_last_event(tmp_path: Path) -> None:
    """It got all there is and is told how the run goes on; recovered, the run can be followed again."""
    path = tmp_path / "log.db"
    async with SqliteLog(path) as dead:
        feed = await Feed.open(dead, "a")
        feed.emit(custom("a", 1))
        await feed.barrier()
    async with SqliteLog(path) as log:
        stream = subscribe(log, "a")
        with anyio.fail_after(20):
            assert [value_of(event) for event in await stream.batch()] == [1]
            with pytest.raises(ConflictError, match="a died") as raised:
                await stream.batch()
        assert raised.value.hint == "deskhand recover a"
        feed = await Feed.open(log, "a")
        feed.emit(finished("a"))
        assert [event.type async for event in subscribe(log, "a", after=1)] == ["run.finished"]


async def test_stream_whose_run_dies_while_it_waits_is_told(tmp_path: Path) -> None:
    """It had nothing more to read, and nothing more will come."""
    path = tmp_path / "log.db"
    async with SqliteLog(path) as log:
        told = anyio.Event()

        async def follow() -> None:
            stream = subscribe(log, "a")
            await stream.batch()
            told.set()
            with pytest.raises(ConflictError, match="a died"):
                await stream.batch()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks, SqliteLog(path) as dying:
                feed = await Feed.open(dying, "a")
                feed.emit(custom("a", 1))
                await feed.barrier()
                tasks.start_soon(follow)
                await told.wait()
