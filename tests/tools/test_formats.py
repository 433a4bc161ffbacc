"""Calls as vendors give them, observations as vendors take them, schemas by vendors' rules."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import cast

import pytest
from anthropic.types import ToolUseBlock
from openai.types.chat import ChatCompletionMessageToolCall
from openai.types.responses import ResponseFunctionToolCall
from pydantic import JsonValue

from deskhand import TOOL_SCHEMAS, Frame, Observation, ToolCall, anthropic_tools, dispatch
from deskhand.errors import InvalidInputError
from deskhand.providers import Capability, Click, ExecResult, Key, Screen, Type
from deskhand.tools import ErrorInfo, computer_tools
from tests.tools.recording import RecordingComputer

FRAME = Frame("f1", "0" * 64, "image/png", 1280, 800, Screen(1280, 800), "r/1/1", 3, "cmp_1")


def chat_call(name: str, arguments: str) -> ChatCompletionMessageToolCall:
    """Make a call as the SDK gives it."""
    return ChatCompletionMessageToolCall.model_validate(
        {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    )


def test_calls_of_openai_are_taken_typed_and_plain() -> None:
    """Both APIs, as the SDK gives them and as plain dicts."""
    chat = chat_call("exec", '{"command": "ls"}')
    expected = ToolCall("exec", '{"command": "ls"}', provider_call_id="call_1", format="openai_chat")
    assert ToolCall.from_openai(chat) == expected
    assert ToolCall.from_openai(chat.model_dump()) == expected
    responses = ResponseFunctionToolCall(type="function_call", call_id="call_2", name="exec", arguments="{}")
    assert ToolCall.from_openai(responses) == ToolCall(
        "exec", "{}", provider_call_id="call_2", format="openai_responses"
    )


@pytest.mark.parametrize(
    ("member", "given", "name", "arguments"),
    [
        ("screenshot", {}, "screenshot", {}),
        (
            "left_click",
            {"coordinate": [1, 2], "text": "ctrl+shift"},
            "left_click",
            {"x": 1, "y": 2, "modifiers": ["ctrl", "shift"]},
        ),
        ("left_click", {}, "left_click", {}),
        ("mouse_move", {"coordinate": [1, 2]}, "mouse_move", {"x": 1, "y": 2}),
        (
            "left_click_drag",
            {"start_coordinate": [1, 2], "coordinate": [3, 4]},
            "left_click_drag",
            {"start_x": 1, "start_y": 2, "x": 3, "y": 4},
        ),
        (
            "scroll",
            {"scroll_direction": "up", "scroll_amount": 3, "coordinate": [1, 2]},
            "scroll",
            {"direction": "up", "amount": 3, "x": 1, "y": 2},
        ),
        ("key", {"text": "ctrl+s", "repeat": 2}, "key", {"key": "ctrl+s", "repeat": 2}),
        ("hold_key", {"text": "a", "duration": 2}, "hold_key", {"key": "a", "duration": 2}),
        ("type", {"text": "a"}, "type", {"text": "a"}),
        ("wait", {"duration": 1}, "wait", {"duration": 1}),
        ("zoom", {"region": [1, 2, 3, 4]}, "zoom", {"x0": 1, "y0": 2, "x1": 3, "y1": 4}),
        ("cursor_position", {}, "cursor_position", {}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_toolset_members_become_the_registrys_calls(
    member: str, given: dict[str, object], name: str, arguments: dict[str, JsonValue]
) -> None:
    """Every member's own arguments fit the tool's schema once translated."""
    block = {"type": "tool_use", "id": "toolu_1", "name": member, "toolset_name": "computer", "input": given}
    call = ToolCall.from_anthropic(block)
    assert call == ToolCall(name, arguments, provider_call_id="toolu_1", format="anthropic_toolset")
    computer_tools(frozenset(Capability)).validate(call.name, call.arguments)


@pytest.mark.parametrize(
    ("given", "name", "arguments"),
    [
        ({"action": "screenshot"}, "screenshot", {}),
        ({"action": "left_click", "coordinate": [1, 2]}, "left_click", {"x": 1, "y": 2}),
        ({"action": "left_click", "key": "shift"}, "left_click", {"modifiers": ["shift"]}),
        ({"action": "right_click", "text": "ctrl+alt"}, "right_click", {"modifiers": ["ctrl", "alt"]}),
        (
            {"action": "scroll", "coordinate": [1, 2], "scroll_direction": "down", "scroll_amount": 4, "text": "ctrl"},
            "scroll",
            {"x": 1, "y": 2, "direction": "down", "amount": 4, "modifiers": ["ctrl"]},
        ),
        ({"action": "key", "text": "ctrl+s"}, "key", {"key": "ctrl+s"}),
        ({"action": "hold_key", "text": "a", "duration": 0.5}, "hold_key", {"key": "a", "duration": 0.5}),
        ({"action": "type", "text": "key"}, "type", {"text": "key"}),
        ({"action": "wait", "duration": 2}, "wait", {"duration": 2}),
        ({"action": "zoom", "region": [1, 2, 3, 4]}, "zoom", {"x0": 1, "y0": 2, "x1": 3, "y1": 4}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_actions_of_the_older_computer_tool_become_the_registrys_calls(
    given: dict[str, object], name: str, arguments: dict[str, JsonValue]
) -> None:
    """The one tool of older models names its action among its arguments."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "computer", "input": given}
    call = ToolCall.from_anthropic(block)
    assert call == ToolCall(name, arguments, provider_call_id="toolu_1", format="anthropic_computer")
    computer_tools(frozenset(Capability)).validate(call.name, call.arguments)
    assert Observation(call, text="done").to_anthropic() == {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "done"}],
    }


