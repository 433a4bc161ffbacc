"""What every event log does alike: one suite, run unchanged over each of them."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from deskhand.errors import FencedError
from deskhand.harness import EventLog
from deskhand.harness.events import CustomEvent, UnknownEvent, parse_event
from tests.harness.logs import LOGS, MakeLog, custom, finished, value_of


@pytest.fixture(params=list(LOGS.values()), ids=list(LOGS))
def make(request: pytest.FixtureRequest) -> MakeLog:
    """Each kind of log in turn."""
    made: MakeLog = request.param
    return made


async def filled(log: EventLog, run_id: str, count: int) -> int:
    """Claim a run and append events to it; return the epoch."""
    epoch = await log.claim(run_id)
    for value in range(1, count + 1):
        log.append(run_id, epoch, [custom(run_id, value)])
    await log.barrier(run_id)
    return epoch


async def test_append_numbers_at_once_and_without_a_gap(make: MakeLog, tmp_path: Path) -> None:
    """The numbers are there when the call returns, several events at a time, each run for itself."""
    async with make(tmp_path) as log:
        first, second = await log.claim("a"), await log.claim("b")
        one = log.append("a", first, [custom("a", 1), custom("a", 2)])
        other = log.append("b", second, [custom("b", 1)])
        more = log.append("a", first, [custom("a", 3)])
        assert [event.seq for event in (*one, *more)] == [1, 2, 3]
        assert [event.seq for event in other] == [1]
        assert [event.id for event in one] == ["a/1", "a/2"]
        assert log.append("a", first, []) == []
        await log.barrier("a")
        assert [value_of(event) for event in await log.read("a")] == [1, 2, 3]
        assert await log.bounds("a") == (1, 3)


async def test_events_come_back_as_they_were_appended(make: MakeLog, tmp_path: Path) -> None:
    """Nothing is lost or added on the way, the time to the microsecond included."""
    async with make(tmp_path) as log:
        epoch = await log.claim("a")
        [kept] = log.append("a", epoch, [custom("a", 7, workspace="w", user="u")])
        await log.barrier("a")
        [read] = await log.read("a")
        assert isinstance(read, CustomEvent)
        assert read == kept
        assert read.to_json() == kept.to_json()


async def test_event_of_an_unknown_type_is_kept_whole(make: MakeLog, tmp_path: Path) -> None:
    """A newer version's events pass through an older one."""
    async with make(tmp_path) as log:
        epoch = await log.claim("a")
        newer = parse_event('{"source":"/runs/a","run_id":"a","type":"run.dreamt","data":{"of":[1,{"x":null}]}}')
        log.append("a", epoch, [newer])
        await log.barrier("a")
        [read] = await log.read("a")
        assert isinstance(read, UnknownEvent)
        assert (read.type, read.data) == ("run.dreamt", {"of": [1, {"x": None}]})


async def test_read_pages_and_filters(make: MakeLog, tmp_path: Path) -> None:
    """Behind a number, at most so many, only these types; unknown runs are empty."""
    async with make(tmp_path) as log:
        epoch = await filled(log, "a", 10)
        log.append("a", epoch, [finished("a")])
        await log.barrier("a")
        assert [event.seq for event in await log.read("a", 3, limit=4)] == [4, 5, 6, 7]
        assert [event.seq for event in await log.read("a", 99)] == []
        assert [event.seq for event in await log.read("a", types=["run.*"])] == [11]
        assert [event.seq for event in await log.read("a", 8, types=["custom", "run.finished"])] == [9, 10, 11]
        assert await log.read("a", types=[]) == []
        assert await log.read("nobody") == []
        assert await log.bounds("nobody") == (1, 0)


async def test_newer_claim_fences_the_older_writer(make: MakeLog, tmp_path: Path) -> None:
    """Of two writers only the newer writes, and it goes on behind the older one's last number."""
    async with make(tmp_path) as log:
        old = await filled(log, "a", 2)
        new = await log.claim("a")
        assert new > old
        with pytest.raises(FencedError):
            log.append("a", old, [custom("a", 98)])
        [event] = log.append("a", new, [custom("a", 3)])
        assert event.seq == 3
        await log.barrier("a")
        assert [value_of(event) for event in await log.read("a")] == [1, 2, 3]


async def test_append_without_a_claim_is_refused(make: MakeLog, tmp_path: Path) -> None:
    """Nobody writes to a run that is not theirs."""
    async with make(tmp_path) as log:
        for epoch in (0, 1):
            with pytest.raises(FencedError):
                log.append("a", epoch, [custom("a", 1)])


async def test_released_run_takes_nothing_more(make: MakeLog, tmp_path: Path) -> None:
    """Whoever released a run may no longer write to it; whoever claims it may."""
    told: list[int] = []
    async with make(tmp_path) as log:
        epoch = await log.claim("a", told.append)
        log.append("a", epoch, [custom("a", 1)])
        await log.barrier("a")
        log.release("a", epoch)
        with pytest.raises(FencedError):
            log.append("a", epoch, [custom("a", 98)])
        again = await log.claim("a")
        assert again > epoch
        log.release("a", epoch)  # an old one's release takes nothing from the new one
        log.append("a", again, [custom("a", 2)])
        await log.barrier("a")
        assert [value_of(event) for event in await log.read("a")] == [1, 2]
        assert told == [1]


