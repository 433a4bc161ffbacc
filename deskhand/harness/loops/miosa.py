"""The loop for MIOSA's models."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import JsonValue, SecretStr
from typing_extensions import TypeVar

from deskhand.errors import ConfigError
from deskhand.harness.loops.openai import Effort, OpenAIFunctionHarness
from deskhand.harness.models.miosa_door import MIOSA, MiosaDoor, own_client
from deskhand.harness.models.openai_door import load
from deskhand.harness.models.retry_budget import budget_at
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.providers.miosa.account import account_of
from deskhand.tools.registry import Tool, ToolRegistry

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["MiosaModelHarness"]

OutputT = TypeVar("OutputT", default=str)


class MiosaModelHarness(OpenAIFunctionHarness[OutputT]):
    """Lets a model that MIOSA serves use a computer: functions over Chat Completions, at MIOSA's address.

    The computer may be anybody's. A harness holds settings only and serves any number of runs.

    Args:
        model: The model's name. MIOSA has models of many makers, and names no default.
        client: A client of OpenAI's package that leads to MIOSA's models; one is made for each run where not given.
        instructions: The system prompt, in place of the default one.
        tools: Function tools besides the computer's own.
        max_turns: Answers of the model at most.
        output_type: A pydantic model that the final answer must be; text where not given.
        on_request: Sees the parameters of each request before it is sent; never a key.
        api_key: The key, an intelligence key; ``MIOSA_API_KEY`` where neither is given.
        access_token: A token in its place; ``MIOSA_ACCESS_TOKEN``, which counts first, where neither is given.
        base_url: Where MIOSA's API is, with or without ``/api/v1``; ``MIOSA_BASE_URL``, else MIOSA's own. Where neither
            this nor a key is given, ``MIOSA_AI_GATEWAY_URL`` and ``MIOSA_AI_GATEWAY_KEY`` count first.
        tenant: Whose account is used, where the key has several; ``MIOSA_TENANT``.
        max_tokens: Tokens of one answer at most; the model's own limit where not given.
        effort: How much thought the model should take.
        patience: How often a turn is asked for again, and after how long.
        deadlines: How long an answer may take.

    Raises:
        ConfigError: If a client is given, and a key or an address with it.
        InvalidInputError: If both a key and a token are given, or the tenant cannot be one.
    """

    def __init__(  # noqa: PLR0917 (all bundled harnesses take the same, in the same order)
        self,
        model: str = "gpt-6-astra",
        client: AsyncOpenAI | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        api_key: str | SecretStr | None = None,
        access_token: str | SecretStr | None = None,
        base_url: str | None = None,
        tenant: str | None = None,
        max_tokens: int | None = None,
        effort: Effort | None = None,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        super().__init__(
            model,
            client,
            instructions,
            tools,
            max_turns,
            output_type,
            on_request,
            api="chat",
            max_tokens=max_tokens,
            effort=effort,
            patience=patience,
            deadlines=deadlines,
        )
        self._is_given = bool(api_key or access_token or base_url)
        if client is not None and (self._is_given or tenant):
            raise ConfigError("a client has its key and its address", hint="give the one or the other")
        self._account = partial(
            account_of, MIOSA.name, api_key=api_key, access_token=access_token, base_url=base_url, tenant=tenant
        )
        self._account()  # (what contradicts itself is refused at once; the environment counts when a run begins)

    @asynccontextmanager
    async def _door(self) -> AsyncIterator[MiosaDoor]:
        if self._client is not None:
            await anyio.to_thread.run_sync(load)
            yield MiosaDoor(self._client, "chat", deadlines=self._deadlines)
            return
        async with own_client(os.environ, self._account(), is_given=self._is_given) as client:
            retries = budget_at(str(client.base_url))
            yield MiosaDoor(client, "chat", deadlines=self._deadlines, retries=retries)
