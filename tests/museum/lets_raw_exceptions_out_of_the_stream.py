"""A loop that maps what goes wrong until an answer begins, and lets out what goes wrong while it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from deskhand.harness.models.adapter import Json
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.door import Answer
from deskhand.harness.models.sse import Watch
from tests.museum.claude_subject import altered


class Door(AnthropicDoor):
    async def _events(self, answer: Answer, watch: Watch) -> AsyncGenerator[list[Json], None]:
        async for events in await self._source(answer):
            watch.content()
            yield events


SUBJECT = altered(door=Door)
