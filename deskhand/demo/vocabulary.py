"""The demonstration's script in the words of each way to use a computer: it is written in those of Claude's toolset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from deskhand.testing.models import Block, FakeTurn, ModelView, ToolUse, action, computer_call, tool_use
from deskhand.tools.formats import call_from_anthropic

if TYPE_CHECKING:
    from pydantic import JsonValue

__all__ = ["in_actions", "in_functions"]

NOTCH: Final = 120
"""Pixels of scrolling that stand for one notch of the wheel."""

KEYS: Final[Mapping[str, str]] = {"ctrl": "CTRL", "alt": "ALT", "shift": "SHIFT", "Return": "ENTER"}

WAYS: Final[Mapping[str, tuple[int, int]]] = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}

Script: TypeAlias = Callable[[ModelView], FakeTurn]


def in_actions(script: Script) -> Script:
    """Return a script that says the same in batches of OpenAI's computer tool."""

    def play(view: ModelView) -> FakeTurn:
        blocks = script(view).blocks
        said: list[Block] = [block for block in blocks if not _is_member(block)]
        actions = [_action(block) for block in blocks if isinstance(block, ToolUse) and _is_member(block)]
        return FakeTurn([*said, computer_call(*actions)] if actions else said)

    return play


def in_functions(script: Script) -> Script:
    """Return a script that says the same in calls of functions, with a look at the screen after what changes it."""

    def play(view: ModelView) -> FakeTurn:
        blocks = script(view).blocks
        said: list[Block] = [_function(block, view) if isinstance(block, ToolUse) else block for block in blocks]
        members = [block.name for block in blocks if isinstance(block, ToolUse) and _is_member(block)]
        if members and members[-1] != "screenshot":
            said.append(tool_use("screenshot"))
        return FakeTurn(said)

    return play


def _is_member(block: Block) -> bool:
    return isinstance(block, ToolUse) and block.toolset_name is not None


def _arguments(call: ToolUse) -> dict[str, Any]:
    """Return the arguments of a call by the names that the tools of a computer have for them."""
    block = {"type": "tool_use", "id": "", "name": call.name, "input": call.input, "toolset_name": call.toolset_name}
    return dict(cast("Mapping[str, Any]", call_from_anthropic(block).arguments))


def _action(call: ToolUse) -> dict[str, JsonValue]:
    given = _arguments(call)
    match call.name:
        case "left_click":
            return action("click", **given)
        case "mouse_move":
            return action("move", **given)
        case "left_click_drag":
            start = {"x": given["start_x"], "y": given["start_y"]}
            return action("drag", path=[start, {"x": given["x"], "y": given["y"]}])
        case "scroll":
            right, down = WAYS[given["direction"]]
            pixels = NOTCH * given["amount"]
            return action("scroll", x=given["x"], y=given["y"], scroll_x=right * pixels, scroll_y=down * pixels)
        case "key":
            return action("keypress", keys=[KEYS.get(key, key) for key in given["key"].split("+")])
        case "type":
            return action("type", text=given["text"])
        case "wait" | "screenshot":
            return action(call.name)  # the vendor's wait has no duration
        case name:
            raise ValueError(f"OpenAI's computer tool has nothing for {name!r}")


def _function(call: ToolUse, view: ModelView) -> ToolUse:
    """Return a call as a model makes it; one that is held to a strict schema gives all there is, null if not meant."""
    tool = view.tools.get(call.name, {})
    schema = tool.get("parameters")
    properties = schema.get("properties") if isinstance(schema, dict) and tool.get("strict") is True else None
    every = dict.fromkeys(properties if isinstance(properties, dict) else ())
    return tool_use(call.name, **{**every, **_arguments(call)})
