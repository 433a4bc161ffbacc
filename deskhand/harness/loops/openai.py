"""The loops for OpenAI's models and for all that speak like them: their settings and their client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio.to_thread
from pydantic import JsonValue
from typing_extensions import TypeVar

from deskhand.errors import ConfigError
from deskhand.harness.context import RunContext
from deskhand.harness.frames import FrameLimits
from deskhand.harness.loops.model import ModelHarness
from deskhand.harness.models.adapter import ModelAdapter
from deskhand.harness.models.openai_chat import ChatCodec
from deskhand.harness.models.openai_codec import Settings
from deskhand.harness.models.openai_door import Api, OpenAIDoor, load, own_client
from deskhand.harness.models.openai_responses import ResponsesCodec
from deskhand.harness.models.profiles import OPENAI_API, PROFILES, ModelProfile, profile_of
from deskhand.harness.models.retry_budget import budget_at
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.providers.contract import ComputerInfo, Screen
from deskhand.tools.openai_actions import OPENAI_ACTION_TOOLS
from deskhand.tools.registry import Tool, ToolRegistry
from deskhand.tools.schemas import answer_schema

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAIComputerUseHarness", "OpenAIFunctionHarness"]

OutputT = TypeVar("OutputT", default=str)

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class _OpenAIHarness(ModelHarness[OutputT]):
    """What both loops have in common: the client, and how the API is asked."""

    def __init__(  # noqa: PLR0917 (all bundled harnesses take the same, in the same order)
        self,
        model: str,
        client: AsyncOpenAI | None,
        instructions: str | None,
        tools: ToolRegistry | Sequence[Tool] | None,
        max_turns: int,
        output_type: type[OutputT] | None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None,
        *,
        api: Api,
        base_url: str | None,
        max_tokens: int | None,
        effort: Effort | None,
        keep_on_server: bool,
        patience: Patience | None,
        deadlines: Deadlines | None,
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
        if client is not None and base_url is not None:
            raise ConfigError("a client has its base_url", hint="give the one or the other")
        self._client: AsyncOpenAI | None = client
        self._api: Api = api
        self._base_url: str | None = base_url
        self._effort: Effort | None = effort
        self._keep_on_server: bool = keep_on_server

    @property
    def frame_limits(self) -> FrameLimits:
        """How large an image the model reads unscaled."""
        return self._profile.frame_limits

    @property
    def _profile(self) -> ModelProfile:
        return profile_of(self._model, OPENAI_API)

    @asynccontextmanager
    async def _door(self) -> AsyncIterator[OpenAIDoor]:
        if self._client is not None:
            await anyio.to_thread.run_sync(load)
            yield OpenAIDoor(self._client, self._api, deadlines=self._deadlines)
            return
        async with own_client(os.environ, self._base_url) as client:
            retries = budget_at(str(client.base_url))
            yield OpenAIDoor(client, self._api, deadlines=self._deadlines, retries=retries)

    def _settings(self, display: tuple[Screen, str] | None = None, *, native: bool = False) -> Settings:
        return Settings(
            model=self._model,
            profile=self._profile,
            instructions=self._instructions,
            native=native,
            display=display,
            max_tokens=self._max_tokens,
            effort=self._effort,
            answer=None if self._answer is None else answer_schema(self._answer),
            keep_on_server=self._keep_on_server,
        )


class OpenAIComputerUseHarness(_OpenAIHarness[OutputT]):
    """Lets a model of OpenAI use a computer through the Responses API's computer tool, with function tools beside it.

    A harness holds settings only and serves any number of runs. It takes a run with one computer. What the vendor wants
    a person to know before a call is run becomes an approval request; it is acknowledged only where a person approved
    it, and a denial ends the run.

    Args:
        model: The model's name.
        client: The vendor's client, for a gateway or a cloud; one is made of ``OPENAI_API_KEY`` for each run where not
            given.
        instructions: The system prompt, in place of the default one.
        tools: Function tools besides the computer's own.
        max_turns: Answers of the model at most.
        output_type: A pydantic model that the final answer must be; text where not given.
        on_request: Sees the parameters of each request before it is sent; never a key.
        base_url: Another address of the API.
        max_tokens: Tokens of one answer at most; the model's own limit where not given.
        effort: How much thought the model should take.
        keep_on_server: Whether the vendor keeps the conversation (``previous_response_id``), so that only what is new
            is sent. By default nothing is kept there, and the whole conversation is sent each time, the model's
            reasoning encrypted.
        patience: How often a turn is asked for again, and after how long.
        deadlines: How long an answer may take.

    Raises:
        ConfigError: If the model is known not to take the computer tool.
    """

    def __init__(  # noqa: PLR0917 (all bundled harnesses take the same, in the same order)
        self,
        model: str = "gpt-5.5",
        client: AsyncOpenAI | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        base_url: str | None = None,
        max_tokens: int | None = None,
        effort: Effort | None = None,
        keep_on_server: bool = False,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        if profile_of(model, OPENAI_API).computer_tool is None:
            able = [name for name, row in PROFILES.items() if row.vendor == "openai" and row.computer_tool is not None]
            raise ConfigError(
                f"{model} does not take the computer tool",
                hint=f"use OpenAIFunctionHarness, or one of {', '.join(able)}",
            )
        super().__init__(
            model,
            client,
            instructions,
            tools,
            max_turns,
            output_type,
            on_request,
            api="responses",
            base_url=base_url,
            max_tokens=max_tokens,
            effort=effort,
            keep_on_server=keep_on_server,
            patience=patience,
            deadlines=deadlines,
        )

    @property
    def own_tools(self) -> ToolRegistry:
        """The function tools that it was given, and what the computer tool asks for besides the usual ones."""
        return ToolRegistry(OPENAI_ACTION_TOOLS).merged(self._tools or ())

    @asynccontextmanager
    async def adapter(self, run: RunContext) -> AsyncIterator[ModelAdapter]:
        """Connect to OpenAI's API for one run.

        Raises:
            ConfigError: If the computer has no screen to be shown, or there are several computers.
        """
        if len(run.computers) > 1:
            raise ConfigError(
                f"the API takes one computer tool a request, and this run has {len(run.computers)} computers",
                hint="use FleetHarness, which gives each a loop of its own, or OpenAIFunctionHarness",
            )
        if "screenshot" not in run.tools or not run.tools.get("screenshot").on_screen:
            raise ConfigError(
                "the computer tool needs a screen, and this computer has none", hint="use OpenAIFunctionHarness"
            )
        display = _display(next(iter(run.computers.values())), self.frame_limits)
        async with self._door() as door:
            yield ResponsesCodec(self._settings(display, native=True), Toolbox.of(run), door)


class OpenAIFunctionHarness(_OpenAIHarness[OutputT]):
    """Lets any model that can call functions use a computer: over the Responses API or over Chat Completions.

    In a run with several computers the functions bear the computer's name, as in ``left__left_click``. A harness holds
    settings only and serves any number of runs.

    Args:
        model: The model's name.
        client: The vendor's client, for a gateway or a cloud; one is made of ``OPENAI_API_KEY`` for each run where not
            given.
        instructions: The system prompt, in place of the default one.
        tools: Function tools besides the computer's own.
        max_turns: Answers of the model at most.
        output_type: A pydantic model that the final answer must be; text where not given.
        on_request: Sees the parameters of each request before it is sent; never a key.
        api: ``responses`` or ``chat``.
        base_url: Another server that speaks the same; it may need no key.
        max_tokens: Tokens of one answer at most; the model's own limit where not given.
        effort: How much thought the model should take.
        keep_on_server: Whether the vendor keeps the conversation (``previous_response_id``), so that only what is new
            is sent; Responses only.
        patience: How often a turn is asked for again, and after how long.
        deadlines: How long an answer may take.

    Raises:
        ConfigError: If Chat Completions is to keep the conversation.
    """

    def __init__(  # noqa: PLR0917 (all bundled harnesses take the same, in the same order)
        self,
        model: str = "gpt-5.5",
        client: AsyncOpenAI | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        api: Api = "responses",
        base_url: str | None = None,
        max_tokens: int | None = None,
        effort: Effort | None = None,
        keep_on_server: bool = False,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        if api not in {"responses", "chat"}:
            raise ConfigError(f"there is no API {api!r}", hint="use responses or chat")
        if api == "chat" and keep_on_server:
            raise ConfigError("Chat Completions keeps no conversation", hint="use api='responses'")
        super().__init__(
            model,
            client,
            instructions,
            tools,
            max_turns,
            output_type,
            on_request,
            api=api,
            base_url=base_url,
            max_tokens=max_tokens,
            effort=effort,
            keep_on_server=keep_on_server,
            patience=patience,
            deadlines=deadlines,
        )

    @asynccontextmanager
    async def adapter(self, run: RunContext) -> AsyncIterator[ModelAdapter]:
        """Connect to the API for one run."""
        codec = ChatCodec if self._api == "chat" else ResponsesCodec
        async with self._door() as door:
            yield codec(self._settings(), Toolbox.of(run), door)


def _display(info: ComputerInfo, limits: FrameLimits) -> tuple[Screen, str] | None:
    """Return the size of the screen as the model sees it, and what kind of system it shows, where that is known."""
    if info.screen is None:
        return None
    system = ((info.specs.os if info.specs else None) or "linux").lower()
    kinds = {"win": "windows", "mac": "mac", "darwin": "mac", "ubuntu": "ubuntu"}
    kind = next((kind for start, kind in kinds.items() if system.startswith(start)), "linux")
    return limits.fit(*info.screen), kind