async def test_listener_hears_of_every_commit_before_the_barrier_returns(make: MakeLog, tmp_path: Path) -> None:
    """What was appended before a barrier has been announced when it returns, in order."""
    told: list[int] = []
    async with make(tmp_path) as log:
        epoch = await log.claim("a", told.append)
        for value in range(5):
            log.append("a", epoch, [custom("a", value)])
        await log.barrier("a")
        assert told[-1] == 5
        assert told == sorted(told)


async def test_trim_forgets_the_old_and_keeps_the_numbers(make: MakeLog, tmp_path: Path) -> None:
    """What is gone is gone, the rest keeps its numbers, and numbering goes on."""
    async with make(tmp_path) as log:
        epoch = await filled(log, "a", 10)
        await log.trim("a", 4)
        assert await log.bounds("a") == (4, 10)
        assert [event.seq for event in await log.read("a")] == [4, 5, 6, 7, 8, 9, 10]
        await log.trim("a", 2)
        assert await log.bounds("a") == (4, 10)
        await log.trim("a", 99)
        first, last = await log.bounds("a")
        assert (first, last) == (11, 10)
        [event] = log.append("a", epoch, [custom("a", 11)])
        assert event.seq == 11
        await log.barrier("a")
        assert [event.seq for event in await log.read("a")] == [11]
        await log.trim("nobody", 5)


async def test_wait_returns_when_there_is_more(make: MakeLog, tmp_path: Path) -> None:
    """At once where there is more already, else with the commit; for one run and for all."""
    async with make(tmp_path) as log:
        epoch = await filled(log, "a", 2)
        got: list[str] = []

        async def one() -> None:
            await log.wait("a", 2)
            got.append("one")

        async def every() -> None:
            await log.wait_all(2)
            got.append("all")

        with anyio.fail_after(10):
            await log.wait("a", 1)
            await log.wait_all(1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one)
                tasks.start_soon(every)
                await anyio.wait_all_tasks_blocked()
                assert got == []
                log.append("a", epoch, [custom("a", 3)])
        assert sorted(got) == ["all", "one"]


async def test_read_all_gives_every_run_in_the_order_of_commits(make: MakeLog, tmp_path: Path) -> None:
    """One rising position over all runs, with which to go on; trimming leaves the others their positions."""
    async with make(tmp_path) as log:
        epochs = {run_id: await log.claim(run_id) for run_id in ("a", "b")}
        for value in range(6):
            run_id = "ab"[value % 2]
            log.append(run_id, epochs[run_id], [custom(run_id, value)])
        await log.barrier("a")
        entries = await log.read_all()
        assert [value_of(entry.event) for entry in entries] == [0, 1, 2, 3, 4, 5]
        positions = [entry.position for entry in entries]
        assert positions == sorted(set(positions))
        rest = await log.read_all(positions[2], limit=2)
        assert [value_of(entry.event) for entry in rest] == [3, 4]
        await log.trim("a", 3)
        kept = await log.read_all()
        assert [(entry.position, value_of(entry.event)) for entry in kept] == [
            (position, value) for position, value in zip(positions, range(6), strict=True) if value not in (0, 2)
        ]
        assert await log.read_all(positions[-1]) == []


async def test_runs_are_listed_newest_first(make: MakeLog, tmp_path: Path) -> None:
    """With their last number, and whether they have ended; runs without events are no runs yet."""
    async with make(tmp_path) as log:
        first = await filled(log, "a", 3)
        await filled(log, "b", 1)
        await log.claim("c")
        log.append("a", first, [finished("a")])
        await log.barrier("a")
        found = await log.runs()
        assert [(run.run_id, run.last_seq, run.finished) for run in found] == [("b", 1, False), ("a", 4, True)]
        assert found[0].started_at > found[1].started_at
        assert found[1].updated_at > found[1].started_at
        assert [run.run_id for run in await log.runs(limit=1)] == ["b"]


async def test_cancelled_wait_leaves_the_others_waiting(make: MakeLog, tmp_path: Path) -> None:
    """One who gives up takes nothing from those who still wait."""
    async with make(tmp_path) as log:
        epoch = await log.claim("a")
        woken = anyio.Event()

        async def patient() -> None:
            await log.wait("a", 0)
            woken.set()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(patient)
                async with anyio.create_task_group() as others:
                    others.start_soon(log.wait, "a", 0)
                    await anyio.wait_all_tasks_blocked()
                    others.cancel_scope.cancel()
                log.append("a", epoch, [custom("a", 1)])
                await woken.wait()


async def test_owner_is_told_for_as_long_as_it_holds_the_run(make: MakeLog, tmp_path: Path) -> None:
    """From the claim to the release; of a run that nobody claimed there is none."""
    async with make(tmp_path) as log:
        assert await log.owner("a") is None
        epoch = await log.claim("a")
        assert await log.owner("a") == os.getpid()
        log.release("a", epoch)
        assert await log.owner("a") is None
