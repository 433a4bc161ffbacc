"""What a recovered run has of before: a driver's checkpoint, counters, approvals, words, pauses; and who owns it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from deskhand import Engine, Policy, RunContext, SqliteLog, Tool, ToolCall
from deskhand.errors import ConflictError, FencedError, NotFoundError
from deskhand.harness import ApprovalRequest, Budget
from deskhand.harness.events import (
    ActionFinished,
    ActionStarted,
    ApprovalRequested,
    ApprovalResolved,
    Event,
    RunCheckpoint,
    RunFinished,
    Usage,
)
from deskhand.harness.policy import Rule
from deskhand.providers import Click, MouseDown, MouseUp
from deskhand.testing import ScriptedModel
from deskhand.tools.calls import Observation
from deskhand.tools.registry import Arguments, ToolContext, ToolOutput
from tests.harness.beginnings import beginning, events_of, outcomes
from tests.harness.driving import Drive, Driver, computer_with_screen
from tests.harness.test_budget import PRICES, thinking

ASK = Policy([Rule(verdict="ask", tool="left_click")])


async def log_of(drive: Drive, **more: object) -> list[Event]:
    """Drive a run to its end, and return its events."""
    async with Engine() as engine:
        run = await engine.start(Driver(drive), computer_with_screen(), "Go.", **more)  # type: ignore[arg-type]
        await run.result()
        return await events_of(engine.log, run.id)


def up_to(events: Sequence[Event], kind: type, nth: int = 1) -> list[Event]:
    """Return the events up to the n-th of a type, that one included."""
    places = [index for index, event in enumerate(events) if isinstance(event, kind)]
    return list(events[: places[nth - 1] + 1])


class DrivenAgain(Driver):
    """A driver that does the same each time, and so can be driven again from its start."""

    @property
    def driven_again(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return "Driver"

    async def drive(self, run: RunContext) -> str | None:
        if run.past is not None:
            run.rewind()
        return await super().drive(run)


async def test_driver_finds_its_last_checkpoint() -> None:
    """A driver of one's own starts anew with what it kept last; its numbers go on, and its clicks are not repeated."""

    async def drive(run: RunContext) -> str:
        done = run.restored if isinstance(run.restored, int) else 0
        for x in range(done, 4):
            await run.act("left_click", x=x, y=1, check=True)
            await run.checkpoint(x + 1)
        return f"from {done}"

    events = await log_of(drive)
    used = computer_with_screen()
    async with Engine(log=await beginning(up_to(events, RunCheckpoint, 2))) as engine:
        run = await engine.recover(events[0].run_id, harness=Driver(drive), computer=used)
        result = await run.result()
        whole = await events_of(engine.log, run.id)
    assert (result.output, result.actions) == ("from 2", 4)
    assert used.performed == [Click(2, 1), Click(3, 1)]
    assert len(outcomes(whole)) == 4
    assert [event.seq for event in whole] == list(range(1, len(whole) + 1))


async def test_counters_and_budgets_go_on_where_they_were() -> None:
    """Turns, actions, tokens and money of before the crash count in the result, and against the caps."""
    usage = Usage(input=100, output=10)
    model = ScriptedModel([ToolCall("left_click", {"x": 1, "y": 1})] * 2 + ["Done."], usage=usage)
    async with Engine() as engine:
        run = await engine.start(model, computer_with_screen(), "Go.")
        before = await run.result()
        events = await events_of(engine.log, run.id)
    known = events[:-1]
    async with Engine(log=await beginning(known)) as engine:
        again = await engine.recover(events[0].run_id, harness=model, computer=computer_with_screen())
        after = await again.result()
    assert (after.turns, after.actions, after.usage) == (6, 4, before.usage + before.usage)
    async with Engine(log=await beginning(known)) as engine:
        again = await engine.recover(
            events[0].run_id, harness=model, computer=computer_with_screen(), budget=Budget(actions=3)
        )
        capped = await again.result()
    assert (capped.outcome, capped.reason, capped.actions) == ("budget_exceeded", "actions", 3)


