"""A loop as the readme of a vendor's client suggests it: stream, take the final message, run what is in it."""

from __future__ import annotations

from typing import Any

from deskhand import Harness
from deskhand.harness import RunContext
from deskhand.tools import ToolCall
from tests.museum.claude_subject import MODEL, claude


class Loop(Harness[str]):
    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client

    async def drive(self, run: RunContext) -> str:
        history: list[dict[str, Any]] = [{"role": "user", "content": run.goal}]
        tools = [{"name": "note", "description": "Write something down.", "input_schema": {"type": "object"}}]
        while True:
            asked = {"model": MODEL, "max_tokens": 1_000, "messages": history, "tools": tools}
            async with self._client.messages.stream(**asked) as stream:
                message = await stream.get_final_message()
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return "".join(block.text for block in message.content if block.type == "text")
            seen = [await run.act(ToolCall.from_anthropic(call)) for call in calls]
            history.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
            history.append({"role": "user", "content": [one.to_anthropic() for one in seen]})


SUBJECT = claude(Loop)
