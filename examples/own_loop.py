"""Your own loop and your own model client; `open_run` adds events, order and control.

Needs ANTHROPIC_API_KEY. OpenAI's client does as well: `ToolCall.from_openai`, `Observation.to_openai`.
"""

import asyncio
from typing import Any

from anthropic import AsyncAnthropic

from deskhand import ToolCall, open_computer, open_run

GOAL = "Which kernel does this computer run? Ask it by a command."


async def main() -> None:
    """Ask, run what is asked for, and answer, until the model is done."""
    messages: list[Any] = [{"role": "user", "content": GOAL}]
    async with AsyncAnthropic() as client, open_computer("local") as computer, open_run(computer, goal=GOAL) as run:
        tools: Any = run.tools.anthropic_tools()
        while True:
            response = await client.messages.create(
                model="claude-sonnet-5-5", max_tokens=2048, messages=messages, tools=tools
            )
            messages.append({"role": "assistant", "content": response.content})
            if response.stop_reason != "tool_use":
                break
            calls = [ToolCall.from_anthropic(block) for block in response.content if block.type == "tool_use"]
            observations = await run.act_batch(calls)
            messages.append({"role": "user", "content": [seen.to_anthropic() for seen in observations]})
        run.finish("".join(block.text for block in response.content if block.type == "text"))
    result = await run.result()
    print(result.output, f"({result.outcome}, {result.actions} actions)")


asyncio.run(main())
