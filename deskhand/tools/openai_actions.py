"""OpenAI's computer actions as calls of the registry's tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final, Literal, cast

from pydantic import Field, JsonValue

from deskhand.errors import InvalidInputError
from deskhand.providers.actions import Click, Drag
from deskhand.providers.contract import Capability
from deskhand.tools.calls import SafetyCheck, ToolCall
from deskhand.tools.formats import call_from_openai, plain_of
from deskhand.tools.registry import Arguments, ScreenPoint, ScreenX, ScreenY, Tool, ToolContext, ToolOutput

__all__ = ["OPENAI_ACTION_TOOLS", "calls_from_openai", "calls_from_openai_computer"]

JsonDict = dict[str, JsonValue]

NOTCH: Final = 120
"""Pixels of scrolling that one notch of the wheel stands for."""

PAUSE: Final = 1.0
"""Seconds of a ``wait``, which says nothing of its length."""


class SideClick(Arguments):
    """Where, and with which of the buttons at the mouse's side."""

    button: Literal["back", "forward"]
    x: ScreenX
    y: ScreenY
    modifiers: Annotated[list[str], Field(max_length=5)] | None = None


class Path(Arguments):
    """Along which points."""

    path: Annotated[list[ScreenPoint], Field(min_length=2, max_length=1000)]
    modifiers: Annotated[list[str], Field(max_length=5)] | None = None


async def _side_click(context: ToolContext[object], arguments: object) -> ToolOutput:
    assert isinstance(arguments, SideClick)  # noqa: S101 (the registry has checked it)
    a = arguments
    await context.computer.perform(Click(a.x, a.y, a.button, modifiers=tuple(a.modifiers or ())))
    return ToolOutput("clicked", {"ok": True})


async def _drag(context: ToolContext[object], arguments: object) -> ToolOutput:
    assert isinstance(arguments, Path)  # noqa: S101 (the registry has checked it)
    points = tuple((point.x, point.y) for point in arguments.path)
    await context.computer.perform(Drag(points, modifiers=tuple(arguments.modifiers or ())))
    return ToolOutput("dragged", {"ok": True})


OPENAI_ACTION_TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="side_click",
        description="Click one of the buttons at the mouse's side at a point of the last screenshot.",
        parameters=SideClick,
        handler=_side_click,
        capability=Capability.FULL_INPUT,
        risk="low",
    ),
    Tool(
        name="drag_path",
        description="Drag with the left button along points of the last screenshot.",
        parameters=Path,
        handler=_drag,
        capability=Capability.FULL_INPUT,
        risk="low",
    ),
)
"""What OpenAI's computer tool asks for and no other tool of the registry does."""


def calls_from_openai(item: object) -> list[ToolCall]:
    """Take a call as OpenAI gives it: a Chat tool call, a Responses function call, or a computer call with its actions.

    A computer call is answered with a screenshot: a look is its last call.

    Raises:
        InvalidInputError: If it is none of them.
    """
    plain = plain_of(item)
    if plain.get("type") != "computer_call":
        return [call_from_openai(plain)]
    calls = calls_from_openai_computer(cast("Mapping[str, JsonValue]", plain))
    last = calls[-1]
    if last.name != "screenshot":
        calls.append(replace(last, name="screenshot", arguments={}, checks=()))
    return calls


def calls_from_openai_computer(item: Mapping[str, JsonValue]) -> list[ToolCall]:
    """Take a ``computer_call`` item: its actions in order, each a call; a look at the screen where it has none.

    The vendor's pending safety checks stand at the first: it waits for a person, and the others wait for it.

    Raises:
        InvalidInputError: If it is no such item.
    """
    if item.get("type") != "computer_call":
        raise InvalidInputError(f"this is no computer_call but {item.get('type')!r}")
    given = item.get("actions")
    actions = given if isinstance(given, list) else [item.get("action")]
    translated = [call for action in actions if isinstance(action, dict) for call in _calls_of(action)]
    checks = _checks(item.get("pending_safety_checks"))
    return [
        ToolCall(
            name,
            arguments,
            provider_call_id=str(item.get("call_id")),
            format="openai_computer",
            checks=() if index else checks,
        )
        for index, (name, arguments) in enumerate(translated or [("screenshot", {})])
    ]


