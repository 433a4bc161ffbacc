"""Calls as vendors give them, and observations as vendors take them."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final, cast

from pydantic import JsonValue

from deskhand.errors import InvalidInputError
from deskhand.tools.calls import Observation, ToolCall

__all__ = [
    "call_from_anthropic",
    "call_from_openai",
    "observation_to_anthropic",
    "observation_to_openai",
    "observations_to_openai",
]

JsonDict = dict[str, JsonValue]

TOOLSET: Final = "computer"
"""The name by which Anthropic's computer toolset marks its members' calls and results; also that of the one tool which
the older versions are."""

HALTED: Final = "Not executed: an earlier computer action in this turn failed."
"""What Anthropic wants to read of a member that was not run because an earlier one of its turn failed."""


def plain_of(value: object) -> Mapping[str, object]:
    """Take a vendor's typed object or a plain dict."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return cast("Mapping[str, object]", dump(mode="json", exclude_none=True))
    raise InvalidInputError(f"a {type(value).__name__} is not a tool call", hint="pass the vendor's object or its dict")


def call_from_openai(call: object) -> ToolCall:
    """Take a Chat tool call or a Responses function call."""
    plain = plain_of(call)
    if plain.get("type") == "function_call":
        name, arguments, call_id = plain.get("name"), plain.get("arguments"), plain.get("call_id")
        return ToolCall(str(name), str(arguments), provider_call_id=str(call_id), format="openai_responses")
    function = plain.get("function")
    if isinstance(function, Mapping):
        name, arguments, call_id = function.get("name"), function.get("arguments"), plain.get("id")
        return ToolCall(str(name), str(arguments), provider_call_id=str(call_id), format="openai_chat")
    raise InvalidInputError(
        "this is no OpenAI function call", hint="pass a Chat tool call or a Responses function_call"
    )


def call_from_anthropic(block: object, functions: Container[str] = ()) -> ToolCall:
    """Take a ``tool_use`` block: a function tool's, or in its own arguments one that acts on the screen.

    Args:
        block: The block, a member of the computer toolset or the one ``computer`` tool of older models among them.
        functions: Names that are function tools for certain.
    """
    plain = plain_of(block)
    if plain.get("type") != "tool_use":
        raise InvalidInputError(f"this is no tool_use block but {plain.get('type')!r}")
    name, call_id = str(plain.get("name")), str(plain.get("id"))
    given = plain.get("input")
    arguments = cast("JsonDict", dict(given)) if isinstance(given, Mapping) else {}
    if plain.get("toolset_name") == TOOLSET:
        arguments = _MEMBERS.get(name, dict)(arguments)
        return ToolCall(name, arguments, provider_call_id=call_id, format="anthropic_toolset")
    action = arguments.get("action")
    if name == TOOLSET and name not in functions and isinstance(action, str) and plain.get("toolset_name") is None:
        del arguments["action"]
        arguments = _MEMBERS.get(action, dict)(_older(action, arguments))
        return ToolCall(action, arguments, provider_call_id=call_id, format="anthropic_computer")
    return ToolCall(name, arguments, provider_call_id=call_id, format="anthropic")


def _older(action: str, arguments: JsonDict) -> JsonDict:
    """Bring an older tool's arguments into those of today: the keys held during a click had a name of their own."""
    if action.endswith("_click") and "text" not in arguments:
        return _rename(arguments, "key", "text")
    return arguments


def _take(arguments: JsonDict, name: str, into: tuple[str, ...]) -> JsonDict:
    """Spread a member's list over named arguments; what does not fit stays, and fails the tool's own check."""
    value = arguments.pop(name, None)
    if value is None:
        return arguments
    if isinstance(value, list) and len(value) == len(into):
        arguments.update(zip(into, value, strict=True))
    else:
        arguments[name] = value
    return arguments


def _rename(arguments: JsonDict, old: str, new: str) -> JsonDict:
    if old in arguments:
        arguments[new] = arguments.pop(old)
    return arguments


def _pointer(arguments: JsonDict) -> JsonDict:
    arguments = _take(_take(arguments, "coordinate", ("x", "y")), "start_coordinate", ("start_x", "start_y"))
    held = arguments.pop("text", None)
    if isinstance(held, str) and held:
        arguments["modifiers"] = [key for key in held.split("+") if key]
    elif held is not None and held != "":
        arguments["modifiers"] = held
    return arguments


def _scroll(arguments: JsonDict) -> JsonDict:
    return _rename(_rename(_pointer(arguments), "scroll_direction", "direction"), "scroll_amount", "amount")


_OUTDATED: Final = frozenset({"stale", "overtaken"})
"""Codes of calls that were planned on a screen which is another one by now."""

_MEMBERS: Final[Mapping[str, Callable[[JsonDict], JsonDict]]] = {
    **dict.fromkeys(("left_click", "right_click", "middle_click", "double_click", "triple_click"), _pointer),
    **dict.fromkeys(("left_click_drag", "mouse_move"), _pointer),
    "scroll": _scroll,
    **dict.fromkeys(("key", "hold_key"), lambda arguments: _rename(arguments, "text", "key")),
    "zoom": lambda arguments: _take(arguments, "region", ("x0", "y0", "x1", "y1")),
}


def said(observation: Observation) -> str:
    """Return what a model reads of an observation: never empty, always whole characters."""
    error = observation.error
    text = observation.text if observation.text.strip() else error.message if error else ""
    text = text or ("" if observation.frame else observation.outcome)
    return text.encode(errors="replace").decode()