@pytest.mark.parametrize(
    ("member", "given"),
    [
        ("left_click", {"coordinate": [1]}),
        ("left_click", {"coordinate": "1,2"}),
        ("left_click", {"coordinate": [1, 2, 3]}),
        ("left_click", {"coordinate": [1.5, 2]}),
        ("left_click", {"coordinate": [1, 2], "text": "qwertz+a", "extra": 1}),
        ("zoom", {"region": [1, 2]}),
        ("key", {"text": "a", "repeat": 0}),
        ("type", {}),
    ],
    ids=str,
)
def test_malformed_members_fail_the_tools_own_check(member: str, given: dict[str, object]) -> None:
    """A malformed call is a call whose check fails, never an exception while it is read."""
    call = ToolCall.from_anthropic(
        {"type": "tool_use", "id": "t", "name": member, "toolset_name": "computer", "input": given}
    )
    with pytest.raises(InvalidInputError):
        computer_tools(frozenset(Capability)).validate(call.name, call.arguments)


def test_function_tool_of_anthropic_is_taken_as_it_is() -> None:
    """A tool of one's own keeps its arguments, even where it is called like a member."""
    block = ToolUseBlock(type="tool_use", id="toolu_1", name="key", input={"text": "a"})
    assert ToolCall.from_anthropic(block) == ToolCall(
        "key", {"text": "a"}, provider_call_id="toolu_1", format="anthropic"
    )


@pytest.mark.parametrize("junk", [None, 1, "x", {"type": "text"}, {}], ids=repr)
def test_what_is_no_call_is_refused(junk: object) -> None:
    """The message says what to pass."""
    with pytest.raises(InvalidInputError):
        ToolCall.from_openai(junk)
    with pytest.raises(InvalidInputError):
        ToolCall.from_anthropic(junk)


def _call(format: str) -> ToolCall:
    return ToolCall("screenshot", {}, provider_call_id="id", format=format)  # type: ignore[arg-type]


def test_observation_goes_back_as_anthropic_wants_it() -> None:
    """Image beside text; errors are text alone; members echo their toolset; the halt text is the vendor's."""
    seen = Observation(_call("anthropic_toolset"), text="seen", frame=FRAME, image=b"png")
    image = base64.b64encode(b"png").decode()
    assert seen.to_anthropic() == {
        "type": "tool_result",
        "tool_use_id": "id",
        "toolset_name": "computer",
        "content": [
            {"type": "text", "text": "seen"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}},
        ],
    }
    failed = Observation(_call("anthropic"), "error", "no", error=ErrorInfo("x", "it broke"), frame=FRAME, image=b"png")
    assert failed.to_anthropic() == {
        "type": "tool_result",
        "tool_use_id": "id",
        "is_error": True,
        "content": [{"type": "text", "text": "it broke"}],
    }
    skipped = Observation(_call("anthropic_toolset"), "skipped", "no")
    [text] = cast("list[dict[str, str]]", skipped.to_anthropic()["content"])
    assert text["text"] == "Not executed: an earlier computer action in this turn failed."


