"""An answer of OpenAI's Responses API, event by event: its items kept as they come, its calls read strictly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from pydantic import JsonValue

from deskhand.errors import ProtocolError, TruncatedStreamError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Delta, Json, Stop, Turn, TurnDecoder
from deskhand.harness.models.openai_door import OPENAI
from deskhand.harness.models.transcript import encode_json
from deskhand.logs import package_logger
from deskhand.tools.calls import ToolCall
from deskhand.tools.formats import call_from_openai
from deskhand.tools.openai_actions import calls_from_openai_computer

__all__ = ["INCOMPLETE", "ResponsesDecoder", "known_function", "usage_of"]

_log = package_logger(__name__)

_DELTAS: Final[Mapping[str, Literal["text", "thinking", "arguments"]]] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_summary_text.delta": "thinking",
    "response.reasoning_text.delta": "thinking",
    "response.function_call_arguments.delta": "arguments",
}
"""The events that bring a piece of an answer, and what it is told as."""

_CALLS: Final = frozenset({"function_call", "computer_call"})
"""Items that ask for something to be done."""

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})

INCOMPLETE: Final[Mapping[str, Stop]] = {"max_output_tokens": "cut", "content_filter": "declined"}
"""What it means that an answer is incomplete, by the vendor's reason."""

_FOREIGN: Final = frozenset(
    {"custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_approval_request"}
)
"""Items that must be answered, of tools that are never on offer here."""

_STRIPPED: Final = ("created_by", "parsed", "parsed_arguments")
"""Fields that come with an item and are refused when it is sent back."""


class ResponsesDecoder(TurnDecoder):
    """Folds the events of one answer.

    Args:
        functions: The function tools that are on offer.
        computer: Whether the computer tool is.
    """

    def __init__(self, functions: frozenset[str], *, computer: bool) -> None:
        self._functions = functions
        self._computer = computer
        self._items: dict[int, Json] = {}
        self._response: Json = {}
        self._complete = False

    @property
    def usage(self) -> Usage:
        """What the answer has used so far."""
        return usage_of(_object(self._response, "usage"))

    def take(self, event: Json) -> Sequence[Delta]:
        """Take in one event and return what it adds."""
        kind = str(event.get("type"))
        if kind in _DELTAS:
            piece = event.get("delta")
            if not isinstance(piece, str):
                raise ProtocolError(f"a {kind} holds no text", provider=OPENAI.name, effect="no", retryable=True)
            return (Delta(_DELTAS[kind], piece),)
        if kind == "response.output_item.done":
            self._items[_index(event)] = _without(_object(event, "item"))
        elif kind == "response.created" or kind in _ENDS:
            self._response.update(_object(event, "response"))
            self._complete = kind in _ENDS
        return ()

    def turn(self) -> Turn:
        """Return the whole answer."""
        if not self._complete:
            raise TruncatedStreamError("the model's answer ended before its last event", provider=OPENAI.name)
        status = str(self._response.get("status"))
        if status == "failed":
            raise OPENAI.stream_error({"error": _object(self._response, "error")})
        items = self._output()
        reason, stop = self._stop(status, items)
        asking = [] if stop == "cut" else [item for item in items if item.get("type") in _CALLS]
        refusal = "".join(_parts(items, "refusal"))
        response_id = self._response.get("id")
        return Turn(
            items=items,
            raw=encode_json(list[JsonValue](items)),
            calls=[call for item in asking for call in self._calls(item)],
            text=_said(items),
            thinking="\n\n".join(_thoughts(items)) or None,
            stop_reason=reason,
            stop_details=_object(self._response, "incomplete_details"),
            usage=self.usage,
            stop=stop,
            declined=refusal or (reason if stop == "declined" else None),
            call_ids=[_call_id(item) for item in asking],
            id=response_id if isinstance(response_id, str) else None,
        )

    def _output(self) -> list[Json]:
        """Return the items in order: as they came one by one, else those of the last event."""
        if self._items:
            return [self._items[index] for index in sorted(self._items)]
        output = self._response.get("output")
        return [_without(item) for item in output if isinstance(item, dict)] if isinstance(output, list) else []

    def _stop(self, status: str, items: list[Json]) -> tuple[str, Stop | None]:
        """Say why the answer ended, in the vendor's word and in ours."""
        if status == "incomplete":
            reason = str(_object(self._response, "incomplete_details").get("reason"))
            return reason, INCOMPLETE.get(reason)
        if status != "completed":
            return status, None
        foreign = next((str(item.get("type")) for item in items if item.get("type") in _FOREIGN), None)
        if foreign is not None:
            return foreign, None
        if next(_parts(items, "refusal"), None) is not None:
            return "refusal", "declined"
        return status, "act" if any(item.get("type") in _CALLS for item in items) else "done"

    def _calls(self, item: Json) -> list[ToolCall]:
        """Read an item's calls. One that names what is not on offer keeps a name that nothing in the registry bears."""
        match item.get("type"):
            case "function_call":
                return [known_function(call_from_openai(item), self._functions)]
            case "computer_call":
                calls = calls_from_openai_computer(item)
                return calls if self._computer else [replace(call, name=f"computer.{call.name}") for call in calls]
            case _:
                return []


def known_function(call: ToolCall, functions: frozenset[str]) -> ToolCall:
    """Return a call of a function, under a name that nothing in the registry bears where it is not on offer."""
    return call if call.name in functions else replace(call, name=f"functions.{call.name}"[:100])


def _call_id(item: Json) -> str | None:
    value = item.get("call_id")
    return value if isinstance(value, str) else None


def _said(items: Iterable[Json]) -> str:
    """Return the final answer, where messages say which they are; else all that was said."""
    messages = [item for item in items if item.get("type") == "message"]
    final = [item for item in messages if item.get("phase") == "final_answer"]
    return "".join(_parts(final or messages, "output_text", "text"))


def _parts(items: Iterable[Json], kind: str, field: str | None = None) -> Iterator[str]:
    """Yield the texts of one kind of part."""
    for item in items:
        content = item.get("content")
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and part.get("type") == kind:
                yield str(part.get(field or kind, ""))


def _thoughts(items: Iterable[Json]) -> Iterator[str]:
    for item in items:
        summary = item.get("summary") if item.get("type") == "reasoning" else None
        for part in summary if isinstance(summary, list) else []:
            if isinstance(part, dict) and part.get("text"):
                yield str(part["text"])


def _without(item: Json) -> Json:
    """Return an item as it may be sent back."""
    return {key: value for key, value in item.items() if key not in _STRIPPED}


def _index(event: Json) -> int:
    index = event.get("output_index")
    if not isinstance(index, int):
        raise ProtocolError(
            "an event of the model's stream names no item", provider=OPENAI.name, effect="no", retryable=True
        )
    return index


def _object(event: Mapping[str, JsonValue], name: str) -> Json:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _count(usage: Mapping[str, JsonValue], *names: str) -> int:
    return next((value for name in names if isinstance(value := usage.get(name), int)), 0)


def usage_of(given: Json) -> Usage:
    """Read what an answer used, as either API tells it; cached input stands beside the rest, not in it."""
    details = _object(given, "input_tokens_details") or _object(given, "prompt_tokens_details")
    spent = _object(given, "output_tokens_details") or _object(given, "completion_tokens_details")
    read, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    return Usage(
        input=max(0, _count(given, "input_tokens", "prompt_tokens") - read - written),
        output=_count(given, "output_tokens", "completion_tokens"),
        cache_read=read,
        cache_write=written,
        reasoning=_count(spent, "reasoning_tokens"),
    )