def _image_base64(observation: Observation) -> str | None:
    return None if observation.image is None else base64.b64encode(observation.image).decode()


def _mime(observation: Observation) -> str:
    return observation.frame.mime if observation.frame else "image/png"


def shows_why(observation: Observation) -> bool:
    """Whether a call was not done because the screen is another one by now, and the answer shows it."""
    error = observation.error
    return error is not None and error.code in _OUTDATED and observation.image is not None


def observation_to_anthropic(observation: Observation) -> JsonDict:
    """Render as a ``tool_result`` block."""
    call = observation.call
    result: JsonDict = {"type": "tool_result", "tool_use_id": call.provider_call_id}
    if call.format == "anthropic_toolset":
        result["toolset_name"] = TOOLSET
    if not observation.ok and not shows_why(observation):  # (an error may hold nothing but text)
        result["is_error"] = True
        native = call.format in {"anthropic_toolset", "anthropic_computer"}
        text = HALTED if native and observation.outcome == "skipped" else said(observation)
        result["content"] = [{"type": "text", "text": text or observation.outcome}]
        return result
    content: list[JsonValue] = []
    if text := said(observation):
        content.append({"type": "text", "text": text})
    if (image := _image_base64(observation)) is not None:
        source: JsonDict = {"type": "base64", "media_type": _mime(observation), "data": image}
        content.append({"type": "image", "source": source})
    result["content"] = content
    return result


BLANK: Final = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAEklEQVR4nGNgGAWjYBSMAuwAAAQgAAGGsz1EAAAAAElFTkSuQmCC"
"""A black square, as PNG in base64: what stands where a screenshot must and none is to be had."""


def observations_to_openai(observations: Sequence[Observation]) -> list[JsonDict]:
    """Render what came of all the calls of one answer, in order, as Chat messages or Responses input items.

    Chat wants the results next to each other, so that images follow all of them; a computer call has one answer,
    however many actions it held.
    """
    entries: list[JsonDict] = []
    behind: list[JsonDict] = []
    for _, found in itertools.groupby(observations, key=lambda seen: (seen.call.format, seen.call.provider_call_id)):
        group = list(found)
        if group[0].call.format == "openai_computer":
            answer, *more = _computer_to_openai(group)
        else:
            answer, *more = observation_to_openai(group[0])
        entries.append(answer)
        behind += more
    return entries + behind


def acknowledged(group: Sequence[Observation]) -> list[JsonValue]:
    """Return the safety checks of a computer call that a person has approved."""
    return [
        {key: value for key, value in (("id", check.id), ("code", check.code), ("message", check.message)) if value}
        for seen in group
        if seen.approved
        for check in seen.call.checks
    ]


def failures(group: Sequence[Observation], *, seen: bool) -> list[str]:
    """Say what of a computer call's actions failed, and what was not done because of it: its output has no words."""
    remarks = [
        f"The action {one.call.name} failed: {said(one)}"
        for one in group
        if not one.ok and (one.outcome != "skipped" or shows_why(one))
    ]
    skipped = [one.call.name for one in group if one.outcome == "skipped" and not shows_why(one)]
    if skipped:
        remarks.append(f"What was to follow was not executed: {', '.join(skipped)}.")
    if not seen:
        remarks.append("No screenshot could be taken: the image shows nothing.")
    return remarks


def _computer_to_openai(group: Sequence[Observation]) -> list[JsonDict]:
    """Render the answer to a computer call: the newest screenshot, and what failed in a message behind it."""
    look = next((seen for seen in reversed(group) if seen.image is not None and seen.call.name != "zoom"), None)
    url = f"data:image/png;base64,{BLANK}"
    if look is not None:
        url = f"data:{_mime(look)};base64,{_image_base64(look)}"
    answer: JsonDict = {
        "type": "computer_call_output",
        "call_id": group[0].call.provider_call_id,
        "output": {"type": "computer_screenshot", "image_url": url},
    }
    if checks := acknowledged(group):
        answer["acknowledged_safety_checks"] = checks
    remarks = failures(group, seen=look is not None)
    if not remarks:
        return [answer]
    return [answer, {"role": "user", "content": [{"type": "input_text", "text": remark} for remark in remarks]}]


def observation_to_openai(observation: Observation) -> list[JsonDict]:
    """Render as Chat messages or Responses input items, as the call came."""
    if observation.call.format == "openai_computer":
        return _computer_to_openai([observation])
    image = _image_base64(observation)
    url = None if image is None else f"data:{_mime(observation)};base64,{image}"
    text = said(observation)
    if observation.call.format == "openai_responses":
        parts: list[JsonValue] = [{"type": "input_text", "text": text}] if text else []
        if url is not None:
            parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
        output: JsonValue = parts if url is not None else text
        return [{"type": "function_call_output", "call_id": observation.call.provider_call_id, "output": output}]
    answer: JsonDict = {
        "role": "tool",
        "tool_call_id": observation.call.provider_call_id,
        "content": text or "The screenshot follows.",
    }
    if url is None:
        return [answer]
    shown: JsonDict = {"type": "image_url", "image_url": {"url": url}}
    label: JsonDict = {"type": "text", "text": f"The screenshot of {observation.call.name}:"}
    return [answer, {"role": "user", "content": [label, shown]}]
