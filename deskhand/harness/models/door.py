"""The one place where Anthropic's API is talked to: through the vendor's own client, with our bytes.

The client keeps its authentication, its addresses and its clouds; what it would encode, decode and repeat by itself is
done here, where it is bounded and counted.
"""

from __future__ import annotations

import functools
import importlib
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import anyio
import anyio.to_thread

from deskhand.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    RateLimitedError,
    TruncatedStreamError,
)
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.sse import EventReader, ServerEvent
from deskhand.harness.models.transcript import Request
from deskhand.harness.models.transport import Clock, Deadlines, retry_after

if TYPE_CHECKING:
    import httpx2
    from anthropic import APIStatusError, AsyncAnthropic, AsyncStream
    from anthropic.lib.bedrock import AsyncAnthropicBedrock, AsyncAnthropicBedrockMantle
    from anthropic.lib.vertex import AsyncAnthropicVertex
    from anthropic.types import RawMessageStreamEvent

    AnthropicClient: TypeAlias = (
        AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicBedrockMantle | AsyncAnthropicVertex
    )

__all__ = ["AnthropicDoor", "map_error", "own_client"]

VENDOR: Final = "anthropic"
KEY_HINT: Final = "export ANTHROPIC_API_KEY=sk-ant-..."
MODEL_HINT: Final = "name a model that this key may use, such as claude-sonnet-5-5"
SHOWN: Final = 500
"""Characters of a foreign message that are repeated."""

MAX_BODY: Final[dict[str, int]] = {
    "anthropic.lib.bedrock": 10 * 1024 * 1024,
    "anthropic.lib.vertex": 16 * 1024 * 1024,
    "": 30 * 1024 * 1024,
}
"""Bytes of a request that are sent, by where the client's class lives; a little below what is refused."""

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
    """Import the vendor's client: seconds of work where nothing is cached, so not on the event loop."""
    importlib.import_module("anthropic.types")


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
        answer = await self._post(request)
        events = self._events(answer)
        try:
            yield events
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE):
                await events.aclose()
                await answer.close()

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
            content, headers["content-length"] = request.chunks(), str(request.size)
        else:
            content = request.joined()
        try:
            with anyio.fail_after(self._deadlines.idle):
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
        except TimeoutError as error:
            raise _idle(self._deadlines.idle) from error
        except Exception as error:
            raise map_error(error, self._clock.wall) from error

    async def _events(self, answer: AsyncStream[RawMessageStreamEvent]) -> AsyncGenerator[list[Json], None]:
        """Read an answer's events."""
        async with aclosing(await _source(answer)) as source:
            begun = False
            waits_until = self._clock.monotonic() + self._deadlines.idle
            while True:
                events = await self._next(source, waits_until, begun=begun)
                if events is None:
                    return
                if not events:  # (pings alone are no content)
                    continue
                begun = True
                waits_until = self._clock.monotonic() + self._deadlines.idle
                yield events
                if events[-1].get("type") == "message_stop":
                    await _drain(source)
                    return

    async def _next(self, source: AsyncIterator[list[Json]], waits_until: float, *, begun: bool) -> list[Json] | None:
        """Wait for what comes next; ``None`` at the end."""
        try:
            with anyio.fail_after(max(0.0, waits_until - self._clock.monotonic())):
                return await anext(source, None)
        except TimeoutError as error:
            raise _idle(self._deadlines.idle) from error
        except DeskhandError:
            raise
        except Exception as error:
            raise _broken(error, begun=begun, wall=self._clock.wall) from error


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
    """Read server-sent events from the bytes of a response; pings are left out."""
    reader = EventReader()
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            yield [_value(event) for event in reader.feed(chunk) if event.name != b"ping" and event.data]


def _value(event: ServerEvent) -> Json:
    value = json.loads(event.data)
    if not isinstance(value, dict):
        raise ProtocolError(
            "an event of the model's stream is no JSON object", provider=VENDOR, effect="no", retryable=True
        )
    if value.get("type") == "error" or event.name == b"error":
        raise _stream_error(value)
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


def _idle(seconds: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the model sent nothing for {seconds:g} s", provider=VENDOR, effect="no", retryable=True
    )


