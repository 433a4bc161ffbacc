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

from deskhand.errors import ConfigError, DeskhandError, PayloadTooLargeError, ProtocolError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.failures import KEY_HINT, SHOWN, VENDOR, broken, idle, map_error, stream_error
from deskhand.harness.models.transcript import Request
from deskhand.harness.models.transport import Deadlines
from deskhand.harness.prices import price_of
from deskhand.retry import Clock

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.lib.bedrock import AsyncAnthropicBedrock, AsyncAnthropicBedrockMantle
    from anthropic.lib.vertex import AsyncAnthropicVertex
    from anthropic.types import RawMessageStreamEvent
    from httpx2 import ServerSentEvent

    AnthropicClient: TypeAlias = (
        AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicBedrockMantle | AsyncAnthropicVertex
    )

__all__ = ["AnthropicDoor", "load", "own_client"]

MAX_BODY: Final[dict[str, int]] = {
    "anthropic.lib.bedrock": 10 * 1024 * 1024,
    "anthropic.lib.vertex": 16 * 1024 * 1024,
    "": 30 * 1024 * 1024,
}
"""Bytes of a request that are sent, by where the client's class lives; a little below what is refused."""

MAX_EVENT: Final = 8 * 1024 * 1024
"""Bytes of one event of an answer."""

MAX_ANSWER: Final = 64 * 1024 * 1024
"""Characters of a whole answer."""

CLOSE: Final = 1.0
"""Seconds for a connection to be closed, also where the run is cancelled meanwhile."""

DRAIN: Final = 0.25
"""Seconds for the end of an answer to arrive after its last event, so that the connection can be used again."""


@functools.lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
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
        raise ConfigError("there is no key for Anthropic's API: ANTHROPIC_API_KEY is not set", hint=KEY_HINT)
    await anyio.to_thread.run_sync(load)
    context = await anyio.to_thread.run_sync(_ssl_context)
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
        for module, limit in MAX_BODY.items():
            if any(cls.__module__.startswith(module) for cls in type(self._client).__mro__):
                return limit
        return MAX_BODY[""]

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[list[Json]]]:
        """Send a request and receive its events, as many at a time as the network brings.

        Raises:
            DeskhandError: Whatever goes wrong, mapped once.
        """
        watch = _Watch(self._deadlines.idle)
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
            raise idle(self._deadlines.idle)

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
            raise map_error(error, self._clock.wall) from error

    async def _events(
        self, answer: AsyncStream[RawMessageStreamEvent], watch: _Watch
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
                    raise broken(error, begun=begun, wall=self._clock.wall) from error
                if events is None:
                    return
                if not events:  # (pings alone are no content)
                    continue
                begun = True
                watch.content()
                yield events
                if events[-1].get("type") == "message_stop":
                    await _drain(source)
                    return


class _Watch:
    """Gives an answer up on which nothing comes.

    One scope for the whole answer, whose deadline moves with what comes; not with every event, since moving it costs
    more than reading one: it may thus come a tenth early.

    Args:
        idle: Seconds without content.
    """

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._moved = anyio.current_time()
        self.scope = anyio.CancelScope(deadline=self._moved + idle)

    def content(self) -> None:
        """Take note that content has come."""
        now = anyio.current_time()
        if now - self._moved > self._idle / 10:
            self._moved = now
            self.scope.deadline = now + self._idle


async def _source(answer: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[list[Json], None]:
    """Find out how an answer is framed.

    Raises:
        ProtocolError: If it is no stream of events.
    """
    response = answer.response
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/vnd.amazon.eventstream":
        return _decoded(answer)
    if kind == "text/event-stream" and _plain(response):
        return _parsed(response)
    raise await _no_stream(response, kind)


async def _parsed(response: httpx2.Response) -> AsyncGenerator[list[Json], None]:
    """Read server-sent events; a ping, or an event without data, brings nothing.

    Raises:
        PayloadTooLargeError: If an event or the whole answer passes its limit.
    """
    from httpx2 import EventSource, SSEError

    received = 0
    try:
        async with aclosing(cast("AsyncGenerator[ServerSentEvent]", aiter(EventSource(response, MAX_EVENT)))) as events:
            async for event in events:
                received += len(event.data)
                if received > MAX_ANSWER:
                    raise _too_large("answer", MAX_ANSWER)
                yield [_value(event)] if event.event != "ping" and event.data else []
    except SSEError as error:
        raise _too_large("event", MAX_EVENT) from error


def _too_large(what: str, limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"an {what} of the model's stream has more than {limit} bytes", provider=VENDOR)


def _value(event: ServerSentEvent) -> Json:
    value = json.loads(event.data)
    if not isinstance(value, dict):
        raise ProtocolError(
            "an event of the model's stream is no JSON object", provider=VENDOR, effect="no", retryable=True
        )
    if value.get("type") == "error" or event.event == "error":
        raise stream_error(value)
    return value


async def _decoded(answer: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[list[Json], None]:
    """Read the events of a cloud that frames them otherwise, as the vendor's client decodes them."""
    async for event in answer:
        yield [cast("Json", event.to_dict(mode="json"))]


async def _drain(source: AsyncIterator[list[Json]]) -> None:
    """Read what follows the last event, so that the connection can be used again; nothing of it matters."""
    with anyio.move_on_after(DRAIN):
        try:
            async for _ in source:
                pass
        except Exception:
            return


def _wants_mapping(client: object) -> bool:
    """Whether a client rewrites the body, and so must have it as a mapping (Bedrock and Vertex)."""
    return any(
        cls.__module__.startswith(("anthropic.lib.bedrock", "anthropic.lib.vertex")) for cls in type(client).__mro__
    )


def _streams_bodies(client: object) -> bool:
    """Whether a client sends a body on without looking at it; others sign it, or are not known."""
    from anthropic import AsyncAnthropic

    return type(client) is AsyncAnthropic


def _plain(response: httpx2.Response) -> bool:
    """Whether a response is not compressed."""
    return bool(response.headers.get("content-encoding", "identity") == "identity")


async def _start_of(response: httpx2.Response) -> bytes:
    """Return the first bytes of a response; nothing where they cannot be had."""
    start = b""
    with anyio.move_on_after(5):
        try:
            async for chunk in response.aiter_bytes():
                start += chunk[: SHOWN - len(start)]
                if len(start) >= SHOWN:
                    break
        except Exception:
            return b""
    return start


async def _no_stream(response: httpx2.Response, kind: str) -> DeskhandError:
    """Say what came in place of a stream, from its first bytes."""
    start = b""
    if _plain(response):  # (what was compressed against our wish is not unpacked: it may be a bomb)
        start = await _start_of(response)
    text = " ".join(start.decode(errors="replace").split())[:120]
    what = f"{kind or 'nothing'}: {text}" if text else kind or "an empty answer"
    return ProtocolError(
        f"the address answered with status {response.status_code} and no event stream ({what})",
        hint="is ANTHROPIC_BASE_URL right, and does a proxy stand in between?",
        provider=VENDOR,
        effect="no",
        request_id=response.headers.get("request-id"),
    )
