"""Events captured in a test."""

from __future__ import annotations

import anyio
import pytest

from deskhand import ProbeHarness, open_run
from deskhand.errors import DeadlineExceededError, NotFoundError
from deskhand.harness.events import ActionFinished, ActionStarted, RunFinished
from deskhand.testing import FakeComputer, ScriptedModel, call, capture_events


async def test_capture_holds_every_event_of_a_run_that_ended_within() -> None:
    """Leaving the block after the result leaves the whole run in the list, from the first number to the last."""
    async with FakeComputer() as computer, ProbeHarness().start(computer, "probe") as run:
        async with capture_events(run) as events:
            await run.result()
        durable = [event.seq for event in events if event.seq is not None]
        assert durable == list(range(1, len(durable) + 1))
        assert events.is_complete
        assert isinstance(events[-1], RunFinished)
        assert [event.data.name for event in events.of(ActionStarted)] == ["exec", "screenshot", "left_click", "exec"]
        assert len(events.of("action.*")) >= 8


async def test_until_waits_for_the_event_and_counts() -> None:
    """Waiting returns the event asked for, typed, whether it came before or comes later."""
    async with FakeComputer() as computer, open_run(computer, goal="wait") as run, capture_events(run) as events:
        assert (await events.until("run.started")).seq == 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.act, "cursor_position")
            tasks.start_soon(run.act, "cursor_position")
            second = await events.until(ActionFinished, count=2)
        assert second.data.outcome == "ok"
        assert second is events.of(ActionFinished)[1]


async def test_until_tells_what_came_when_the_event_does_not() -> None:
    """A deadline that passes names what was waited for and what came."""
    async with FakeComputer() as computer, open_run(computer, goal="wait") as run, capture_events(run) as events:
        with pytest.raises(DeadlineExceededError, match=r"no action\.finished number 2 .* run\.started"):
            await events.until("action.finished", count=2, timeout=0.02)


async def test_until_does_not_wait_for_a_run_that_has_ended() -> None:
    """When nothing more can come, waiting ends at once."""
    model = ScriptedModel(["done"])
    async with FakeComputer() as computer, model.start(computer, "end") as run, capture_events(run) as events:
        with anyio.fail_after(5), pytest.raises(NotFoundError, match=r"ended without action\.started"):
            await events.until("action.started", timeout=60)


async def test_capture_of_some_types_leaves_the_others_out() -> None:
    """Only the types asked for are collected, behind the number given."""
    model = ScriptedModel([call("cursor_position"), "done"])
    async with FakeComputer() as computer, model.start(computer, "end") as run:
        async with capture_events(run, types=["action.*", RunFinished], after=1) as events:
            await run.result()
        assert events.types == ["action.started", "action.finished", "run.finished"]


async def test_capture_passes_the_block_s_own_error_on() -> None:
    """An assertion that fails in the block arrives as itself, not in a group."""
    async with FakeComputer() as computer, open_run(computer, goal="wait") as run:
        with pytest.raises(AssertionError, match="mine"):
            async with capture_events(run):
                raise AssertionError("mine")
