"""A call that a person must approve: who can answer, what is written of it, and that nothing runs before."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from deskhand import RunContext, ToolCall
from deskhand.errors import ConflictError, NotFoundError
from deskhand.harness import ApprovalRequest, Decision
from deskhand.harness.events import ApprovalRequested, ApprovalResolved
from deskhand.providers import Click
from deskhand.testing import capture_events
from deskhand.tools import Observation, SafetyCheck
from tests.harness.driving import Driver, computer_with_screen

CHECK = SafetyCheck("sc_1", "malicious_instructions", "the page asks for a password")
CLICK = ToolCall("left_click", {"x": 5, "y": 6}, checks=(CHECK,))


def clicking(seen: list[Observation]) -> Driver:
    """Click where it must be approved, and a second time where it need not."""

    async def drive(run: RunContext) -> str:
        seen.extend(await run.act_batch([CLICK, ToolCall("left_click", {"x": 7, "y": 8})]))
        return "done"

    return Driver(drive)


async def test_approval_asked_for_waits_and_then_runs() -> None:
    """The holder of the run approves; request and answer are events, before the intent."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with clicking(seen).start(computer, "click") as run:
            types: list[str] = []
            async for event in run.events():
                types.append(event.type)
                if isinstance(event, ApprovalRequested):
                    assert computer.performed == []
                    assert (event.data.name, event.data.arguments["x"], event.data.arguments["y"]) == (
                        "left_click",
                        5,
                        6,
                    )
                    assert event.data.reason == "the page asks for a password"
                    assert event.data.checks[0].code == "malicious_instructions"
                    await run.approve(event.data.call_id, actor="ann")
                if isinstance(event, ApprovalResolved):
                    assert (event.data.decision, event.data.actor) == ("approved", "ann")
                    assert event.summary == "approved by ann"
    assert computer.performed == [Click(5, 6), Click(7, 8)]
    assert [one.approved for one in seen] == [True, None]
    assert types.index("approval.resolved") < types.index("action.started")


async def test_denied_call_is_not_run_and_halts_its_batch() -> None:
    """The loop learns who denied it and why; what was planned behind it is skipped."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with clicking(seen).start(computer, "click") as run:
            async for event in run.events(types=[ApprovalRequested]):
                assert isinstance(event, ApprovalRequested)
                await run.deny(event.data.call_id, "not that one", actor="ann")
    assert computer.performed == []
    assert [(one.outcome, one.effect) for one in seen] == [("denied", "no"), ("skipped", "no")]
    assert seen[0].text == "Not executed: denied by ann: not that one"
    assert seen[0].approved is False


@pytest.mark.parametrize("answer", [True, Decision("approved", "policy", "known page")])
async def test_on_approval_answers(answer: bool | Decision) -> None:
    """A callback sees the whole request and its answer counts."""
    asked: list[ApprovalRequest] = []

    async def on_approval(request: ApprovalRequest) -> bool | Decision:
        asked.append(request)
        return answer

    computer = computer_with_screen()
    with anyio.fail_after(10):
        result = await clicking([]).run(computer, "click", on_approval=on_approval)
    assert result.ok
    assert computer.performed == [Click(5, 6), Click(7, 8)]
    assert asked[0].checks == (CHECK,)
    assert asked[0].run_id == result.run_id


async def test_nothing_that_needs_approval_runs_where_nobody_can_be_asked() -> None:
    """`run` without a callback denies: there is no handle by which someone else could answer."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    with anyio.fail_after(10):
        await clicking(seen).run(computer, "click")
    assert computer.performed == []
    assert "give the run an on_approval" in seen[0].text


async def test_callback_that_fails_has_denied() -> None:
    """An error in the callback lets nothing run, and is told."""

    async def on_approval(request: ApprovalRequest) -> bool:
        raise RuntimeError("the pager is down")

    seen: list[Observation] = []
    computer = computer_with_screen()
    with anyio.fail_after(10):
        await clicking(seen).run(computer, "click", on_approval=on_approval)
    assert computer.performed == []
    assert "it failed: RuntimeError: the pager is down" in seen[0].text


async def test_first_answer_wins_and_a_late_one_is_told_so() -> None:
    """While the callback thinks, whoever holds the run may answer; the callback is cancelled."""
    cancelled = anyio.Event()

    async def on_approval(request: ApprovalRequest) -> bool:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return False

    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with clicking([]).start(computer, "click", on_approval=on_approval) as run:
            async for event in run.events(types=[ApprovalRequested, ApprovalResolved]):
                if isinstance(event, ApprovalRequested):
                    await run.approve(event.data.call_id)
                    with pytest.raises(ConflictError, match="answered before: approved by user"):
                        await run.deny(event.data.call_id)
                    with pytest.raises(NotFoundError, match="no call 'other' waits"):
                        await run.approve("other")
    assert cancelled.is_set()
    assert computer.performed == [Click(5, 6), Click(7, 8)]


async def test_stopping_ends_the_wait() -> None:
    """A run that waits for an answer can be stopped; nothing runs, and the request is closed in the log."""
    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with clicking([]).start(computer, "click") as run:
            async with capture_events(run) as captured:
                async for event in run.events():
                    if isinstance(event, ApprovalRequested):
                        await run.stop()
            result = await run.result()
    assert result.outcome == "stopped"
    assert computer.performed == []
    resolved = [event for event in captured if isinstance(event, ApprovalResolved)]
    assert [event.data.decision for event in resolved] == ["expired"]


async def test_unanswered_request_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers in time: denied."""
    monkeypatch.setattr("deskhand.harness.approvals.ANSWER", 0.0)
    seen: list[Observation] = []
    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with clicking(seen).start(computer, "click") as run:
            await run.result()
    assert computer.performed == []
    assert seen[0].text == "Not executed: expired by deskhand: nobody answered in time"
