"""The floor of a loop for OpenAI's Responses: the vendor client's connection, streaming, fragments encoded once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from episode_openai import MODEL, TOOLS, actions, connect, goal, looks, result
from measuring import arguments
from openai import AsyncOpenAI, AsyncStream
from openai.types.responses import Response, ResponseStreamEvent
from playing import play

_WRITE = 65_536
_KIND = arguments().get("kind", "computer").removeprefix("held-")
_HEAD = json.dumps({"model": MODEL, "stream": True, "store": False, "tools": TOOLS[_KIND]})[:-1].encode()


def _encode(item: object) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode()


async def _sent(fragments: list[bytes]) -> AsyncIterator[bytes]:
    for fragment in fragments:
        yield fragment


async def _turn(client: AsyncOpenAI, body: list[bytes]) -> list[dict[str, Any]]:
    """Return the items of a turn, as they came."""
    size = str(sum(len(fragment) for fragment in body))
    stream = await client.post(
        "/responses",
        cast_to=Response,
        content=_sent(body),
        options={"headers": {"content-type": "application/json", "content-length": size}},
        stream=True,
        stream_cls=AsyncStream[ResponseStreamEvent],
    )
    return [event.item.to_dict() async for event in stream if event.type == "response.output_item.done"]


async def episode(client: AsyncOpenAI, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    fragments = [_HEAD + b',"input":[' + _encode(goal(next(frames)))]
    done = 0
    while True:
        items = await _turn(client, [*fragments, b"]}"])
        calls = [item for item in items if item["type"] != "message"]
        if not calls:
            return done
        done += sum(actions(call) for call in calls)
        results = [result(call, next(frames) if looks(call) else None) for call in calls]
        new = b",".join((b"", *map(_encode, items), *map(_encode, results)))
        if len(fragments[-1]) < _WRITE:  # a write costs more than a copy of so little
            new = fragments.pop() + new
        fragments.append(new)


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
