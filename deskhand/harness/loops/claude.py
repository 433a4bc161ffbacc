"""The loop for Claude: its settings and its client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import anyio.to_thread
from pydantic import JsonValue
from typing_extensions import TypeVar

from deskhand.harness.context import RunContext
from deskhand.harness.frames import FrameLimits
from deskhand.harness.loops.model import ModelHarness
from deskhand.harness.models.adapter import Json, ModelAdapter
from deskhand.harness.models.anthropic import AnthropicCodec
from deskhand.harness.models.anthropic_door import AnthropicDoor, load, own_client
from deskhand.harness.models.offer import Settings
from deskhand.harness.models.profiles import ModelProfile, platform_of, profile_of
from deskhand.harness.models.retry_budget import budget_at
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.tools.registry import Tool, ToolRegistry

if TYPE_CHECKING:
    from deskhand.harness.models.anthropic_door import AnthropicClient

__all__ = ["ClaudeComputerUseHarness"]

OutputT = TypeVar("OutputT", default=str)

Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]


class ClaudeComputerUseHarness(ModelHarness[OutputT]):
    """Lets Claude use a computer through its native computer tool, with function tools beside it.

    That is the computer toolset, or where a model or its platform takes no such, the newest older tool that it takes.

    The API takes one computer tool a request: in a run with several computers all that they can do is function tools,
    under names such as ``left__left_click``.

    A harness holds settings only and serves any number of runs.

    Args:
        model: The model's name.
        client: The vendor's client, for a gateway or a cloud; one is made of ``ANTHROPIC_API_KEY`` for each run where
            not given.
        instructions: The system prompt, in place of the default one.
        tools: Function tools besides the computer's own.
        max_turns: Answers of the model at most.
        output_type: A pydantic model that the final answer must be; text where not given.
        on_request: Sees the parameters of each request before it is sent; never a key.
        max_tokens: Tokens of one answer at most.
        effort: How much thought the model should take.
        patience: How often a turn is asked for again, and after how long.
        deadlines: How long an answer may take.

    Raises:
        ConfigError: If ``output_type`` is no pydantic model.
    """

    def __init__(  # noqa: PLR0917 (all bundled harnesses take the same, in the same order)
        self,
        model: str = "claude-sonnet-5-5",
        client: AnthropicClient | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        max_tokens: int = 32_000,
        effort: Effort | None = None,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        super().__init__(
            model,
            instructions=instructions,
            tools=tools,
            max_turns=max_turns,
            output_type=output_type,
            on_request=on_request,
            max_tokens=max_tokens,
            patience=patience,
            deadlines=deadlines,
        )
        self._client = client
        self._effort = effort

    @property
    def frame_limits(self) -> FrameLimits:
        """How large an image the model reads, in every request of a long run."""
        return self._profile.frame_limits

    @property
    def _profile(self) -> ModelProfile:
        """What is known of the model by now."""
        return profile_of(self._model, platform_of(self._client))

    @asynccontextmanager
    async def adapter(self, run: RunContext) -> AsyncIterator[ModelAdapter]:
        """Connect to Anthropic's API for one run."""
        async with self._door() as door:
            yield AnthropicCodec(self._settings(), Toolbox.of(run), door)

    @asynccontextmanager
    async def _door(self) -> AsyncIterator[AnthropicDoor]:
        if self._client is not None:
            await anyio.to_thread.run_sync(load)
            yield AnthropicDoor(self._client, deadlines=self._deadlines)
            return
        async with own_client(os.environ) as client:
            yield AnthropicDoor(client, deadlines=self._deadlines, retries=budget_at(str(client.base_url)))

    def _settings(self) -> Settings:
        schema: Json | None = None
        if self._answer is not None:
            from anthropic import transform_schema

            schema = cast("Json", transform_schema(self._answer))
        return Settings(
            model=self._model,
            profile=self._profile,
            instructions=self._instructions,
            max_tokens=self._max_tokens or 32_000,
            effort=self._effort,
            schema=schema,
        )