@pytest.mark.parametrize(
    ("cap", "reason"),
    [(Budget(tokens=700), "tokens"), (Budget(turns=4), "turns"), (Budget(money=1200, prices=PRICES), "money")],
)
async def test_what_the_dead_process_used_counts_against_each_cap(cap: Budget, reason: str) -> None:
    """A run that has used nearly all of its budget does not get a new one by dying."""
    usage = Usage(input=200, output=10)
    harness = thinking(usage, usage, usage, reserve=usage)
    async with Engine() as engine:
        run = await engine.start(harness, computer_with_screen(), "Go.", budget=cap)
        assert (await run.result()).outcome == "completed"
        events = await events_of(engine.log, run.id)
    async with Engine(log=await beginning(events[:-1])) as engine:
        again = await engine.recover(events[0].run_id, harness=harness, computer=computer_with_screen(), budget=cap)
        result = await again.result()
    assert (result.outcome, result.reason) == ("budget_exceeded", reason)


async def test_time_before_the_crash_counts_but_not_the_time_between() -> None:
    """A minute that the dead process worked is used up; the hour in which nobody drove the run is not."""

    async def drive(run: RunContext) -> str:
        return (await run.act("left_click", x=1, y=1)).outcome

    def later(event: Event, seconds: float) -> Event:
        return event.model_copy(update={"time": event.time + timedelta(seconds=seconds)})

    events = up_to(await log_of(drive), ActionFinished)
    worked = [later(event, -3600.0 if index == 0 else -3540.0) for index, event in enumerate(events)]
    outcomes = []
    for cap in (50.0, 600.0):
        async with Engine(log=await beginning(worked)) as engine:
            run = await engine.recover(
                events[0].run_id, harness=Driver(drive), computer=computer_with_screen(), budget=Budget(time=cap)
            )
            outcomes.append((await run.result()).outcome)
    assert outcomes == ["budget_exceeded", "completed"]


class Order(Arguments):
    """What is ordered."""

    item: str


def ordering(done: list[str], lost: bool = False) -> Tool:
    """A tool that orders something, and can be asked whether it did."""

    async def order(context: ToolContext[object], arguments: BaseModel) -> ToolOutput:
        done.append(str(context.call_id))
        return ToolOutput("ordered")

    async def happened(context: ToolContext[object], arguments: BaseModel) -> ToolOutput | None:
        if lost:
            raise ConnectionError("nobody answers")
        return ToolOutput("ordered") if context.call_id in done else None

    return Tool("order", "Order.", Order, order, effect="queryable", happened=happened)


@pytest.mark.parametrize(
    ("reached", "lost", "ending", "times"),
    [(True, False, "ok", 1), (False, False, "ok", 1), (True, True, "unknown", 1), (False, True, "unknown", 0)],
)
async def test_computer_is_asked_what_took_effect(reached: bool, lost: bool, ending: str, times: int) -> None:
    """What can be asked about is done exactly once; where nobody answers, it is unknown and not done again."""
    done: list[str] = []

    async def drive(run: RunContext) -> str:
        return (await run.act("order", item="pen")).outcome

    events = await log_of(drive, tools=[ordering([])])
    if reached:
        done.append(next(event.data.call_id for event in events if isinstance(event, ActionStarted)))
    async with Engine(log=await beginning(up_to(events, ActionStarted))) as engine:
        run = await engine.recover(
            events[0].run_id, harness=DrivenAgain(drive), computer=computer_with_screen(), tools=[ordering(done, lost)]
        )
        assert (await run.result()).output == ending
    assert len(done) == times


class Asked:
    """Answers requests, and keeps them."""

    def __init__(self, answer: bool = True) -> None:
        self.requests: list[ApprovalRequest] = []
        self._answer = answer

    async def __call__(self, request: ApprovalRequest) -> bool:
        self.requests.append(request)
        return self._answer


async def click(run: RunContext) -> str:
    """Look and click."""
    await run.look()
    return (await run.act("left_click", x=5, y=5)).outcome


async def asked_run(answer: bool = True) -> list[Event]:
    """Return the events of a run in which a person was asked about a click."""
    async with Engine(on_approval=Asked(answer), policy=ASK) as engine:
        run = await engine.start(Driver(click), computer_with_screen(), "Go.")
        await run.result()
        return await events_of(engine.log, run.id)


@pytest.mark.parametrize("approved", [True, False])
async def test_answered_approval_is_not_asked_again(approved: bool) -> None:
    """An answer of before the crash counts after it, for exactly the call that it was given for."""
    events = await asked_run(approved)
    asked, used = Asked(), computer_with_screen()
    async with Engine(log=await beginning(up_to(events, ApprovalResolved)), on_approval=asked, policy=ASK) as engine:
        run = await engine.recover(events[0].run_id, harness=DrivenAgain(click), computer=used)
        assert (await run.result()).output == ("ok" if approved else "denied")
    assert asked.requests == []
    assert used.performed == ([Click(5, 5)] if approved else [])


