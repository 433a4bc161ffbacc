"""A loop that collects a line of a stream until it ends, however long that takes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from deskhand.harness.models.adapter import Json
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.door import Answer
from tests.museum.claude_subject import altered


class Door(AnthropicDoor):
    async def _source(self, answer: Answer) -> AsyncGenerator[list[Json], None]:
        return collected(answer)


async def collected(answer: Answer) -> AsyncGenerator[list[Json], None]:
    async for line in answer.response.aiter_lines():
        if line.startswith("data: "):
            yield [json.loads(line.removeprefix("data: "))]


SUBJECT = altered(door=Door)
