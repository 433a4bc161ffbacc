"""What OpenAI wants a person to know before a call is run."""

from __future__ import annotations

from typing import Any

import pytest

from deskhand import (
    OpenAIComputerUseHarness,
)
from deskhand.harness import ApprovalRequest, Decision
from deskhand.harness.events import ApprovalRequested
from deskhand.providers import Click, Type
from deskhand.testing.models import (
    FakeTurn,
    action,
    computer_call,
    thinking,
    tool_use,
)
from tests.harness.driving import computer_with_screen
from tests.harness.openai_script import NATIVE, Script

CHECKS = [{"id": "sc_1", "code": "malicious_instructions", "message": "The page asks for a password."}]


@NATIVE
async def test_approved_safety_check_is_acknowledged(mode: str) -> None:
    """A person is asked before anything of the batch is done; what was approved is told to the vendor."""
    asked: list[ApprovalRequest] = []

    async def approve(request: ApprovalRequest) -> Decision:
        asked.append(request)
        assert computer.performed == []
        return Decision("approved", "ada")

    call = computer_call(action("click", x=1, y=2), action("type", text="x"), checks=CHECKS)
    script, computer = Script(FakeTurn([call]), FakeTurn("Done.")), computer_with_screen()
    result = await script.run(mode, computer, on_approval=approve)
    assert result.outcome == "completed"
    assert computer.performed == [Click(1, 2), Type("x")]
    assert [request.reason for request in asked] == ["The page asks for a password."]
    body: Any = script.fake.requests[1].body
    (output,) = [item for item in body["input"] if item.get("type") == "computer_call_output"]
    assert output["acknowledged_safety_checks"] == CHECKS


@NATIVE
@pytest.mark.parametrize("answers", ["nobody", "somebody"])
async def test_denied_safety_check_ends_the_run(mode: str, answers: str) -> None:
    """Nothing is done, nothing acknowledged, and the model is not asked again; without anybody to ask it is denied."""

    async def deny(request: ApprovalRequest) -> bool:
        return False

    script = Script(FakeTurn([computer_call(action("click", x=1, y=2), checks=CHECKS)]))
    computer = computer_with_screen()
    result = await script.run(mode, computer, on_approval=deny if answers == "somebody" else None)
    assert (result.outcome, result.reason, computer.performed) == ("stopped", "denied", [])
    assert len(script.fake.requests) == 1


async def test_denied_safety_check_halts_the_functions_of_its_turn_too() -> None:
    """What the vendor warned of and a person denied is not done by another way in the same breath."""
    warned = computer_call(action("click", x=1, y=2), checks=CHECKS)
    script = Script(FakeTurn([warned, tool_use("write_file", path="a", content="b")]))
    computer = computer_with_screen()
    result = await script.run(computer=computer)
    assert (result.outcome, result.reason) == ("stopped", "denied")
    assert (computer.performed, computer.files) == ([], {})


async def test_check_of_a_call_that_cannot_be_done_waits_for_a_person_all_the_same() -> None:
    """The vendor takes no output without the acknowledgement; the look that answers is what a person approves."""
    asked: list[str] = []

    async def approve(request: ApprovalRequest) -> bool:
        asked.append(request.call.name)
        return True

    turn = FakeTurn([computer_call(action("keypress", keys=["HYPERDRIVE", "x"]), checks=CHECKS)])
    script, computer = Script(turn, FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(computer=computer, on_approval=approve)).outcome == "completed"
    assert computer.performed == []
    assert len(asked) == 1


async def test_check_of_a_call_that_cannot_be_done_may_be_denied_too() -> None:
    """Then nothing goes back to the model."""

    async def deny(request: ApprovalRequest) -> bool:
        return False

    script = Script(FakeTurn([computer_call(action("click", x=9000, y=2), checks=CHECKS)]))
    result = await script.run(on_approval=deny)
    assert (result.outcome, result.reason) == ("stopped", "denied")
    assert len(script.fake.requests) == 1


async def test_check_waits_for_the_run_to_be_answered() -> None:
    """Who follows the events may approve by the call's id."""
    call = computer_call(action("click", x=1, y=2), checks=CHECKS)
    script, computer = Script(FakeTurn([call]), FakeTurn("Done.")), computer_with_screen()
    async with script.fake.client() as client, OpenAIComputerUseHarness(client=client).start(computer, "Go.") as run:
        async for event in run.events():
            if isinstance(event, ApprovalRequested):
                assert event.data.checks[0].message == "The page asks for a password."
                await run.approve(event.data.call_id)
        result = await run.result()
    assert result.outcome == "completed"
    assert computer.performed == [Click(1, 2)]


async def test_older_computer_tool_is_told_what_it_is_shown() -> None:
    """It wants the size of the screen as the model sees it, and asks for one action at a time."""
    script = Script(
        FakeTurn([thinking("hm"), computer_call(action("click", x=1, y=2))]),
        FakeTurn([computer_call(action("screenshot"), checks=CHECKS)]),
        FakeTurn("Done."),
    )

    async def approve(request: ApprovalRequest) -> bool:
        return True

    computer = computer_with_screen()
    result = await script.run(computer=computer, model="computer-use-preview", on_approval=approve)
    assert (result.outcome, computer.performed) == ("completed", [Click(1, 2)])
    tool = script.views[0].tools["computer_use_preview"]
    assert (tool["display_width"], tool["display_height"], tool["environment"]) == (1280, 800, "linux")
    assert script.views[0].params["truncation"] == "auto"