def _broken(error: Exception, *, begun: bool, wall: Callable[[], float]) -> DeskhandError:
    """Map what ends a stream early."""
    if isinstance(error, ValueError | UnicodeError | AssertionError | IndexError | KeyError):
        return ProtocolError(
            f"the model's stream holds what is no event: {type(error).__name__}",
            provider=VENDOR,
            effect="no",
            retryable=True,
        )
    mapped = map_error(error, wall)
    if begun and isinstance(mapped, ConnectionLostError):
        return TruncatedStreamError(f"the model's answer was cut off: {mapped.message}", provider=VENDOR)
    return mapped


_Make = Callable[..., DeskhandError]

_BY_STATUS: Final[Mapping[int, tuple[_Make, bool | None, str | None]]] = {
    400: (InvalidInputError, None, "see what the answer finds wrong; another version of deskhand may know better"),
    401: (AuthError, None, KEY_HINT),
    402: (ProviderError, False, "see the plan and the billing of this key"),
    403: (PermissionDeniedError, None, "see what this key may do"),
    404: (NotFoundError, None, MODEL_HINT),
    408: (DeadlineExceededError, True, None),
    409: (ConflictError, True, None),
    413: (PayloadTooLargeError, None, None),
    422: (InvalidInputError, None, None),
    429: (RateLimitedError, None, "wait a while, or ask Anthropic for a higher limit"),
    503: (OverloadedError, None, None),
    504: (DeadlineExceededError, True, None),
    529: (OverloadedError, None, None),
}
"""Per status: the error, whether it may be repeated where the class does not say, and what to do."""

_BY_TYPE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error inside a stream stands for."""


def _of_status(status: int, message: str, **more: object) -> DeskhandError:
    make, retryable, hint = _BY_STATUS.get(status, (ProviderError, status >= 500, None))
    if "retryable" not in more and retryable is not None:
        more["retryable"] = retryable
    return make(message, provider=VENDOR, effect="no", **{"hint": hint, **more})


def _stream_error(value: Json) -> DeskhandError:
    error = value.get("error")
    fields = error if isinstance(error, dict) else {}
    kind, text = str(fields.get("type") or "error"), str(fields.get("message") or "")[:SHOWN]
    request_id = value.get("request_id")
    return _of_status(
        _BY_TYPE.get(kind, 500),
        f"the model's answer broke off: {kind}: {text}",
        request_id=request_id if isinstance(request_id, str) else None,
    )


def map_error(error: Exception, wall: Callable[[], float] = time.time) -> DeskhandError:
    """Map whatever the vendor's client raises to one of our errors.

    Args:
        error: What was raised.
        wall: The wall clock, for waits that the other side asks for.
    """
    import anthropic
    import httpx2

    match error:
        case DeskhandError():
            return error
        case anthropic.APIStatusError():
            return _status_error(error, wall)
        case anthropic.APITimeoutError() | httpx2.TimeoutException():
            return DeadlineExceededError(
                "Anthropic's API did not answer in time", provider=VENDOR, effect="no", retryable=True
            )
        case anthropic.APIConnectionError() | httpx2.TransportError():
            cause = error.__cause__ or error
            return ConnectionLostError(
                f"Anthropic's API cannot be reached: {type(cause).__name__}: {str(cause)[:SHOWN]}",
                provider=VENDOR,
                effect="no",
            )
        case TypeError() if "authentication" in str(error):
            return ConfigError("the client has no key for Anthropic's API", hint=KEY_HINT)
        case anthropic.AnthropicError():
            return ProviderError(f"{type(error).__name__}: {str(error)[:SHOWN]}", provider=VENDOR, effect="no")
        case _:
            return ProtocolError(
                f"the vendor's client failed: {type(error).__name__}: {str(error)[:SHOWN]}", provider=VENDOR
            )


def _status_error(error: APIStatusError, wall: Callable[[], float]) -> DeskhandError:
    headers = error.response.headers
    more: dict[str, object] = {"request_id": error.request_id}
    wait = retry_after(headers, wall())
    if wait is not None:
        more["retry_at"] = wall() + wait
    advice = headers.get("x-should-retry")
    if advice in {"true", "false"}:
        more["retryable"] = advice == "true"
    said = (error.api_message or error.message)[:SHOWN]
    return _of_status(error.status_code, f"Anthropic's API answered {error.status_code}: {said}", **more)
