"""A script for any vendor's loop: the same turns in each one's words, and every request must have been legal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from deskhand import ClaudeComputerUseHarness
from deskhand.harness.models.transport import Patience
from deskhand.testing.models import FakeAnthropic, FakeOpenAI, FakeTurn, ModelView, member
from tests.harness.openai_script import click, made


class Play:
    """Plays turns on one vendor's fake, and keeps what the model saw before each."""

    def __init__(self, mode: str, *turns: FakeTurn) -> None:
        self.mode = mode
        self.turns = turns
        self.views: list[ModelView] = []
        self.fake: Any = FakeAnthropic(self.play) if mode == "claude" else FakeOpenAI(self.play)

    def play(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        return self.turns[len(self.views) - 1]

    def click(self, x: int, y: int) -> Any:
        return member("left_click", coordinate=[x, y]) if self.mode == "claude" else click(self.mode, x, y)

    @asynccontextmanager
    async def harness(self, **more: Any) -> AsyncIterator[Any]:
        """Make the harness, and check in the end that every request was legal."""
        async with self.fake.client() as client:
            if self.mode == "claude":
                yield ClaudeComputerUseHarness(client=client, patience=Patience(base=0), **more)
            else:
                yield made(self.mode, client, **more)
        self.fake.raise_script_errors()
        assert [request.error for request in self.fake.requests if request.error] == []
