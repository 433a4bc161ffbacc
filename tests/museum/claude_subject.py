"""The loop for Claude as a subject of the checks, and how an exhibit puts a defect into its adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic

from deskhand import ClaudeComputerUseHarness, Harness
from deskhand.harness.context import RunContext
from deskhand.harness.models import ModelAdapter
from deskhand.harness.models.anthropic import AnthropicCodec
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.decoder import AnthropicDecoder
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transport import Patience
from deskhand.testing.models import FakeAnthropic
from tests.museum.loop_checks import Subject

MODEL = "claude-sonnet-5-5"
ONCE = Patience(refusals=0, cuts=0)
UNFINISHED = ("max_tokens", "refusal", "pause_turn", "model_context_window_exceeded")


def claude(loop: Callable[[Any], Harness[Any]]) -> Subject:
    """Return a loop for Claude as a subject."""
    return Subject(
        fake=FakeAnthropic,
        client=lambda http: anthropic.AsyncAnthropic(api_key="sk-ant-fake", http_client=http),
        loop=loop,
        unfinished=UNFINISHED,
    )


def sound(client: Any) -> Harness[Any]:
    """Make the bundled loop."""
    return ClaudeComputerUseHarness(client=client, patience=ONCE)


def altered(
    *, door: type[AnthropicDoor] = AnthropicDoor, decoder: type[AnthropicDecoder] = AnthropicDecoder
) -> Subject:
    """Return the bundled loop with one part of its adapter in place of the bundled one."""

    class Codec(AnthropicCodec):
        def decoder(self) -> AnthropicDecoder:
            return decoder(self.members, frozenset({"note"}))

    class Loop(ClaudeComputerUseHarness):
        def __init__(self, client: Any) -> None:
            super().__init__(client=client, patience=ONCE)
            self._own = door(client)

        @asynccontextmanager
        async def adapter(self, run: RunContext) -> AsyncIterator[ModelAdapter]:
            yield Codec(self._settings(), Toolbox.of(run), self._own)

    return claude(Loop)
