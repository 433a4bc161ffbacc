"""An answer as server-sent events, cut into deltas the way the API streams them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from .conversation import Json
from .wire import as_dict, as_list, as_text

__all__ = ["PING", "encode_events", "sse"]

PIECE = 16


def sse(event: str, data: JsonValue) -> bytes:
    """Returns one server-sent event."""
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


PING = sse("ping", {"type": "ping"})


def encode_events(message: Json, raw_inputs: Mapping[int, str]) -> list[bytes]:
    """Returns the events that stream a message, one item each.

    Args:
        message: The whole message, as a plain answer would hold it.
        raw_inputs: The text to stream in place of a tool call's arguments, by the index of its block.
    """
    usage = as_dict(message["usage"])
    begun: Json = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    begun["usage"] = {**usage, "output_tokens": 1}
    begun.pop("stop_details", None)
    events = [sse("message_start", {"type": "message_start", "message": begun}), PING]
    for index, block in enumerate(as_list(message["content"])):
        events.extend(_block_events(index, as_dict(block), raw_inputs.get(index)))
    delta: Json = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    if "stop_details" in message:
        delta["stop_details"] = message["stop_details"]
    totals: Json = {key: value for key, value in usage.items() if key in _DELTA_USAGE}
    closing: Json = {"type": "message_delta", "delta": delta, "usage": totals}
    if "context_management" in message:
        closing["context_management"] = message["context_management"]
    return [*events, sse("message_delta", closing), sse("message_stop", {"type": "message_stop"})]


_DELTA_USAGE = frozenset(
    {
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
        "output_tokens_details",
    }
)


def _block_events(index: int, block: Json, raw_input: str | None) -> Iterator[bytes]:
    start, deltas = _BLOCKS[as_text(block.get("type"))](block, raw_input)
    yield sse("content_block_start", {"type": "content_block_start", "index": index, "content_block": start})
    for delta in deltas:
        yield sse("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
    yield sse("content_block_stop", {"type": "content_block_stop", "index": index})


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def _text(block: Json, _raw: str | None) -> tuple[Json, list[Json]]:
    deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in _pieces(as_text(block["text"]))]
    return {**block, "text": ""}, deltas


def _thinking(block: Json, _raw: str | None) -> tuple[Json, list[Json]]:
    deltas: list[Json] = [
        {"type": "thinking_delta", "thinking": piece} for piece in _pieces(as_text(block["thinking"]))
    ]
    deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return {**block, "thinking": "", "signature": ""}, deltas


def _redacted(block: Json, _raw: str | None) -> tuple[Json, list[Json]]:
    return block, []


def _tool_use(block: Json, raw: str | None) -> tuple[Json, list[Json]]:
    written = json.dumps(block["input"], ensure_ascii=False) if raw is None else raw
    # A toolset member's arguments arrive whole; a function's arrive as they are written, after an empty start.
    parts = [written] if "toolset_name" in block else ["", *_pieces(written)]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


_BLOCKS = {"text": _text, "thinking": _thinking, "redacted_thinking": _redacted, "tool_use": _tool_use}
