"""The loop that everybody writes by hand: the typed ``responses.create``, streaming, a list of items."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from episode_openai import MODEL, TOOLS, actions, connect, goal, looks, result
from measuring import arguments
from openai import AsyncOpenAI
from playing import play

_KIND = arguments()["kind"].rpartition("-")[2]


async def episode(client: AsyncOpenAI, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    items: list[Any] = [goal(next(frames))]
    done = 0
    while True:
        stream = await client.responses.create(model=MODEL, input=items, tools=TOOLS[_KIND], stream=True, store=False)
        output: list[Any] = []
        async for event in stream:
            if event.type == "response.completed":
                output = event.response.output
        items += output
        calls = [item.to_dict() for item in output if item.type != "message"]
        if not calls:
            return done
        done += sum(actions(call) for call in calls)
        items += [result(call, next(frames) if looks(call) else None) for call in calls]


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
