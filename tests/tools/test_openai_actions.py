"""OpenAI's computer actions as calls of the registry's tools."""

from __future__ import annotations

from typing import Any

import pytest

from deskhand import ToolRegistry, computer_tools
from deskhand.errors import InvalidInputError
from deskhand.providers import Click, Drag, Screen
from deskhand.tools.calls import SafetyCheck
from deskhand.tools.openai_actions import ACTION_TOOLS, calls_from_openai_computer
from tests.tools.recording import RecordingComputer


def translated(*actions: Any, **more: Any) -> list[tuple[str, Any]]:
    item: Any = {"type": "computer_call", "call_id": "call_1", "actions": list(actions), **more}
    return [(call.name, call.arguments) for call in calls_from_openai_computer(item)]


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ({"type": "click", "button": "left", "x": 1, "y": 2}, ("left_click", {"x": 1, "y": 2})),
        (
            {"type": "click", "button": "right", "x": 1, "y": 2, "keys": ["SHIFT"]},
            ("right_click", {"x": 1, "y": 2, "modifiers": ["SHIFT"]}),
        ),
        ({"type": "click", "button": "wheel", "x": 1, "y": 2, "keys": None}, ("middle_click", {"x": 1, "y": 2})),
        (
            {"type": "click", "button": "back", "x": 1, "y": 2},
            ("side_click", {"x": 1, "y": 2, "button": "back"}),
        ),
        ({"type": "double_click", "x": 1, "y": 2, "keys": []}, ("double_click", {"x": 1, "y": 2})),
        (
            {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]},
            ("left_click_drag", {"start_x": 1, "start_y": 2, "x": 3, "y": 4}),
        ),
        (
            {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}], "keys": ["ALT"]},
            ("drag_path", {"path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}], "modifiers": ["ALT"]}),
        ),
        ({"type": "keypress", "keys": ["CTRL", "+"]}, ("key", {"key": "CTRL+plus"})),
        ({"type": "move", "x": 1, "y": 2}, ("mouse_move", {"x": 1, "y": 2})),
        ({"type": "screenshot"}, ("screenshot", {})),
        ({"type": "type", "text": "grüß"}, ("type", {"text": "grüß"})),
        ({"type": "wait"}, ("wait", {"duration": 1.0})),
        (
            {"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": -360},
            ("scroll", {"x": 1, "y": 2, "direction": "up", "amount": 3}),
        ),
        ({"type": "hologram", "size": 3}, ("computer.hologram", {"size": 3})),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_action_is_a_call_of_a_tool(action: Any, call: Any) -> None:
    """Each action's fields arrive as the tool's arguments; what is unknown keeps a name that no tool bears."""
    assert translated(action) == [call]


def test_scroll_in_both_directions_is_two_calls_and_none_is_none() -> None:
    """A wheel turns in one direction at a time; less than a notch is one, and nothing is a mere look."""
    both = {"type": "scroll", "x": 1, "y": 2, "scroll_x": 10, "scroll_y": 250}
    assert [call[1]["direction"] for call in translated(both)] == ["down", "right"]
    assert [call[1]["amount"] for call in translated(both)] == [2, 1]
    assert translated({**both, "scroll_x": 0, "scroll_y": 0}) == [("screenshot", {})]
    assert translated({**both, "scroll_y": "far"})[0][1]["scroll_y"] == "far"


def test_call_without_actions_is_a_look() -> None:
    """Every call must be answered with a screenshot, also one that asks for nothing."""
    assert translated() == [("screenshot", {})]
    preview: Any = {"type": "computer_call", "call_id": "c", "action": {"type": "type", "text": "x"}}
    assert [call.name for call in calls_from_openai_computer(preview)] == ["type"]


def test_pending_checks_stand_at_the_first_call() -> None:
    """A person is asked once, before anything of the batch is done."""
    item: Any = {
        "type": "computer_call",
        "call_id": "call_1",
        "actions": [{"type": "screenshot"}, {"type": "screenshot"}],
        "pending_safety_checks": [{"id": "sc_1", "code": "malicious_instructions", "message": "Look."}, {"id": "sc_2"}],
    }
    first, second = calls_from_openai_computer(item)
    assert first.checks == (SafetyCheck("sc_1", "malicious_instructions", "Look."), SafetyCheck("sc_2"))
    assert second.checks == ()
    assert {(call.provider_call_id, call.format) for call in (first, second)} == {("call_1", "openai_computer")}


def test_something_else_is_refused() -> None:
    """Only a computer call holds actions."""
    with pytest.raises(InvalidInputError, match="no computer_call"):
        calls_from_openai_computer({"type": "function_call"})


async def test_actions_without_a_tool_of_their_own_reach_the_computer() -> None:
    """A button at the mouse's side, and a drag along many points."""
    computer = RecordingComputer(Screen(100, 100))
    registry = computer_tools(computer).merged(ToolRegistry(ACTION_TOOLS))
    path: Any = [{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}]
    await registry.dispatch(computer, "drag_path", {"path": path})
    await registry.dispatch(computer, "side_click", {"button": "forward", "x": 1, "y": 2})
    assert computer.performed == [Drag(((1, 2), (3, 4), (5, 6))), Click(1, 2, "forward")]


async def test_null_for_an_argument_that_may_be_left_out_is_none() -> None:
    """Strict schemas require every argument, so that a model says null; one that is required stays required."""
    computer = RecordingComputer(Screen(100, 100))
    registry = computer_tools(computer)
    await registry.dispatch(computer, "scroll", '{"direction":"up","amount":null,"x":null,"y":null,"modifiers":null}')
    with pytest.raises(InvalidInputError, match="direction: field required"):
        await registry.dispatch(computer, "scroll", {"direction": None, "amount": None})
