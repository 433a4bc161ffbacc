"""The one place where Anthropic's API is talked to: through the vendor's own client, with our bytes.

The client keeps its authentication, its addresses and its clouds; what it would encode, decode and repeat by itself is
done here, where it is bounded and counted.
"""

from __future__ import annotations

import functools
import importlib
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import anyio
import anyio.to_thread

from deskhand.errors import ConfigError, DeskhandError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.failures import Vendor
from deskhand.harness.models.profiles import Platform, platform_of
from deskhand.harness.models.sse import CLOSE, Watch, drain, kind_of, no_stream, parsed, plain
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

__all__ = ["ANTHROPIC", "AnthropicDoor", "load", "own_client", "ssl_context"]

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


@functools.lru_cache(maxsize=1)
def ssl_context() -> ssl.SSLContext:
    """Return the process's one SSL context: making it costs more than everything else about a client."""
    import httpx2

    return httpx2.create_ssl_context()


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

    async with AsyncAnthropic(max_retries=0, http_client=DefaultAsyncHttpxClient(verify=context)) as client:
        yield client


class AnthropicDoor:
    """Sends requests and receives their events.

    Args:
        client: The vendor's client; a cloud's own where it has one.
        deadlines: How long to wait.
        clock: Time.
    """

    def __init__(
        self,
        client: AnthropicClient,
        *,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._deadlines = deadlines or Deadlines()
        self._clock = clock or Clock()

    @property
    def max_body(self) -> int:
        """How many bytes a request may have; clouds take less than the API itself."""
        return self.platform.max_body

    @property
    def platform(self) -> Platform:
        """Where requests go."""
        return platform_of(self._client)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[list[Json]]]:
        """Send a request and receive its events, as many at a time as the network brings.

        Raises:
            DeskhandError: Whatever goes wrong, mapped once.
        """
        watch = Watch(self._deadlines.idle)
        with watch.scope:
            answer = await self._post(request)
            events = self._events(answer, watch)
            try:
                yield events
            except DeskhandError as error:
                error.request_id = error.request_id or answer.response.headers.get("request-id")
                raise
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE):
                    await events.aclose()
                    await answer.close()
        if watch.scope.cancelled_caught:
            raise ANTHROPIC.idle(self._deadlines.idle)

    async def _post(self, request: Request) -> AsyncStream[RawMessageStreamEvent]:
        """Send a request; returns when the head of the answer is there."""
        import httpx2
        from anthropic import AsyncStream
        from anthropic.types import Message, RawMessageStreamEvent

        headers = {"accept-encoding": "identity", "content-type": "application/json"}
        if request.betas:
            headers["anthropic-beta"] = ",".join(request.betas)
        body: object = None
        content: object = None
        if _wants_mapping(self._client):
            body = json.loads(request.joined())
        elif _streams_bodies(self._client):
            content, headers["content-length"] = request, str(request.size)
        else:
            content = request.joined()
        try:
            return await self._client.post(
                "/v1/messages?beta=true" if request.betas else "/v1/messages",
                cast_to=Message,
                body=body,
                content=cast("bytes | None", content),
                options={
                    "headers": headers,
                    "max_retries": 0,
                    "timeout": httpx2.Timeout(
                        self._deadlines.idle + CLOSE,  # (ours comes first and says more)
                        connect=self._deadlines.connect,
                    ),
                },
                stream=True,
                stream_cls=AsyncStream[RawMessageStreamEvent],
            )
        except Exception as error:
            raise ANTHROPIC.map_error(error, self._clock.wall) from error

    async def _events(
        self, answer: AsyncStream[RawMessageStreamEvent], watch: Watch
    ) -> AsyncGenerator[list[Json], None]:
        """Read an answer's events."""
        begun = False
        async with aclosing(await _source(answer)) as source:
            while True:
                try:
                    events = await anext(source, None)
                except DeskhandError:
                    raise
                except Exception as error:
                    raise ANTHROPIC.broken(error, begun=begun, wall=self._clock.wall) from error
                if events is None:
                    return
                if not events:  # (pings alone are no content)
                    continue
                begun = True
                watch.content()
                yield events
                if events[-1].get("type") == "message_stop":
                    await drain(source)
                    return


async def _source(answer: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[list[Json], None]:
    """Find out how an answer is framed.

    Raises:
        ProtocolError: If it is no stream of events.
    """
    response = answer.response
    kind = kind_of(response)
    if kind == "application/vnd.amazon.eventstream":
        return _decoded(answer)
    if kind == "text/event-stream" and plain(response):
        return parsed(response, ANTHROPIC)
    raise await no_stream(response, ANTHROPIC)


async def _decoded(answer: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[list[Json], None]:
    """Read the events of a cloud that frames them otherwise, as the vendor's client decodes them."""
    async for event in answer:
        yield [cast("Json", event.to_dict(mode="json"))]


def _wants_mapping(client: object) -> bool:
    """Whether a client rewrites the body, and so must have it as a mapping (Bedrock and Vertex)."""
    return any(
        cls.__module__.startswith(("anthropic.lib.bedrock", "anthropic.lib.vertex")) for cls in type(client).__mro__
    )


def _streams_bodies(client: object) -> bool:
    """Whether a client sends a body on without looking at it; others sign it, or are not known."""
    from anthropic import AsyncAnthropic

    return type(client) is AsyncAnthropic
