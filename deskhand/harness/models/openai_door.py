"""The one place where OpenAI's APIs are talked to: through the vendor's own client, with our bytes.

The client keeps its authentication, its addresses and its clouds. Its typed calls are not used: they try every kind of
item on every item of the history in every request, which costs ten times what all the rest does.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import anyio.to_thread

from deskhand.errors import BudgetExceededError, ConfigError, ProviderError, RefusedError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.door import Answer, Body, Door, ssl_context
from deskhand.harness.models.failures import Vendor
from deskhand.harness.models.openai_items import chat_chunk
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.harness.models.sse import DONE, kind_of, no_stream, parsed, plain, whole
from deskhand.harness.models.transcript import Request
from deskhand.harness.models.transport import Deadlines
from deskhand.harness.prices import price_of
from deskhand.retry import Clock

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.responses import ResponseStreamEvent

__all__ = ["OPENAI", "Api", "OpenAIDoor", "connected", "load", "own_client"]

Api: TypeAlias = Literal["responses", "chat"]
"""Which of the vendor's APIs is asked."""

_PATHS: Final[Mapping[Api, str]] = {"responses": "/responses", "chat": "/chat/completions"}


def _outgrown(message: str, **more: object) -> BudgetExceededError:
    """Say that the conversation no longer fits; nothing else of the error helps with that."""
    error = BudgetExceededError(message, reason="context")
    error.request_id = cast("str | None", more.get("request_id"))
    return error


OPENAI: Final = Vendor(
    name="openai",
    label="OpenAI's API",
    package="openai",
    hints=MappingProxyType(
        {
            401: "export OPENAI_API_KEY=sk-...",
            404: "name a model that this key may use, such as gpt-5.5",
            429: "wait a while, or ask OpenAI for a higher limit",
        }
    ),
    types=MappingProxyType(
        {
            "invalid_request_error": 400,
            "authentication_error": 401,
            "permission_error": 403,
            "not_found_error": 404,
            "rate_limit_exceeded": 429,
            "rate_limit_error": 429,
            "insufficient_quota": 429,
            "invalid_prompt": 400,
            "invalid_image": 400,
            "context_length_exceeded": 400,
            "server_error": 500,
        }
    ),
    special=MappingProxyType(
        {
            "context_length_exceeded": (_outgrown, None, None),
            "insufficient_quota": (ProviderError, False, "see the plan and the billing of this key"),
            "previous_response_not_found": (
                ProviderError,
                False,
                "the vendor no longer keeps the conversation; without keep_on_server it is sent whole each time",
            ),
            **dict.fromkeys(
                (
                    "invalid_prompt",
                    "bio_policy",
                    "misalignment_policy_violation",
                    "image_content_policy_violation",
                    "content_policy_violation",
                    "content_filter",
                ),
                (RefusedError, False, None),
            ),
        }
    ),
    base_url="OPENAI_BASE_URL",
    request_id="x-request-id",
)
"""How the vendor's failures are told."""


def load() -> None:
    """Import what the first turn needs: seconds of work where nothing is cached, so not on the event loop."""
    importlib.import_module("openai.types.responses")
    price_of("", Usage())


@asynccontextmanager
async def own_client(environment: Mapping[str, str], base_url: str | None = None) -> AsyncIterator[AsyncOpenAI]:
    """Make a client from the environment, and close it.

    Args:
        environment: Holds ``OPENAI_API_KEY``.
        base_url: An API elsewhere that speaks the same; it may need no key.

    Raises:
        ConfigError: If there is no key.
    """
    key = environment.get("OPENAI_API_KEY")
    if not key and base_url is None:
        raise ConfigError("there is no key for OpenAI's API: OPENAI_API_KEY is not set", hint=OPENAI.hints[401])
    async with connected(OPENAI, key or "none", base_url) as client:
        yield client


@asynccontextmanager
async def connected(
    vendor: Vendor, key: str, base_url: str | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[AsyncOpenAI]:
    """Make a client, and close it; it follows no redirect, and repeats nothing.

    Args:
        vendor: Who is asked.
        key: Opens the API.
        base_url: Where that is, where not at OpenAI's.
        headers: Go with every request.

    Raises:
        ConfigError: If no client can be made of that.
    """
    await anyio.to_thread.run_sync(load)
    context = await anyio.to_thread.run_sync(ssl_context)
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    from deskhand.harness.models.bodies import bound_error

    hooks = {"response": [bound_error]}
    async with DefaultAsyncHttpxClient(verify=context, follow_redirects=False, event_hooks=hooks) as http:
        try:
            client = AsyncOpenAI(
                api_key=key, base_url=base_url, default_headers=headers, max_retries=0, http_client=http
            )
        except Exception as error:
            raise vendor.map_error(error) from error
        yield client


_REPEATING: Final = frozenset(
    {
        "ping",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.done",
        "response.refusal.done",
        "response.function_call_arguments.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.done",
    }
)
"""Events that say again what others say, some of them the whole request."""

_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed", DONE})
"""The events after which nothing of an answer follows."""


class OpenAIDoor(Door):
    """Sends requests to OpenAI's APIs, to a cloud that has them, or to a server that speaks the same.

    Args:
        client: The vendor's client; a cloud's own where it has one.
        api: Which API is asked.
        deadlines: How long to wait.
        clock: Time.
        retries: How much of what is asked may be a repetition, where that is not the client's own.
    """

    vendor = OPENAI
    last = _LAST
    readers = ("openai.lib.azure",)  # (Azure puts the model into the address)

    def __init__(
        self,
        client: AsyncOpenAI,
        api: Api,
        *,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
        retries: RetryBudget | None = None,
    ) -> None:
        super().__init__(client, deadlines=deadlines, clock=clock, retries=retries)
        self._client = client
        self._path = _PATHS[api]

    def _plain_client(self) -> type:
        from openai import AsyncOpenAI

        return AsyncOpenAI

    async def _post(self, request: Request, body: Body) -> AsyncStream[ResponseStreamEvent]:
        from openai import AsyncStream
        from openai.types.responses import Response, ResponseStreamEvent

        return await self._client.post(
            self._path,
            cast_to=Response,
            body=body.mapping,
            content=cast("bytes | None", body.content),
            options={"headers": body.headers, "max_retries": 0, "timeout": self.timeout},
            stream=True,
            stream_cls=AsyncStream[ResponseStreamEvent],
        )

    async def _source(self, answer: Answer) -> AsyncGenerator[list[Json], None]:
        response = answer.response
        if kind_of(response) == "application/json" and plain(response) and self._path == _PATHS["chat"]:
            return _at_once(response, self.vendor)
        if kind_of(response) != "text/event-stream" or not plain(response):
            raise await no_stream(response, self.vendor)
        return parsed(response, self.vendor, _REPEATING)


async def _at_once(response: httpx2.Response, vendor: Vendor) -> AsyncGenerator[list[Json], None]:
    """Read the whole answer of a server that does not stream, as the chunk in which it would have come.

    Raises:
        ProtocolError: If it is none.
        DeskhandError: What it says went wrong.
    """
    body = await whole(response, vendor)
    value = json.loads(body)
    fields: Json = value if isinstance(value, dict) else {}
    inner = fields.get("data")
    if "choices" not in fields and isinstance(inner, dict):  # (some put all answers in an envelope)
        fields = inner
    if isinstance(fields.get("error"), dict):
        raise vendor.stream_error(fields)
    choices = fields.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise await no_stream(response, vendor, body)
    told: Json = {name: fields.get(name) for name in ("id", "usage")}
    yield [told | chat_chunk(message, choice.get("finish_reason")), {"type": DONE}]
