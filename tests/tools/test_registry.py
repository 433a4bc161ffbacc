"""The registry: what it refuses, what it does, what users' own tools get."""

from __future__ import annotations

import math
import threading
from typing import Annotated, assert_type

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue

from deskhand.errors import (
    ConfigError,
    DeadlineExceededError,
    InvalidInputError,
    NotFoundError,
    ToolError,
    UnsupportedError,
)
from deskhand.providers import Capability, Click, Drag, ExecResult, Key, Region, Scroll, Type, Wait
from deskhand.tools import ToolContext, ToolOutput, ToolRegistry, computer_tools
from deskhand.tools.arguments import parse_arguments
from tests.tools.recording import RecordingComputer

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": Infinity}', "Infinity"),
        ('{"a": 1e999}', "finite"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": 1} x', "JSON"),
        ("[1]", "an array"),
        ('"text"', "a string"),
        ("null", "null"),
        ("true", "a boolean"),
        ("{" * 100_000, "JSON"),
        ('{"a":' * 100 + "1" + "}" * 100, "deeper"),
        ("[" * 100_000 + "]" * 100_000, "deeper"),
        ('{"a": "' + "b" * 300_000 + '"}', "bytes"),
        ('{"a": "' + "\U0001f600" * 70_000 + '"}', "bytes"),
        ('{"a": ' + "9" * 5_000 + "}", "JSON"),
        ("\ufeff{}", "JSON"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_arguments_that_are_ambiguous_or_unbounded_are_refused(text: str, said: str) -> None:
    """Strict reading: nothing is guessed."""
    with pytest.raises(InvalidInputError, match=said) as caught:
        parse_arguments(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "value",
    [{"a": math.inf}, {"a": "b" * 10_000_000}, {1: "a"}, {"a": {"b": ["\ud800"]}}],
    ids=["infinite", "large", "key", "surrogate"],
)
def test_mappings_are_checked_like_text(value: dict[str, JsonValue]) -> None:
    """A mapping gets the same checks."""
    with pytest.raises(InvalidInputError):
        parse_arguments(value)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_arguments_that_are_plain_json_arrive_unchanged(value: dict[str, JsonValue]) -> None:
    """What json writes is read back the same, as text and as a mapping."""
    import json

    assert parse_arguments(json.dumps(value)) == value
    assert parse_arguments(value) == value


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("left_click", {"x": 1, "y": 2}, Click(1, 2)),
        ("left_click", {}, Click()),
        ("left_click", {"x": None, "y": None, "modifiers": None}, Click()),
        ("right_click", {"x": 1, "y": 2, "modifiers": ["ctrl"]}, Click(1, 2, "right", 1, ("ctrl",))),
        ("middle_click", '{"x": 1, "y": 2}', Click(1, 2, "middle")),
        ("double_click", {"x": 1, "y": 2}, Click(1, 2, "left", 2)),
        ("triple_click", {"x": 1, "y": 2}, Click(1, 2, "left", 3)),
        ("left_click_drag", {"start_x": 1, "start_y": 2, "x": 3, "y": 4}, Drag(((1, 2), (3, 4)))),
        ("scroll", {"direction": "down", "amount": 5}, Scroll(dx=0, dy=5)),
        ("scroll", {"direction": "left", "amount": 2, "x": 9, "y": 8}, Scroll(9, 8, -2, 0)),
        ("key", {"key": "Ctrl+S"}, Key("ctrl+s")),
        ("type", {"text": "héllo\n"}, Type("héllo\n")),
        ("wait", {"duration": 0.5}, Wait(0.5)),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_tool_performs_its_action(name: str, arguments: dict[str, JsonValue] | str, expected: object) -> None:
    """Each input tool becomes one action of the contract."""
    computer = RecordingComputer()
    await computer_tools(computer).dispatch(computer, name, arguments)
    assert computer.performed == [expected]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("left_click", {"x": 1}, "go together"),
        ("left_click", {"x": True, "y": 2}, "integer"),
        ("left_click", {"x": 1.5, "y": 2}, "integer"),
        ("left_click", {"x": "1", "y": 2}, "integer"),
        ("left_click", {"x": 1, "y": 2, "z": 3}, "not permitted"),
        ("key", {"key": "qwertz"}, "no key is called"),
        ("key", {"key": "a", "repeat": 101}, "less than or equal"),
        ("key", {"key": "a", "repeat": True}, "integer"),
        ("type", {"text": "\x1b[0m"}, "control character"),
        ("scroll", {"direction": "sideways"}, "'up', 'down', 'left' or 'right'"),
        ("wait", {"duration": 1e9}, "less than or equal to 300"),
        ("zoom", {"x0": 5, "y0": 5, "x1": 5, "y1": 9}, "empty"),
        ("exec", {}, "command"),
        ("preview_url", {"port": 70_000}, "65535"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_arguments_say_what_is_wrong_and_do_nothing(
    name: str, arguments: dict[str, JsonValue], said: str
) -> None:
    """Nothing is clamped or guessed."""
    computer = RecordingComputer()
    with pytest.raises(InvalidInputError, match=said):
        await computer_tools(computer).dispatch(computer, name, arguments)
    assert computer.performed == []


async def test_unknown_tool_names_the_nearest() -> None:
    """A slip of a model's pen gets the right name back."""
    computer = RecordingComputer()
    with pytest.raises(NotFoundError, match="did you mean 'screenshot'"):
        await computer_tools(computer).dispatch(computer, "screen_shot", {})


async def test_failed_command_is_told_with_its_output() -> None:
    """A non-zero exit is an error that happened."""
    computer = RecordingComputer()
    computer.commands["false"] = ExecResult("oh\n", "oh\n", "", 1, dropped=7)
    output = await computer_tools(computer).dispatch(computer, "exec", {"command": "false"})
    assert output.error is not None
    assert output.error.effect == "yes"
    assert output.text == "oh\n[7 bytes of output in the middle were not kept]\n[exit code 1]"
    assert output.data == {"output": "oh\n", "exit_code": 1, "error": None}


async def test_zoom_captures_the_region() -> None:
    """The region is in pixels of the real screen."""
    computer = RecordingComputer()
    await computer_tools(computer).dispatch(computer, "zoom", {"x0": 1, "y0": 2, "x1": 3, "y1": 4})
    assert computer.regions == [Region(1, 2, 3, 4)]


def test_tools_follow_the_capabilities() -> None:
    """What a computer cannot back is not shown."""
    shell_only = computer_tools({Capability.EXEC, Capability.FILES})
    assert shell_only.names == ["exec", "python", "read_file", "write_file", "list_dir"]
    blind = RecordingComputer(without=frozenset({Capability.REGION, Capability.CURSOR}))
    assert not {"zoom", "cursor_position"} & set(computer_tools(blind).names)


async def test_capability_is_asked_again_when_the_tool_is_used() -> None:
    """A registry of another computer does not give a computer what it lacks."""
    computer = RecordingComputer(without=frozenset({Capability.KEYBOARD}))
    with pytest.raises(UnsupportedError, match="keyboard"):
        await computer_tools(frozenset(Capability)).dispatch(computer, "type", {"text": "a"})


class Order(BaseModel):
    """An order."""

    item: str
    count: Annotated[int, Field(ge=1)] = 1


async def test_users_function_becomes_a_tool() -> None:
    """The signature gives the schema, the docstring the description, the context stays out."""
    registry = ToolRegistry()

    @registry.tool(risk="low")
    async def order(context: ToolContext[dict[str, int]], what: Order, note: str | None = None) -> dict[str, JsonValue]:
        """Order something."""
        return {"left": context.deps[what.item] - what.count, "note": note}

    output = await registry.dispatch(
        RecordingComputer(), "order", '{"what": {"item": "pen", "count": 2}}', deps={"pen": 5}
    )
    assert output.data == {"left": 3, "note": None}
    [schema] = registry.anthropic_tools()
    assert schema["description"] == "Order something."
    assert list(schema["input_schema"]["properties"]) == ["what", "note"]  # type: ignore[index, call-overload, arg-type]
    assert "$ref" not in str(schema)


async def test_synchronous_function_runs_in_a_thread_and_its_timeout_is_unknown() -> None:
    """Nobody can stop a thread: what it did is not known."""
    registry = ToolRegistry()
    release = threading.Event()

    @registry.tool(timeout=0.05)
    def stuck() -> str:
        """Never come back by itself."""
        release.wait(10)
        return "late"

    try:
        with pytest.raises(DeadlineExceededError) as caught:
            await registry.dispatch(RecordingComputer(), "stuck", {})
        assert caught.value.effect == "unknown"
    finally:
        release.set()


async def test_asynchronous_function_is_cancelled_at_its_deadline() -> None:
    """The deadline is the tool's own."""
    registry = ToolRegistry()
    seen: list[str] = []

    @registry.tool(timeout=0.05, effect="pure")
    async def slow() -> str:
        """Wait for ever."""
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("cancelled")
        return ""

    with pytest.raises(DeadlineExceededError, match=r"slow took longer than 0\.05 s") as caught:
        await registry.dispatch(RecordingComputer(), "slow", {})
    assert caught.value.effect == "no"
    assert seen == ["cancelled"]


async def test_tool_error_and_outputs_pass_through() -> None:
    """Text, JSON, nothing and whole outputs are all fine; what is no JSON is told."""
    registry = ToolRegistry()
    for name, value in {
        "text": "hi",
        "none": None,
        "json": [1],
        "whole": ToolOutput("t", image=b"i"),
        "bad": object(),
    }.items():

        def give(value: object = value) -> object:
            """Give."""
            return value

        give.__signature__ = __import__("inspect").Signature()  # type: ignore[attr-defined]
        registry.tool(name=name)(give)
    computer = RecordingComputer()
    assert (await registry.dispatch(computer, "text", {})).text == "hi"
    assert (await registry.dispatch(computer, "none", {})).text == "done"
    assert (await registry.dispatch(computer, "json", {})).data == [1]
    assert (await registry.dispatch(computer, "whole", {})).image == b"i"
    with pytest.raises(ToolError, match="object"):
        await registry.dispatch(computer, "bad", {})


def test_registry_refuses_a_taken_name_and_a_bad_one() -> None:
    """Two tools of one name would shadow one another."""
    registry = computer_tools({Capability.EXEC})
    with pytest.raises(ConfigError, match="already"):
        registry.tool(name="exec")(lambda: None)
    with pytest.raises(ConfigError, match="no tool name"):
        registry.tool(name="a b")(lambda: None)


def test_decorator_keeps_the_functions_type() -> None:
    """A type checker sees the function as it was."""
    registry = ToolRegistry()

    @registry.tool
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    assert_type(double(2), int)
    assert double(2) == 4
