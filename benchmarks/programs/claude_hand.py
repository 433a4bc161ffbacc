"""The loop that everybody writes by hand: the vendor's typed client, ``messages.stream``, a list of messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from anthropic import AsyncAnthropic
from episode_claude import CLICKED_BLOCK, MODEL, TOOLSET, connect, goal, image, result
from playing import play


async def episode(client: AsyncAnthropic, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    messages: list[Any] = [{"role": "user", "content": goal(next(frames))}]
    tools: Any = [TOOLSET]
    actions = 0
    while True:
        async with client.messages.stream(model=MODEL, max_tokens=4096, messages=messages, tools=tools) as stream:
            async for _event in stream:
                pass
            message = await stream.get_final_message()
        messages.append({"role": "assistant", "content": message.content})
        if message.stop_reason != "tool_use":
            return actions
        results = []
        for block in message.content:
            if block.type != "tool_use":
                continue
            actions += 1
            content = image(next(frames)) if block.name == "screenshot" else CLICKED_BLOCK
            results.append(result(block.id, content))
        messages.append({"role": "user", "content": results})


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
