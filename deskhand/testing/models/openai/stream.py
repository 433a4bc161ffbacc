"""A response as server-sent events, cut into deltas the way the Responses API streams them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from deskhand.testing.models.stream import sse
from deskhand.testing.models.wire import as_dict, as_list, as_text

from .items import Json
from .reasoning import seal, unseal

__all__ = ["KEEP_ALIVE", "encode_response", "obfuscation", "pieces", "stream_error"]

PIECE = 16
PAD = 16

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which every reader of event streams skips."""

ENDS: Mapping[JsonValue, str] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
}


def encode_response(response: Json, *, obfuscates: bool) -> list[bytes]:
    """Returns the events that stream a response, one item each.

    Args:
        response: The whole response, as a plain answer would hold it.
        obfuscates: Whether each delta comes with padding that hides its length.
    """
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
    begun.update({"incomplete_details": None, "error": None})
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(as_list(response["output"])):
        events.extend(_item_events(index, as_dict(item)))
    events.append({"type": ENDS[response["status"]], "response": response})
    encoded: list[bytes] = []
    for number, event in enumerate(events):
        event["sequence_number"] = number
        if obfuscates and "delta" in event:
            event["obfuscation"] = obfuscation(as_text(event["delta"]), number)
        encoded.append(sse(as_text(event["type"]), event))
    return encoded


def stream_error(kind: str, message: str, number: int) -> bytes:
    """Returns the event that ends a stream with an error."""
    return sse("error", {"type": "error", "code": kind, "message": message, "param": None, "sequence_number": number})


def obfuscation(delta: str, number: int) -> str:
    """Returns the padding of a delta."""
    pad = hashlib.blake2b(f"{number}".encode(), digest_size=PAD // 2).hexdigest()
    return pad[: PAD - len(delta) % PAD]


def pieces(text: str) -> Iterator[str]:
    """Cuts a text into the pieces in which it is streamed."""
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def _item_events(index: int, item: Json) -> Iterator[Json]:
    started, between = _ITEMS[as_text(item["type"])](item)
    yield {"type": "response.output_item.added", "output_index": index, "item": started}
    for event in between:
        yield {**event, "item_id": item["id"], "output_index": index}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message(item: Json) -> tuple[Json, list[Json]]:
    events: list[Json] = []
    for index, part in enumerate(map(as_dict, as_list(item["content"]))):
        events += [{**event, "content_index": index} for event in _part_events(part)]
    return {**item, "status": "in_progress", "content": []}, events


def _part_events(part: Json) -> Iterator[Json]:
    refuses = part["type"] == "refusal"
    key, name = ("refusal", "response.refusal") if refuses else ("text", "response.output_text")
    logprobs: Json = {} if refuses else {"logprobs": []}
    text = as_text(part[key])
    yield {"type": "response.content_part.added", "part": {**part, key: ""}}
    for piece in pieces(text):
        yield {"type": f"{name}.delta", "delta": piece, **logprobs}
    yield {"type": f"{name}.done", key: text, **logprobs}
    yield {"type": "response.content_part.done", "part": part}


def _function_call(item: Json) -> tuple[Json, list[Json]]:
    name, arguments = "response.function_call_arguments", as_text(item["arguments"])
    events: list[Json] = [{"type": f"{name}.delta", "delta": piece} for piece in pieces(arguments)]
    events.append({"type": f"{name}.done", "arguments": arguments, "name": item["name"]})
    return {**item, "status": "in_progress", "arguments": ""}, events


def _computer_call(item: Json) -> tuple[Json, list[Json]]:
    # The API has no deltas of actions: what is to be done is known when the item is done, and not before.
    nothing: Json = {"actions": []} if "actions" in item else {"action": None}
    return {**item, "status": "in_progress", "pending_safety_checks": [], **nothing}, []


def _reasoning(item: Json) -> tuple[Json, list[Json]]:
    events: list[Json] = []
    for index, part in enumerate(map(as_dict, as_list(item["summary"]))):
        name, text = "response.reasoning_summary_text", as_text(part["text"])
        begins: Json = {**part, "text": ""}
        steps: list[Json] = [{"type": "response.reasoning_summary_part.added", "part": begins}]
        steps.extend({"type": f"{name}.delta", "delta": piece} for piece in pieces(text))
        steps.append({"type": f"{name}.done", "text": text})
        steps.append({"type": "response.reasoning_summary_part.done", "part": part})
        events += [{**step, "summary_index": index} for step in steps]
    sealed = unseal(as_text(item["encrypted_content"]))
    begun = {**item, "summary": []}
    if sealed is not None:  # what is there at the start is not the whole reasoning, and no request may bring it back
        begun["encrypted_content"] = seal(replace(sealed, text="", whole=False))
    return begun, events


_ITEMS = {
    "message": _message,
    "function_call": _function_call,
    "computer_call": _computer_call,
    "reasoning": _reasoning,
}
