"""The floor of a Claude loop: the vendor client's connection, streaming, and a body of fragments encoded once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

from anthropic import AsyncAnthropic, AsyncStream
from anthropic.types import Message, RawMessageStreamEvent
from episode_claude import CLICKED_BLOCK, MODEL, TOOLSET, connect, goal, image, result
from history import History, sent
from playing import play

_HEAD = json.dumps({"model": MODEL, "max_tokens": 4096, "stream": True, "tools": [TOOLSET]})[:-1].encode()


def _encode(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


class _Turn:
    """What is needed of a streamed turn: its blocks, as they came."""

    def __init__(self) -> None:
        self.blocks: list[dict[str, object]] = []
        self.parts: dict[int, list[str]] = {}
        self.reason: str | None = None

    def take(self, event: RawMessageStreamEvent) -> None:
        if event.type == "content_block_start":
            self.blocks.append(event.content_block.to_dict())
            self.parts[event.index] = []
        elif event.type == "content_block_delta":
            if event.delta.type == "text_delta":
                self.parts[event.index].append(event.delta.text)
            elif event.delta.type == "input_json_delta":
                self.parts[event.index].append(event.delta.partial_json)
        elif event.type == "message_delta":
            self.reason = event.delta.stop_reason

    def message(self) -> dict[str, object]:
        for index, block in enumerate(self.blocks):
            whole = "".join(self.parts[index])
            if block["type"] == "text":
                block["text"] = whole
            else:
                block["input"] = json.loads(whole)
        return {"role": "assistant", "content": self.blocks}


async def episode(client: AsyncAnthropic, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    history = History(_HEAD + b',"messages":[' + _encode({"role": "user", "content": goal(next(frames))}))
    actions = 0
    while True:
        body = history.body(b"]}")
        size = str(sum(len(fragment) for fragment in body))
        stream = await client.post(
            "/v1/messages",
            cast_to=Message,
            content=sent(body),
            options={"headers": {"content-type": "application/json", "content-length": size}},
            stream=True,
            stream_cls=AsyncStream[RawMessageStreamEvent],
        )
        turn = _Turn()
        async for event in stream:
            turn.take(event)
        message = turn.message()
        if turn.reason != "tool_use":
            return actions
        results, without = [], []
        for block in turn.blocks:
            if block["type"] != "tool_use":
                continue
            actions += 1
            content = image(next(frames)) if block["name"] == "screenshot" else CLICKED_BLOCK
            results.append(result(str(block["id"]), content))
            without.append(result(str(block["id"]), CLICKED_BLOCK))
        said = _encode(message)
        history.add(
            *(b",".join((b"", said, _encode({"role": "user", "content": each}))) for each in (results, without))
        )


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