async def test_lost_action_is_known_to_have_been_approved() -> None:
    """Nobody knows whether it was done, but a vendor that wanted a person to see it is told that one did."""
    events = await asked_run()
    seen: list[Observation] = []

    async def drive(run: RunContext) -> None:
        await run.look()
        seen.append(await run.act("left_click", x=5, y=5))

    async with Engine(log=await beginning(up_to(events, ActionStarted, 2)), policy=ASK) as engine:
        run = await engine.recover(events[0].run_id, harness=DrivenAgain(drive), computer=computer_with_screen())
        assert (await run.result()).ok
    assert [(one.outcome, one.approved) for one in seen] == [("unknown", True)]


async def test_answer_for_other_arguments_is_asked_anew() -> None:
    """An approval is bound to its arguments: the same call with others is asked about."""
    events = await asked_run()
    asked, used = Asked(), computer_with_screen()

    async def elsewhere(run: RunContext) -> str:
        await run.look()
        return (await run.act("left_click", x=6, y=5)).outcome

    async with Engine(log=await beginning(up_to(events, ApprovalResolved)), on_approval=asked, policy=ASK) as engine:
        run = await engine.recover(events[0].run_id, harness=DrivenAgain(elsewhere), computer=used)
        assert (await run.result()).output == "ok"
    assert [request.call.arguments for request in asked.requests] == [{"x": 6, "y": 5}]


async def test_pending_approval_is_asked_again_under_its_id() -> None:
    """Who has seen the request before the crash still knows it by its id."""
    events = await asked_run()
    [first] = [event for event in events if isinstance(event, ApprovalRequested)]
    asked = Asked()
    async with Engine(log=await beginning(up_to(events, ApprovalRequested)), on_approval=asked, policy=ASK) as engine:
        run = await engine.recover(events[0].run_id, harness=DrivenAgain(click), computer=computer_with_screen())
        assert (await run.result()).output == "ok"
    assert [(request.id, request.digest) for request in asked.requests] == [(first.data.approval_id, first.data.digest)]


async def test_call_that_was_asked_about_again_is_asked_again_under_its_last_id() -> None:
    """The answer was to an earlier question; no later question gets an id that was there."""

    async def click_twice(run: RunContext) -> str:
        return f"{await click(run)} {await click(run)}"

    events, asked = up_to(await asked_run(), ApprovalResolved), Asked()
    [first] = [event for event in events if isinstance(event, ApprovalRequested)]
    run_id = first.run_id
    more = first.data.model_copy(update={"approval_id": f"{run_id}/approval/3"})
    log = await beginning([*events, first.model_copy(update={"data": more})])
    async with Engine(log=log, on_approval=asked, policy=ASK) as engine:
        run = await engine.recover(run_id, harness=DrivenAgain(click_twice), computer=computer_with_screen())
        assert (await run.result()).output == "ok ok"
    assert [request.id for request in asked.requests] == [f"{run_id}/approval/3", f"{run_id}/approval/4"]


@pytest.mark.parametrize(
    ("asked", "expires"),
    [(-timedelta(hours=1), timedelta()), (timedelta(hours=1), timedelta(hours=2))],
    ids=["past-its-time", "clock-set-back"],
)
async def test_approval_out_of_its_time_is_asked_anew(asked: timedelta, expires: timedelta) -> None:
    """What has expired while nobody was there counts no more, nor what is from the future: the clock was set back."""
    events = up_to(await asked_run(), ApprovalResolved)
    moved = [
        event.model_copy(
            update={
                "time": event.time + asked,
                "data": event.data.model_copy(update={"expires": event.time + expires}),
            }
        )
        if isinstance(event, ApprovalRequested)
        else event
        for event in events
    ]
    answers = Asked()
    async with Engine(log=await beginning(moved), on_approval=answers, policy=ASK) as engine:
        run = await engine.recover(events[0].run_id, harness=DrivenAgain(click), computer=computer_with_screen())
        assert (await run.result()).output == "ok"
    assert len(answers.requests) == 1


