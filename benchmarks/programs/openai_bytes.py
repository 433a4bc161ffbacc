"""The floor of a loop for OpenAI's Responses: the vendor client's connection, streaming, fragments encoded once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from episode_openai import MODEL, TOOLS, actions, connect, goal, looks, result
from history import History, sent
from measuring import arguments
from openai import AsyncOpenAI, AsyncStream
from openai.types.responses import Response, ResponseStreamEvent
from playing import play

_KIND = arguments()["kind"].rpartition("-")[2]
_ON_SERVER: bool = arguments().get("on_server", False)
_HEAD = json.dumps({"model": MODEL, "stream": True, "store": _ON_SERVER, "tools": TOOLS[_KIND]})[:-1].encode()


def _encode(item: object) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode()


async def _turn(client: AsyncOpenAI, body: list[bytes]) -> tuple[str, list[dict[str, Any]]]:
    """Return the id of an answer and its items, as they came."""
    size = str(sum(len(fragment) for fragment in body))
    stream = await client.post(
        "/responses",
        cast_to=Response,
        content=sent(body),
        options={"headers": {"content-type": "application/json", "content-length": size}},
        stream=True,
        stream_cls=AsyncStream[ResponseStreamEvent],
    )
    answer, items = "", []
    async for event in stream:
        if event.type == "response.output_item.done":
            items.append(event.item.to_dict())
        elif event.type == "response.completed":
            answer = event.response.id
    return answer, items


async def episode(client: AsyncOpenAI, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    history = History(_HEAD + b',"input":[' + _encode(goal(next(frames))))
    body = history.body(b"]}")
    done = 0
    while True:
        answer, items = await _turn(client, body)
        calls = [item for item in items if item["type"] != "message"]
        if not calls:
            return done
        done += sum(actions(call) for call in calls)
        results = [result(call, next(frames) if looks(call) else None) for call in calls]
        if _ON_SERVER:
            head = b'%s,"previous_response_id":"%s","input":[' % (_HEAD, answer.encode())
            body = [head, b",".join(map(_encode, results)), b"]}"]
            continue
        said = [b"", *map(_encode, items)]
        without = [result(call, b"" if call["type"] == "computer_call" else None) for call in calls]
        history.add(*(b",".join([*said, *map(_encode, each)]) for each in (results, without)))
        body = history.body(b"]}")


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
