"""Whatever a model of OpenAI asks for, the history stays one that the API takes."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deskhand import (
    OpenAIComputerUseHarness,
)
from deskhand.harness import ApprovalRequest
from deskhand.providers import Screen
from deskhand.testing.models import (
    FakeTurn,
    ToolUse,
    action,
    computer_call,
    text,
    thinking,
    tool_use,
)
from tests.harness.driving import png
from tests.harness.openai_script import EVERY, MODES, Script
from tests.tools.recording import RecordingComputer

CHECKS = [{"id": "sc_1", "code": "malicious_instructions", "message": "The page asks for a password."}]


ACTIONS = st.one_of(
    st.builds(lambda x, y: action("click", x=x, y=y), st.integers(-5, 70), st.integers(-5, 60)),
    st.builds(lambda s: action("type", text=s), st.text(max_size=5)),
    st.sampled_from(
        [
            action("screenshot"),
            action("wait"),
            action("keypress", keys=["CTRL", "s"]),
            action("keypress", keys=["HYPER", "nonsense"]),
            action("keypress", keys=[]),
            action("scroll", x=1, y=1, scroll_y=0),
            action("scroll", x=1, y=1, scroll_y=-5000, scroll_x=30),
            action("move", x=1, y=1, keys=["CTRL"]),
            action("drag", path=[]),
            action("drag", path=[{"x": 1, "y": 1}, {"x": 90, "y": 1}]),
        ]
    ),
)
BATCHES = st.builds(
    lambda actions, checked: computer_call(*actions, checks=CHECKS if checked else ()),
    st.lists(ACTIONS, max_size=4),
    st.booleans(),
)
FUNCTION_CALLS = st.one_of(
    st.builds(lambda x, y: tool_use("left_click", x=x, y=y), st.integers(-5, 70), st.integers(-5, 60)),
    st.sampled_from(
        [
            tool_use("screenshot"),
            tool_use("exec", command="ls"),
            tool_use("exec"),
            tool_use("nothing"),
            ToolUse("exec", {}, raw_input='{"command": '),
        ]
    ),
)


def turns_of(calls: st.SearchStrategy[Any]) -> st.SearchStrategy[list[FakeTurn]]:
    return st.lists(
        st.builds(
            lambda blocks, calls, reason: FakeTurn([*blocks, *calls], stop_reason=reason),
            st.lists(st.sampled_from([text("a"), text("ö\n"), thinking("hm")]), max_size=3),
            st.lists(calls, max_size=3),
            st.sampled_from([None, None, None, "max_tokens"]),
        ),
        max_size=5,
    )


@EVERY
@given(data=st.data(), sighted=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_history_stays_legal_whatever_the_model_does(mode: str, data: st.DataObject, sighted: bool) -> None:
    """Whatever a model asks for, every request that follows keeps all the rules of the API."""
    calls = FUNCTION_CALLS
    if MODES[mode]["harness"] is OpenAIComputerUseHarness:
        calls = st.one_of(BATCHES, FUNCTION_CALLS)
    turns = data.draw(turns_of(calls))
    computer = RecordingComputer(Screen(64, 48))
    computer.image = png(64, 48) if sighted else b"broken"

    async def approve(request: ApprovalRequest) -> bool:
        return True

    result = await Script(*turns, *[FakeTurn("Done.")] * 2).run(mode, computer, on_approval=approve)
    assert result.outcome in {"completed", "budget_exceeded"}, result.error