async def test_button_that_is_held_is_released_by_the_recovered_run() -> None:
    """What the dead process pressed, the recovered run lets go at its end."""

    async def press(run: RunContext) -> None:
        if run.past is None:
            await run.act("left_mouse_down", check=True)

    events = up_to(await log_of(press), ActionFinished)
    used = computer_with_screen()
    async with Engine(log=await beginning(events)) as engine:
        await (await engine.recover(events[0].run_id, harness=Driver(press), computer=used)).result()
    assert used.performed == [MouseUp("left")]
    assert MouseDown("left") not in used.performed


async def test_paused_run_is_paused_again() -> None:
    """A pause of before the crash holds until somebody ends it."""

    async def drive(run: RunContext) -> str:
        return (await run.act("left_click", x=1, y=1)).outcome

    async with Engine() as engine:
        run = await engine.start(Driver(drive), computer_with_screen(), "Go.")
        await run.pause()
        paused = await events_of(engine.log, run.id)
        await run.stop(now=True)
    used = computer_with_screen()
    async with Engine(log=await beginning(paused)) as engine:
        run = await engine.recover(paused[0].run_id, harness=Driver(drive), computer=used)
        assert (run.paused, used.performed) == (True, [])
        await run.resume()
        assert (await run.result()).output == "ok"


async def test_loop_that_does_otherwise_than_before_is_stopped() -> None:
    """A loop that does not ask for what the log has done already would do things twice: it ends instead."""

    async def before(run: RunContext) -> None:
        await run.act("left_click", x=1, y=1)

    async def after(run: RunContext) -> None:
        await run.act("exec", command="ls")

    events, used = await log_of(before), computer_with_screen()
    async with Engine(log=await beginning(events[:-1])) as engine:
        result = await (await engine.recover(events[0].run_id, harness=DrivenAgain(after), computer=used)).result()
    assert (result.outcome, result.reason) == ("failed", "journal")
    assert "does not do what it did before" in (result.error.message if result.error else "")


async def test_what_cannot_be_recovered_says_why() -> None:
    """An unknown run, one that has ended, one that lives, one that another harness drove."""

    async def drive(run: RunContext) -> None:
        await run.inbox.wait()

    async def nothing(run: RunContext) -> None:
        return None

    class Other(Driver):
        pass

    events = await log_of(nothing)
    computer = computer_with_screen()
    async with Engine(log=await beginning(events)) as engine:
        with pytest.raises(ConflictError, match="has ended"):
            await engine.recover(events[0].run_id, harness=Driver(nothing), computer=computer)
        with pytest.raises(NotFoundError, match="no run is called"):
            await engine.recover("run_1", harness=Driver(nothing), computer=computer)
        run = await engine.start(Driver(drive), computer, "Go.")
        with pytest.raises(ConflictError, match="lives in this engine"):
            await engine.recover(run.id, harness=Driver(drive), computer=computer)
        await run.stop(now=True)
    async with Engine(log=await beginning(events[:-1])) as engine:
        with pytest.raises(ConflictError, match="was driven by Driver, not by Other"):
            await engine.recover(events[0].run_id, harness=Other(nothing), computer=computer)


async def test_older_owner_of_a_recovered_run_can_neither_act_nor_write(tmp_path: Path) -> None:
    """Two processes on one run: from the recovery on, only the newer one clicks, writes, and releases what is held."""
    go_on = anyio.Event()

    async def drive(run: RunContext) -> str:
        if run.past is None:
            await run.act("left_mouse_down", check=True)
            await go_on.wait()
            await run.act("left_click", x=1, y=1)
            return "the older one"
        await run.act("left_click", x=2, y=2, check=True)
        return "the newer one"

    old, new = computer_with_screen(), computer_with_screen()
    path = tmp_path / "log.db"
    with anyio.fail_after(20):
        async with SqliteLog(path) as first, SqliteLog(path) as second, Engine(log=first) as one:
            zombie = await one.start(Driver(drive), old, "Go.")
            async for event in zombie.events(types=[ActionFinished]):
                assert event.seq
                break
            async with Engine(log=second) as two:
                run = await two.recover(zombie.id, harness=Driver(drive), computer=new)
                assert (await run.result()).output == "the newer one"
            go_on.set()
            result = await zombie.result()
            events = await events_of(second, zombie.id)
    assert (result.outcome, result.error and result.error.code) == ("failed", FencedError.code)
    assert old.performed == [MouseDown("left")]
    assert new.performed == [Click(2, 2)]
    assert [event.data.output for event in events if isinstance(event, RunFinished)] == ["the newer one"]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