def test_observation_goes_back_as_openai_wants_it() -> None:
    """Chat takes images only in a user message; Responses takes them in the output."""
    chat = Observation(_call("openai_chat"), frame=FRAME, image=b"png").to_openai()
    assert [message["role"] for message in chat] == ["tool", "user"]
    assert chat[0]["tool_call_id"] == "id"
    [item] = Observation(_call("openai_responses"), text="t", frame=FRAME, image=b"png").to_openai()
    assert item["type"] == "function_call_output"
    assert [part["type"] for part in cast("list[dict[str, str]]", item["output"])] == ["input_text", "input_image"]
    [plain] = Observation(_call("openai_responses"), text="t").to_openai()
    assert plain["output"] == "t"


def test_lone_surrogates_in_output_do_not_break_the_request() -> None:
    """What a computer prints is data, whatever it is."""
    observation = Observation(_call("anthropic"), text="a\ud800b")
    assert "\ud800" not in str(observation.to_anthropic()["content"])


def _nodes(schema: object) -> Iterator[dict[str, object]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _nodes(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _nodes(item)


STRICT_KEYWORDS = {
    "type", "properties", "required", "additionalProperties", "description", "enum", "anyOf", "items", "const",
    "pattern", "format", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "minItems",
    "maxItems",
}  # fmt: skip
"""What OpenAI documents as supported in strict schemas."""


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_openai_schemas_obey_strict_mode(api: str) -> None:
    """Every object closed, every property required, no keyword that strict mode refuses."""
    for printed in computer_tools(frozenset(Capability)).openai_tools(api):  # type: ignore[arg-type]
        function = cast("dict[str, object]", printed["function"] if api == "chat" else printed)
        assert function["strict"] is True
        for node in _nodes(function["parameters"]):
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert set(cast("list[str]", node["required"])) == set(cast("dict[str, object]", node["properties"]))
        for node in _schema_nodes(function["parameters"]):
            assert set(node) <= STRICT_KEYWORDS, node


def _schema_nodes(node: object) -> Iterator[dict[str, object]]:
    """Walk schemas only, not the names of their properties."""
    if isinstance(node, dict):
        yield node
        for inner in cast("dict[str, object]", node.get("properties", {})).values():
            yield from _schema_nodes(inner)
        yield from _schema_nodes(node.get("items"))
        for option in cast("list[object]", node.get("anyOf", [])):
            yield from _schema_nodes(option)


def test_anthropic_schemas_are_closed_objects_without_references() -> None:
    """As the Messages API takes them."""
    for printed in computer_tools(frozenset(Capability)).anthropic_tools():
        assert set(printed) == {"name", "description", "input_schema"}
        schema = cast("dict[str, object]", printed["input_schema"])
        assert schema["type"] == "object"
        assert "$ref" not in str(schema)
        assert "title" not in schema


async def test_dispatch_gives_the_seven_tools_results() -> None:
    """The seed's names, arguments and results."""
    computer = RecordingComputer()
    computer.image = b"image"
    computer.commands["ls"] = ExecResult("a\n", "a\n", "", 0)
    names = [cast("dict[str, str]", schema["function"])["name"] for schema in TOOL_SCHEMAS]
    assert names == ["exec", "screenshot", "left_click", "type", "key", "write_file", "read_file"]
    assert [schema["name"] for schema in anthropic_tools()] == names
    assert await dispatch(computer, "exec", '{"command": "ls"}') == {"output": "a\n", "exit_code": 0, "error": None}
    assert await dispatch(computer, "screenshot", {}) == {"image_base64": base64.b64encode(b"image").decode()}
    assert await dispatch(computer, "left_click", {"x": 1, "y": 2}) == {"ok": True}
    assert await dispatch(computer, "type", {"text": "a"}) == {"ok": True}
    assert await dispatch(computer, "key", {"key": "enter"}) == {"ok": True}
    assert await dispatch(computer, "write_file", {"path": "f", "content": "c"}) == {"ok": True}
    assert await dispatch(computer, "read_file", {"path": "f"}) == {"content": "c"}
    assert computer.performed == [Click(1, 2), Type("a"), Key("enter")]
