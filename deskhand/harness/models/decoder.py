"""An answer of Anthropic's Messages API, event by event: its blocks kept as they come, its calls read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pydantic import JsonValue

from deskhand.errors import ProtocolError, TruncatedStreamError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Delta, Json, Stop, Turn, TurnDecoder
from deskhand.harness.models.transcript import encode_json
from deskhand.logs import package_logger
from deskhand.tools.arguments import parse_arguments
from deskhand.tools.calls import ToolCall
from deskhand.tools.formats import call_from_anthropic

__all__ = ["AnthropicDecoder"]

_log = package_logger(__name__)


@dataclass(slots=True)
class _Block:
    """A content block on its way in: what came first, and the pieces that follow."""

    value: Json
    pieces: dict[str, list[str]] = field(default_factory=dict)
    problem: str | None = None


_DELTAS: Final[Mapping[str, tuple[str, str, Literal["text", "thinking", "arguments"] | None]]] = {
    "text_delta": ("text", "text", "text"),
    "thinking_delta": ("thinking", "thinking", "thinking"),
    "signature_delta": ("signature", "signature", None),
    "input_json_delta": ("partial_json", "input", "arguments"),
}
"""Per kind of delta: the field that it brings, the block's field that it adds to, and what it is told as."""

_STOPS: Final[Mapping[str, Stop]] = {
    "tool_use": "act",
    "end_turn": "done",
    "stop_sequence": "done",
    "pause_turn": "resume",
    "compaction": "resume",
    "max_tokens": "cut",
    "refusal": "declined",
    "model_context_window_exceeded": "full",
}
"""What the vendor's stop reasons mean."""


class AnthropicDecoder(TurnDecoder):
    """Folds the events of one answer.

    Args:
        members: The members of the computer toolset that are on offer.
        functions: The function tools that are on offer.
    """

    def __init__(self, members: frozenset[str], functions: frozenset[str]) -> None:
        self._members = members
        self._functions = functions
        self._blocks: dict[int, _Block] = {}
        self._usage: Json = {}
        self._stop: Json = {}
        self._complete = False

    @property
    def usage(self) -> Usage:
        """What the answer has used so far."""
        return _usage(self._usage)

    def take(self, event: Json) -> Sequence[Delta]:
        """Take in one event and return what it adds."""
        match event.get("type"):
            case "content_block_delta":
                return self._add(_index(event), _object(event, "delta"))
            case "content_block_start":
                self._blocks[_index(event)] = _Block(dict(_object(event, "content_block")))
            case "content_block_stop":
                self._close(_index(event))
            case "message_start":
                self._usage.update(_object(_object(event, "message"), "usage"))
            case "message_delta":
                self._stop.update(_object(event, "delta"))
                self._usage.update({key: value for key, value in _object(event, "usage").items() if value is not None})
            case "message_stop":
                self._complete = True
            case other:
                _log.info("an event of an unknown type %r was left out", other)
        return ()

    def _add(self, index: int, delta: Json) -> Sequence[Delta]:
        block = self._block(index)
        kind = str(delta.get("type"))
        if kind == "citations_delta":
            found = block.value.get("citations")
            block.value["citations"] = [*(found if isinstance(found, list) else []), delta.get("citation")]
            return ()
        if kind not in _DELTAS:
            _log.info("a delta of an unknown type %r was left out", kind)
            return ()
        source, target, told = _DELTAS[kind]
        piece = delta.get(source)
        if not isinstance(piece, str):
            raise ProtocolError(f"a {kind} holds no text", effect="no", retryable=True)
        block.pieces.setdefault(target, []).append(piece)
        return (Delta(told, piece),) if told else ()

    def _block(self, index: int) -> _Block:
        try:
            return self._blocks[index]
        except KeyError:
            raise ProtocolError(
                f"a piece of block {index} came before the block", effect="no", retryable=True
            ) from None

    def _close(self, index: int) -> None:
        """Put the pieces of a block together."""
        block = self._block(index)
        for target, pieces in block.pieces.items():
            if target == "input":
                block.problem = _read_input(block.value, "".join(pieces))
            else:
                start = block.value.get(target)
                block.value[target] = (start if isinstance(start, str) else "") + "".join(pieces)
        block.pieces = {}

    def turn(self) -> Turn:
        """Return the whole answer."""
        reason = self._stop.get("stop_reason")
        if not self._complete or not isinstance(reason, str):
            raise TruncatedStreamError("the model's answer ended before its last event", provider="anthropic")
        for index in [index for index, block in self._blocks.items() if block.pieces]:
            self._close(index)
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        items = [block.value for block in blocks]
        details = self._stop.get("stop_details")
        details = details if isinstance(details, dict) else {}
        calls = [self._call(block) for block in blocks if block.value.get("type") == "tool_use"]
        text = "".join(str(item.get("text", "")) for item in items if item.get("type") == "text")
        declined = details.get("explanation") or details.get("category") or text
        return Turn(
            items=items,
            raw=encode_json(list[JsonValue](items)),
            calls=calls,
            text=text,
            thinking="".join(str(item.get("thinking", "")) for item in items if item.get("type") == "thinking") or None,
            stop_reason=reason,
            stop_details=details,
            usage=self.usage,
            stop=_STOPS.get(reason),
            declined=str(declined) if declined and reason == "refusal" else None,
            call_ids=[call.provider_call_id for call in calls],
        )

    def _call(self, block: _Block) -> ToolCall:
        """Read a call. One that names what is not on offer keeps a name that nothing in the registry bears."""
        call = call_from_anthropic(block.value, self._functions)
        family = block.value.get("toolset_name")
        if call.format == "anthropic_computer":
            family, known = "computer", call.name in self._members
        elif call.format == "anthropic_toolset":
            known = call.name in self._members
        else:
            known = call.name in self._functions and family is None
        if not known:
            return replace(call, name=f"{family or 'functions'}.{call.name}"[:100])
        if block.problem is not None:
            return replace(call, arguments=block.problem)
        return call


def _read_input(block: Json, text: str) -> str | None:
    """Read a call's arguments; where they are broken, the history gets none, and the broken text is returned."""
    if not text.strip():
        return None
    try:
        value = json.loads(text)
        parse_arguments(text)
    except (ValueError, RecursionError):
        return text
    block["input"] = value
    return None


def _index(event: Json) -> int:
    index = event.get("index")
    if not isinstance(index, int):
        raise ProtocolError("an event of the model's stream names no block", effect="no", retryable=True)
    return index


def _object(event: Json, name: str) -> Json:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _count(usage: Mapping[str, JsonValue], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0


def _usage(given: Json) -> Usage:
    """Read what an answer used; what the server spent on summing up stands beside the totals, not in them."""
    total = _tokens(given)
    iterations = given.get("iterations")
    for part in iterations if isinstance(iterations, list) else []:
        if isinstance(part, dict) and part.get("type") == "compaction":
            total = total + _tokens(part)
    return total


def _tokens(given: Mapping[str, JsonValue]) -> Usage:
    details = given.get("output_tokens_details")
    return Usage(
        input=_count(given, "input_tokens"),
        output=_count(given, "output_tokens"),
        cache_read=_count(given, "cache_read_input_tokens"),
        cache_write=_count(given, "cache_creation_input_tokens"),
        reasoning=_count(details, "thinking_tokens") if isinstance(details, dict) else 0,
    )
