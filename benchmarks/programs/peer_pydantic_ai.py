"""pydantic-ai: an agent with two tools, on either vendor; not streamed, which costs it less."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from episode import CLICKED, GOAL
from measuring import arguments
from playing import play
from pydantic_ai import Agent, BinaryContent, UsageLimits

_VENDOR = arguments()["vendor"]


def connect(url: str) -> Any:
    """Return a new client of the vendor's."""
    if _VENDOR == "claude":
        import episode_claude

        return episode_claude.connect(url)
    import episode_openai

    return episode_openai.connect(url)


def _model(client: Any) -> Any:
    if _VENDOR == "claude":
        from episode_claude import MODEL
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client))
    from episode_openai import MODEL as OPENAI_MODEL
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIResponsesModel(OPENAI_MODEL, provider=OpenAIProvider(openai_client=client))


def _picture(frame: bytes) -> BinaryContent:
    return BinaryContent(frame, media_type="image/png")


async def episode(client: Any, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    done = 0
    agent = Agent(_model(client))

    @agent.tool_plain
    async def left_click(x: int, y: int) -> str:
        """Click at a point."""
        nonlocal done
        done += 1
        return CLICKED

    @agent.tool_plain
    async def screenshot() -> BinaryContent:
        """See the screen."""
        nonlocal done
        done += 1
        return _picture(next(frames))

    await agent.run([GOAL, _picture(next(frames))], usage_limits=UsageLimits(request_limit=None))
    return done


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
