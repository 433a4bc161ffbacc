"""OpenAI's computer actions as calls of the registry's tools."""

from __future__ import annotations

from typing import Any, cast

import pytest

from deskhand import ToolRegistry, computer_tools
from deskhand.errors import InvalidInputError
from deskhand.providers import Click, Drag, Screen
from deskhand.tools import OPENAI_ACTION_TOOLS, calls_from_openai, observations_to_openai
from deskhand.tools.calls import Frame, Observation, SafetyCheck, ToolCall
from deskhand.tools.openai_actions import calls_from_openai_computer
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
    registry = computer_tools(computer).merged(ToolRegistry(OPENAI_ACTION_TOOLS))
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


def test_computer_call_ends_with_a_look() -> None:
    """Its answer is a screenshot; a call that ends with one gets no second."""
    item = {"type": "computer_call", "call_id": "c", "actions": [{"type": "type", "text": "x"}, {"type": "wait"}]}
    assert [call.name for call in calls_from_openai(item)] == ["type", "wait", "screenshot"]
    look = {"type": "computer_call", "call_id": "c", "actions": [{"type": "screenshot"}]}
    assert [call.name for call in calls_from_openai(look)] == ["screenshot"]
    function = {"type": "function_call", "call_id": "f", "name": "exec", "arguments": "{}"}
    assert [call.name for call in calls_from_openai(function)] == ["exec"]


def seen(call: ToolCall, outcome: Any = "ok", text: str = "", image: bytes | None = None, **more: Any) -> Observation:
    frame = None
    if image is not None:
        frame = Frame("f1", "", "image/png", 1, 1, Screen(1, 1), None, len(image), "cmp_1")
    return Observation(call, outcome, text=text, image=image, frame=frame, **more)


def test_computer_call_has_one_answer() -> None:
    """Its newest screenshot, the checks that were approved, and what failed in a message behind all answers."""
    checks = (SafetyCheck("sc_1", None, "Look."),)
    batch = [
        ToolCall(name, {}, provider_call_id="c1", format="openai_computer", checks=checks if name == "type" else ())
        for name in ("type", "key", "screenshot")
    ]
    function = ToolCall("exec", {}, provider_call_id="f1", format="openai_responses")
    observations = [
        seen(batch[0], approved=True),
        seen(batch[1], "error", "no such key"),
        seen(batch[2], "skipped"),
        seen(function, text="hi"),
    ]
    first, second, remarks = observations_to_openai(observations)
    output: Any = first["output"]
    assert (first["type"], first["call_id"]) == ("computer_call_output", "c1")
    assert first["acknowledged_safety_checks"] == [{"id": "sc_1", "message": "Look."}]
    assert output["image_url"].startswith("data:image/png;base64,iVBOR")
    assert second == {"type": "function_call_output", "call_id": "f1", "output": "hi"}
    said = [part["text"] for part in cast("Any", remarks["content"])]
    assert said[0] == "The action key failed: no such key"
    assert "screenshot" in said[1]
    assert "nothing" in said[2]
    (alone,) = seen(batch[2], image=b"x").to_openai()
    assert cast("Any", alone["output"])["image_url"] == "data:image/png;base64,eA=="
    assert "acknowledged_safety_checks" not in alone


def test_chat_results_stand_together() -> None:
    """Chat refuses a message of the user between two results: images follow all of them."""
    calls = [ToolCall(name, {}, provider_call_id=name, format="openai_chat") for name in ("screenshot", "exec")]
    entries = observations_to_openai([seen(calls[0], image=b"x"), seen(calls[1], text="hi")])
    assert [entry["role"] for entry in entries] == ["tool", "tool", "user"]