def _checks(given: JsonValue) -> Sequence[SafetyCheck]:
    found = [check for check in given if isinstance(check, dict)] if isinstance(given, list) else []
    return tuple(
        SafetyCheck(str(check.get("id")), _text(check.get("code")), _text(check.get("message"))) for check in found
    )


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


_Calls = list[tuple[str, JsonDict]]


def _calls_of(action: JsonDict) -> _Calls:
    """Translate one action; what does not fit stays in its arguments, and fails the tool's own check."""
    rest: JsonDict = {key: value for key, value in action.items() if key != "type" and value is not None}
    kind = str(action.get("type"))
    translate = _ACTIONS.get(kind)
    return [(f"computer.{kind}"[:100], rest)] if translate is None else translate(rest)


def _held(rest: JsonDict) -> JsonDict:
    """Rename the keys that are held meanwhile."""
    keys = rest.pop("keys", None)
    if keys:
        rest["modifiers"] = keys
    return rest


def _click(rest: JsonDict) -> _Calls:
    button = rest.pop("button", "left")
    tool = _BUTTONS.get(str(button))
    if tool is None:
        rest["button"] = button
    return [(tool or "side_click", _held(rest))]


_BUTTONS: Final = {"left": "left_click", "right": "right_click", "wheel": "middle_click"}


def _drag_calls(rest: JsonDict) -> _Calls:
    path = rest.get("path")
    if not isinstance(path, list) or len(path) != 2:
        return [("drag_path", _held(rest))]
    start, end = (point if isinstance(point, dict) else {} for point in path)
    del rest["path"]
    rest.update({"start_x": start.get("x"), "start_y": start.get("y"), "x": end.get("x"), "y": end.get("y")})
    return [("left_click_drag", _held(rest))]


def _scroll_calls(rest: JsonDict) -> _Calls:
    """Translate pixels into notches; a scroll in both directions is two."""
    rest = _held(rest)
    turned = [(name, rest.pop(name, 0), ways) for name, ways in _WAYS.items()]
    calls: _Calls = []
    for name, pixels, (negative, positive) in turned:
        if isinstance(pixels, bool) or not isinstance(pixels, int | float):
            return [("scroll", {**rest, name: pixels})]
        if pixels:
            amount = max(1, round(abs(pixels) / NOTCH))
            calls.append(("scroll", {**rest, "direction": positive if pixels > 0 else negative, "amount": amount}))
    return calls


def _wait(rest: JsonDict) -> _Calls:
    """Give a wait its length."""
    rest.setdefault("duration", PAUSE)
    return [("wait", rest)]


_WAYS: Final = {"scroll_y": ("up", "down"), "scroll_x": ("left", "right")}


def _keypress(rest: JsonDict) -> _Calls:
    """Translate keys that are pressed together."""
    keys = rest.pop("keys", None)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return [("key", {**rest, "keys": keys})]
    return [("key", {**rest, "key": "+".join(_KEYS.get(str(key), str(key)) for key in keys)})]


_KEYS: Final = {"+": "plus", " ": "space"}

_ACTIONS: Final[Mapping[str, Callable[[JsonDict], _Calls]]] = {
    "click": _click,
    "double_click": lambda rest: [("double_click", _held(rest))],
    "drag": _drag_calls,
    "keypress": _keypress,
    "move": lambda rest: [("mouse_move", _held(rest))],
    "screenshot": lambda rest: [("screenshot", rest)],
    "scroll": _scroll_calls,
    "type": lambda rest: [("type", rest)],
    "wait": _wait,
}
