"""From what the script says to the completion that Chat Completions answers with, whole or in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import JsonValue

from deskhand.testing.models.script import FakeTurn, Refusal, ScriptError, Text, Thinking, ToolUse
from deskhand.testing.models.usage import text_tokens
from deskhand.testing.models.wire import as_dict, as_list, as_text

from .items import Conversation, Json
from .reply import check_turn, written
from .stream import obfuscation, pieces
from .usage import Measured

__all__ = ["chat_stream_error", "compose_chat", "encode_chat"]

DONE = b"data: [DONE]\n\n"
REASONS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "content_filter": "content_filter"}


def compose_chat(turn: FakeTurn, conversation: Conversation, measured: Measured, number: int, now: float) -> Json:
    """Returns the completion for a turn of the script.

    Args:
        turn: What the script says.
        conversation: What it answers.
        measured: What the request cost.
        number: Tells this answer from every other of this fake.
        now: The time in seconds since the epoch.

    Raises:
        ScriptError: The model, or the request, does not have what the turn says.
    """
    check_turn(turn, conversation)
    if turn.reason not in REASONS:
        raise ScriptError(f"Chat Completions has no stop reason {turn.reason!r}")
    key = f"{measured.digest[:24]}{number:06d}"
    message = _message(turn, key)
    thought = sum(text_tokens(block.text) for block in turn.blocks if isinstance(block, Thinking))
    return {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": int(now),
        "model": conversation.profile.name,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": REASONS[turn.reason]}],
        "usage": _usage(message, measured, thought if conversation.profile.reasons else 0),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _usage(message: Json, measured: Measured, thought: int) -> Json:
    said = text_tokens(as_text(message["content"]) + as_text(message["refusal"]))
    said += sum(text_tokens(json.dumps(as_dict(call)["function"])) for call in as_list(message.get("tool_calls")))
    answered = max(1, said + thought)
    return {
        "prompt_tokens": measured.total,
        "completion_tokens": answered,
        "total_tokens": measured.total + answered,
        "prompt_tokens_details": {
            "cached_tokens": measured.cached,
            "cache_write_tokens": measured.written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _message(turn: FakeTurn, key: str) -> Json:
    said = [block.text for block in turn.blocks if isinstance(block, Text)]
    refused = [block.text for block in turn.blocks if isinstance(block, Refusal)]
    calls: list[JsonValue] = [
        {
            "id": block.id if block.id is not None else f"call_{key}{index:02d}",
            "type": "function",
            "function": {"name": block.name, "arguments": written(block)},
        }
        for index, block in enumerate(turn.blocks)
        if isinstance(block, ToolUse)
    ]
    message: Json = {
        "role": "assistant",
        "content": "\n".join(said) if said else None,
        "refusal": "\n".join(refused) if refused else None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = calls
    return message


def encode_chat(completion: Json, *, usage: bool, obfuscates: bool) -> list[bytes]:
    """Returns the events that stream a completion, one item each.

    Args:
        completion: The whole completion, as a plain answer would hold it.
        usage: Whether a last chunk tells what it cost.
        obfuscates: Whether each chunk comes with padding that hides its length.
    """
    common: Json = {key: completion[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    common["object"] = "chat.completion.chunk"
    if usage:
        common["usage"] = None
    choice = as_dict(as_list(completion["choices"])[0])
    deltas = _deltas(as_dict(choice["message"]))
    chunks: list[Json] = [{**common, "choices": [_choice(delta, None)]} for delta in deltas]
    chunks.append({**common, "choices": [_choice({}, choice["finish_reason"])]})
    if usage:
        chunks.append({**common, "choices": [], "usage": completion["usage"]})
    if obfuscates:
        for number, chunk in enumerate(chunks):
            chunk["obfuscation"] = obfuscation(json.dumps(chunk["choices"]), number)
    return [*map(_data, chunks), DONE]


def _choice(delta: Json, reason: JsonValue) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _data(value: Json) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _deltas(message: Json) -> Iterator[Json]:
    content, refusal = as_text(message["content"]), as_text(message["refusal"])
    yield {"role": "assistant", "content": "" if content else None, "refusal": None}
    for piece in pieces(content):
        yield {"content": piece}
    for piece in pieces(refusal):
        yield {"refusal": piece}
    for index, call in enumerate(map(as_dict, as_list(message.get("tool_calls")))):
        function = as_dict(call["function"])
        # The id and the name come once; the arguments follow by the call's index alone.
        yield {"tool_calls": [{**call, "index": index, "function": {"name": function["name"], "arguments": ""}}]}
        for piece in pieces(as_text(function["arguments"])):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def chat_stream_error(kind: str, message: str) -> bytes:
    """Returns the event that ends a stream with an error."""
    return _data({"error": {"message": message, "type": kind, "param": None, "code": None}})
