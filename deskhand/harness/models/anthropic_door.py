"""The one place where Anthropic's API is talked to."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import anyio.to_thread

from deskhand.errors import ConfigError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.door import Answer, Body, Door, ssl_context
from deskhand.harness.models.failures import Vendor
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.harness.models.sse import kind_of, no_stream, parsed, plain
from deskhand.harness.models.transcript import Request
from deskhand.harness.models.transport import Deadlines
from deskhand.harness.prices import price_of
from deskhand.retry import Clock

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.lib.bedrock import AsyncAnthropicBedrock, AsyncAnthropicBedrockMantle
    from anthropic.lib.vertex import AsyncAnthropicVertex
    from anthropic.types import RawMessageStreamEvent

    AnthropicClient: TypeAlias = (
        AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicBedrockMantle | AsyncAnthropicVertex
    )

__all__ = ["ANTHROPIC", "AnthropicDoor", "load", "own_client"]

ANTHROPIC: Final = Vendor(
    name="anthropic",
    label="Anthropic's API",
    package="anthropic",
    hints={
        401: "export ANTHROPIC_API_KEY=sk-ant-...",
        404: "name a model that this key may use, such as claude-sonnet-5-5",
        429: "wait a while, or ask Anthropic for a higher limit",
    },
    types={
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "timeout_error": 504,
        "overloaded_error": 529,
    },
    base_url="ANTHROPIC_BASE_URL",
    request_id="request-id",
)
"""How the vendor's failures are told."""


def load() -> None:
    """Import what the first turn needs: seconds of work where nothing is cached, so not on the event loop."""
    importlib.import_module("anthropic.types")
    price_of("", Usage())


@asynccontextmanager
async def own_client(environment: Mapping[str, str]) -> AsyncIterator[AsyncAnthropic]:
    """Make a client from the environment, and close it.

    Raises:
        ConfigError: If there is no key.
    """
    if not (environment.get("ANTHROPIC_API_KEY") or environment.get("ANTHROPIC_AUTH_TOKEN")):
        raise ConfigError(
            "there is no key for Anthropic's API: ANTHROPIC_API_KEY is not set", hint=ANTHROPIC.hints[401]
        )
    await anyio.to_thread.run_sync(load)
    context = await anyio.to_thread.run_sync(ssl_context)
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

    from deskhand.harness.models.bodies import bound_error

    hooks = {"response": [bound_error]}
    async with DefaultAsyncHttpxClient(verify=context, follow_redirects=False, event_hooks=hooks) as http:
        try:
            client = AsyncAnthropic(max_retries=0, http_client=http)
        except Exception as error:
            raise ANTHROPIC.map_error(error) from error
        yield client


class AnthropicDoor(Door):
    """Sends requests to Anthropic's API, or to a cloud that has it."""

    vendor = ANTHROPIC
    last = frozenset({"message_stop"})
    readers = ("anthropic.lib.bedrock", "anthropic.lib.vertex")

    def __init__(
        self,
        client: AnthropicClient,
        *,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
        retries: RetryBudget | None = None,
    ) -> None:
        super().__init__(client, deadlines=deadlines, clock=clock, retries=retries)
        self._client = client

    def _plain_client(self) -> type:
        from anthropic import AsyncAnthropic

        return AsyncAnthropic

    async def _post(self, request: Request, body: Body) -> AsyncStream[RawMessageStreamEvent]:
        from anthropic import AsyncStream
        from anthropic.types import Message, RawMessageStreamEvent

        headers = body.headers | ({"anthropic-beta": ",".join(request.betas)} if request.betas else {})
        return await self._client.post(
            "/v1/messages?beta=true" if request.betas else "/v1/messages",
            cast_to=Message,
            body=body.mapping,
            content=cast("bytes | None", body.content),
            options={"headers": headers, "max_retries": 0, "timeout": self.timeout},
            stream=True,
            stream_cls=AsyncStream[RawMessageStreamEvent],
        )

    async def _source(self, answer: Answer) -> AsyncGenerator[list[Json], None]:
        response = answer.response
        kind = kind_of(response)
        if kind == "application/vnd.amazon.eventstream":
            return _decoded(cast("AsyncStream[RawMessageStreamEvent]", answer))
        if kind == "text/event-stream" and plain(response):
            return parsed(response, ANTHROPIC)
        raise await no_stream(response, ANTHROPIC)


async def _decoded(answer: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[list[Json], None]:
    """Read the events of a cloud that frames them otherwise, as the vendor's client decodes them."""
    async for event in answer:
        yield [cast("Json", event.to_dict(mode="json"))]
