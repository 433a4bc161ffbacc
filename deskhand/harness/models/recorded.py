"""An answer as it is kept beside the vendor's items, so that a loop can take it up again after a crash."""

from __future__ import annotations

import json
from typing import cast

from pydantic import JsonValue

from deskhand.errors import CorruptJournalError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Json, Stop, Turn
from deskhand.harness.models.transcript import encode_json
from deskhand.tools.calls import CallFormat, SafetyCheck, ToolCall

__all__ = ["decode_answer", "encode_answer"]


def encode_answer(turn: Turn) -> bytes:
    """Encode what was understood of an answer; the items themselves are `Turn.raw`."""
    return encode_json(
        {
            "calls": [_call(call) for call in turn.calls],
            "text": turn.text,
            "thinking": turn.thinking,
            "stop_reason": turn.stop_reason,
            "stop_details": turn.stop_details,
            "usage": turn.usage.model_dump(),
            "stop": turn.stop,
            "declined": turn.declined,
            "call_ids": list[JsonValue](turn.call_ids),
            "id": turn.id,
        }
    )


def _call(call: ToolCall) -> JsonValue:
    return {
        "name": call.name,
        "arguments": call.arguments if isinstance(call.arguments, str) else dict(call.arguments),
        "provider_call_id": call.provider_call_id,
        "format": call.format,
        "checks": [{"id": check.id, "code": check.code, "message": check.message} for check in call.checks],
    }


def decode_answer(raw: bytes, answer: bytes) -> Turn:
    """Read an answer again.

    Args:
        raw: The vendor's items.
        answer: What `encode_answer` gave.

    Raises:
        CorruptJournalError: If it is no answer.
    """
    try:
        items = json.loads(raw)
        data = json.loads(answer)
        return Turn(
            items=cast("list[Json]", items if isinstance(items, list) else [items]),
            raw=raw,
            calls=[_read_call(call) for call in data["calls"]],
            text=data["text"],
            thinking=data["thinking"],
            stop_reason=data["stop_reason"],
            stop_details=data["stop_details"],
            usage=Usage.model_validate(data["usage"]),
            stop=cast("Stop | None", data["stop"]),
            declined=data["declined"],
            call_ids=data["call_ids"],
            id=data["id"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptJournalError(
            f"a model's answer cannot be read again: {error}", hint="restore the blobs from a copy"
        ) from error


def _read_call(data: Json) -> ToolCall:
    checks = cast("list[dict[str, str]]", data["checks"])
    return ToolCall(
        name=cast("str", data["name"]),
        arguments=cast("Json | str", data["arguments"]),
        provider_call_id=cast("str | None", data["provider_call_id"]),
        format=cast("CallFormat", data["format"]),
        checks=[SafetyCheck(**check) for check in checks],
    )
