"""A model that is asked over HTTP and answers at once: in each turn a click and a screenshot, and then an end.

Its answers are made beforehand and it does not read what it is sent beyond counting the model's earlier turns, so that
it is fast enough for the fastest client. The number of actions stands in the path: ``/30/v1/messages``. It prints its
port and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

_WORDS = ("I will ", "do the ", "next thing ", "on the screen.")


def _event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _call(index: int, call_id: str, name: str, given: object) -> list[bytes]:
    call = {"type": "tool_use", "id": call_id, "name": name, "input": {}, "toolset_name": "computer"}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(given)}
    return [
        _event("content_block_start", index=index, content_block=call),
        _event("content_block_delta", index=index, delta=delta),
        _event("content_block_stop", index=index),
    ]


def _answer(turn: int, actions: int) -> bytes:
    """Stream one turn: a sentence in a few deltas and, before the last, a click and a screenshot."""
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    message: dict[str, object] = {
        "id": f"msg_{turn}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    events = [
        _event("message_start", message=message),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in _WORDS),
        _event("content_block_stop", index=0),
    ]
    done = 2 * turn >= actions
    if not done:
        events += _call(1, f"toolu_{turn}a", "left_click", {"coordinate": [640, 400]})
        events += _call(2, f"toolu_{turn}b", "screenshot", {})
    reason = "end_turn" if done else "tool_use"
    events += [
        _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 20}),
        _event("message_stop"),
    ]
    body = b"".join(events)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_%d\r\ncontent-length: %d\r\n\r\n"
    return head % (turn, len(body)) + body


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers: dict[tuple[int, int], bytes] = {}
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            actions = int(head.split(b"/")[1])
            turn = (await reader.readexactly(size)).count(b'"assistant"')
            if (turn, actions) not in answers:
                answers[turn, actions] = _answer(turn, actions)
            writer.write(answers[turn, actions])
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until standard input ends."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=1 << 20)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
