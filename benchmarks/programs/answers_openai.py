"""What the scripted model says in the format of OpenAI's Responses."""

from __future__ import annotations

import itertools
import json
import re

from answers_claude import WORDS, Block

MODEL = "gpt-5.5"
_EARLIER = re.compile(rb'"previous_response_id":\s*"resp_(\d+)"')


def turns(body: bytes, kind: str) -> int:
    """Return how many turns the model has had, from the answer that is named, or what its calls were answered with."""
    if earlier := _EARLIER.search(body):
        return int(earlier[1]) + 1
    return body.count(b'"computer_call_output"') if kind == "computer" else body.count(b'"function_call_output"') // 2


def _message(turn: int) -> Block:
    text = {"type": "output_text", "text": "".join(WORDS), "annotations": [], "logprobs": []}
    return {"type": "message", "id": f"msg_{turn}", "role": "assistant", "status": "completed", "content": [text]}


def _calls(turn: int, kind: str) -> list[Block]:
    if kind == "computer":
        actions = [{"type": "click", "button": "left", "x": 640, "y": 400}, {"type": "screenshot"}]
        call: Block = {"type": "computer_call", "id": f"cu_{turn}", "call_id": f"call_{turn}", "status": "completed"}
        return [{**call, "actions": actions, "pending_safety_checks": []}]
    given = [("a", "left_click", {"x": 640, "y": 400}), ("b", "screenshot", {})]
    return [
        {
            "type": "function_call",
            "id": f"fc_{turn}{letter}",
            "call_id": f"call_{turn}{letter}",
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
        for letter, name, arguments in given
    ]


def answer(turn: int, kind: str, *, last: bool, stream: bool) -> bytes:
    """Return one turn: a sentence and, before the last, a click and a screenshot."""
    output = [_message(turn), *([] if last else _calls(turn, kind))]
    usage: Block = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 120,
    }
    begun: Block = {
        "id": f"resp_{turn}",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": MODEL,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }
    done = {**begun, "status": "completed", "output": output, "usage": usage}
    if not stream:
        return json.dumps(done).encode()
    return _streamed(begun, output, done)


def _streamed(begun: Block, output: list[Block], done: Block) -> bytes:
    numbers = itertools.count()

    def event(kind: str, **data: object) -> bytes:
        whole = {"type": kind, "sequence_number": next(numbers), **data}
        return f"event: {kind}\ndata: {json.dumps(whole)}\n\n".encode()

    events = [event("response.created", response=begun), event("response.in_progress", response=begun)]
    message, *calls = output
    text = "".join(WORDS)
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    where = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    started = {**message, "status": "in_progress", "content": []}
    events += [
        event("response.output_item.added", output_index=0, item=started),
        event("response.content_part.added", **where, part=part),
        *(event("response.output_text.delta", **where, delta=word, logprobs=[]) for word in WORDS),
        event("response.output_text.done", **where, text=text, logprobs=[]),
        event("response.content_part.done", **where, part={**part, "text": text}),
        event("response.output_item.done", output_index=0, item=message),
    ]
    for index, call in enumerate(calls, 1):
        started = {**call, "status": "in_progress"}
        if "arguments" in call:
            place = {"item_id": call["id"], "output_index": index}
            events += [
                event("response.output_item.added", output_index=index, item={**started, "arguments": ""}),
                event("response.function_call_arguments.delta", **place, delta=call["arguments"]),
                event("response.function_call_arguments.done", **place, arguments=call["arguments"], name=call["name"]),
            ]
        else:
            events.append(event("response.output_item.added", output_index=index, item=started))
        events.append(event("response.output_item.done", output_index=index, item=call))
    events.append(event("response.completed", response=done))
    return b"".join(events)
