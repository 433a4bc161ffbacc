"""What the scripted model says in the format of Claude's Messages."""

from __future__ import annotations

import json

WORDS = ("I will ", "do the ", "next thing ", "on the screen.")
MODEL = "claude-sonnet-5-5"
Block = dict[str, object]


def turns(body: bytes) -> int:
    """Return how many turns the model has had."""
    return body.count(b'"assistant"')


def _calls(turn: int, kind: str) -> list[Block]:
    click, look = f"toolu_{turn}a", f"toolu_{turn}b"
    if kind == "legacy":  # the one tool of older models
        given: list[tuple[str, str, Block]] = [
            (click, "computer", {"action": "left_click", "coordinate": [640, 400]}),
            (look, "computer", {"action": "screenshot"}),
        ]
    elif kind == "functions":
        given = [(click, "left_click", {"x": 640, "y": 400}), (look, "screenshot", {})]
    else:
        given = [(click, "left_click", {"coordinate": [640, 400]}), (look, "screenshot", {})]
    toolset: Block = {"toolset_name": "computer"} if kind == "computer" else {}
    return [
        {"type": "tool_use", "id": call_id, "name": name, "input": values, **toolset} for call_id, name, values in given
    ]


def answer(turn: int, kind: str, *, last: bool, stream: bool) -> bytes:
    """Return one turn: a sentence and, before the last, a click and a screenshot."""
    calls = [] if last else _calls(turn, kind)
    reason = "end_turn" if last else "tool_use"
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    message: Block = {
        "id": f"msg_{turn}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    if not stream:
        content = [{"type": "text", "text": "".join(WORDS)}, *calls]
        return json.dumps({**message, "content": content, "stop_reason": reason}).encode()
    events = [
        _event("message_start", message=message),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in WORDS),
        _event("content_block_stop", index=0),
    ]
    for index, call in enumerate(calls, 1):
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call["input"])}
        events += [
            _event("content_block_start", index=index, content_block={**call, "input": {}}),
            _event("content_block_delta", index=index, delta=delta),
            _event("content_block_stop", index=index),
        ]
    ended = {"stop_reason": reason, "stop_sequence": None}
    events += [_event("message_delta", delta=ended, usage={"output_tokens": 20}), _event("message_stop")]
    return b"".join(events)


def _event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
