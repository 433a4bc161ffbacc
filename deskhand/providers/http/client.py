"""The one client for HTTP: no other module of the providers imports an HTTP library, and this one when entered."""

from __future__ import annotations

import importlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias
from urllib.parse import urljoin

import anyio
import anyio.to_thread
from pydantic import JsonValue, SecretStr
from pydantic_core import from_json, to_json

from deskhand.errors import (
    ConfigError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    ProtocolError,
    RateLimitedError,
)
from deskhand.providers.answers import JsonObject
from deskhand.providers.http.failures import SHOWN, FailureRow
from deskhand.providers.http.logs import redacted_logs, speaking_for
from deskhand.providers.http.operation import Operation
from deskhand.providers.http.reports import Deadline, Reports, origin_of
from deskhand.providers.http.stream import Endings, Stream
from deskhand.redaction import Redactor
from deskhand.retry import Clock, backoff, wait_asked_for

if TYPE_CHECKING:
    import httpx2

__all__ = ["HttpClient", "OwnClient", "Reply"]

OwnClient: TypeAlias = "httpx2.AsyncClient"
"""A client of the caller's own: its transport, proxies and certificates are used, and it is left open."""

_CONNECT: Final = 10.0
"""Seconds until there is a connection."""
_MOST_AT_ONCE: Final = 64
"""Requests of one provider under way at once; the rest wait."""
_MOST_STREAMS: Final = 64
"""Answers that are read as they come, at once; they may last for hours, and so are counted apart."""
_RESERVED: Final = 16
"""Connections beyond those, for what must not wait: to end commands and computers."""
_MOST: Final = _MOST_AT_ONCE + _MOST_STREAMS + _RESERVED
_WAIT_CAP: Final = 60.0
"""The longest wait that another side may ask for; beyond it the caller is told."""
_CLOSE: Final = 5.0
_WAITS: Final = MappingProxyType({"connect": _CONNECT, "read": None, "write": None, "pool": None})
"""The library's own deadlines: all but the connection's are ours, so that a slow trickle is not endless."""
_BACKOFF: Final = 0.5
_BACKOFF_CEILING: Final = 8.0
_ERROR_LIMIT: Final = 1 << 20
_MOST_HIDDEN: Final = 256


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of success, whole.

    Attributes:
        status: The HTTP status.
        headers: The headers, whatever case they are asked for in.
        data: The body.
    """

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


class HttpClient:
    """Speaks to one vendor: pooled, bounded in time, size and number, its answers decoded and its errors mapped.

    All computers of a provider share it, and so one bound on requests at once; where the vendor asks one request to
    slow down until a time that it names, all others wait too, but for those that end something.

    The key goes to the vendor's own origin, to those that `trust` names, and nowhere else, and no redirect is followed.
    An operation that must not arrive twice is sent once: where nobody can tell whether it took effect,
    `OutcomeUnknownError` says so.

    Args:
        provider: Who is spoken to, as errors say it.
        base_url: Where paths begin.
        key: The key; nothing is sent of one that is empty.
        key_header: The header that it is sent in: ``authorization`` as a bearer token, any other as it is.
        headers: Further headers of every request that the key goes along with.
        rows: What the vendor's errors mean, where that is not what the status says.
        timeout: The longest that an operation may take, in seconds, where its own deadline is not longer for a reason;
            ``None`` leaves each its own.
        http_client: A client of the caller's own.
        most_idle: Connections that are kept while nothing is asked for; all where not given.
        clock: Time.

    Attributes:
        base_url: Where paths begin.
        origin: Scheme, host and port of that.
        has_key: Whether there is a key.

    Raises:
        ConfigError: If the address is none.
    """

    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        key: SecretStr,
        key_header: str = "authorization",
        headers: Sequence[tuple[str, str]] = (),
        rows: Sequence[FailureRow] = (),
        timeout: float | None = None,
        http_client: OwnClient | None = None,
        most_idle: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._provider = provider
        self._most_idle = _MOST if most_idle is None else most_idle
        self.origin: str = origin_of(base_url)
        self.base_url: str = base_url.rstrip("/")
        if "?" in base_url or "#" in base_url:
            raise ConfigError(
                f"the address of {provider} has more behind its path", hint="leave out what follows ? and #"
            )
        if timeout is not None and not 0 < timeout < float("inf"):
            raise InvalidInputError(f"timeout is {timeout}; it must be a positive number of seconds")
        self._timeout = timeout
        self._given = http_client
        self._clock = clock or Clock()
        secret = key.get_secret_value()
        if not secret.isascii() or any(character.isspace() for character in secret):
            raise ConfigError(f"the key for {provider} holds characters that no key has", hint="copy it again")
        self._hidden: deque[str] = deque(maxlen=_MOST_HIDDEN)
        self._secret = secret
        self.redactor: Redactor = Redactor([secret])
        self._reports = Reports(provider, self.origin, self.redactor, rows, self._clock)
        self._headers = [("accept", "application/json"), ("accept-encoding", "identity"), ("user-agent", "deskhand")]
        self._key = (key_header, f"Bearer {secret}" if key_header == "authorization" else secret)
        self._own_headers = [*headers]
        self.has_key: bool = bool(secret)
        self._trusted = {self.origin}
        self._limiter = anyio.CapacityLimiter(_MOST_AT_ONCE)
        self._streams = anyio.CapacityLimiter(_MOST_STREAMS)
        self._endings = Endings()
        self._held_until = 0.0
        self._stack: AsyncExitStack | None = None
        self._open: httpx2.AsyncClient | None = None
        self._library: ModuleType | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        if self._stack is not None:
            raise ConflictError("this client is open already", hint="make one client for each `async with`")
        self._library = library = await anyio.to_thread.run_sync(importlib.import_module, "httpx2")
        async with AsyncExitStack() as stack:
            stack.enter_context(redacted_logs())
            client = self._given
            if client is None:
                limits = library.Limits(max_connections=_MOST, max_keepalive_connections=self._most_idle)
                own = await anyio.to_thread.run_sync(
                    lambda: library.AsyncClient(limits=limits, timeout=None, verify=_certificates(library))
                )
                client = await stack.enter_async_context(own)
            self._open = client
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pool; a client of the caller's own is left open."""
        self._open, stack, self._stack = None, self._stack, None
        if stack is not None:
            await stack.__aexit__(exc_type, exc, traceback)

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<HttpClient {self._provider} {self.origin}{'' if self._open else ' closed'}>"

    async def call(
        self,
        operation: Operation,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        deadline: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
        is_urgent: bool = False,
    ) -> JsonObject:
        """Ask for something and return the answer's JSON object.

        Args:
            operation: What is asked for.
            path: Where, below the base URL, its parts quoted; or an absolute URL of the same origin.
            body: The JSON to send.
            deadline: Seconds, in place of the operation's own.
            headers: Further headers.
            is_urgent: Whether it need not wait until others are done.

        Raises:
            OutcomeUnknownError: If it must not arrive twice and nobody can tell whether it took effect.
            ConnectionLostError: If the other side could not be reached.
            DeadlineExceededError: If there was no answer in time.
            ProtocolError: If the answer is not what an API answers with.
            PayloadTooLargeError: If the answer is larger than the operation allows.
            DeskhandError: Whatever the other side's error stands for.
        """
        reply = await self.ask(operation, path, body, deadline=deadline, headers=headers, is_urgent=is_urgent)
        value = _decoded(reply)
        if not isinstance(value, dict):
            raise self._reports.no_json(operation, reply.status, reply.headers, reply.data)
        return value

    async def call_list(
        self, operation: Operation, path: str, *, deadline: float | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> tuple[list[JsonValue], Mapping[str, str]]:
        """Ask for something and return the answer's JSON array, and its headers; `call` says the rest."""
        reply = await self.ask(operation, path, deadline=deadline, headers=headers)
        value = _decoded(reply)
        if not isinstance(value, list):
            raise self._reports.no_json(operation, reply.status, reply.headers, reply.data)
        return value, reply.headers

    async def ask(
        self,
        operation: Operation,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        content: bytes | None = None,
        deadline: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
        is_urgent: bool = False,
    ) -> Reply:
        """Ask for something and return the answer whatever it holds: nothing, bytes, JSON; `call` says the rest.

        Args:
            operation: What is asked for.
            path: Where.
            body: The JSON to send.
            content: The bytes to send in its place; their type is one of the headers.
            deadline: Seconds, in place of the operation's own.
            headers: Further headers.
            is_urgent: Whether it need not wait until others are done.
        """
        sent = [*headers] if body is None else [*headers, ("content-type", "application/json")]
        content = content if body is None else to_json(body)
        return Reply(*await self._ask(operation, self.url(path), sent, content, deadline, is_urgent=is_urgent))

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation,
        path: str,
        content: bytes | None = None,
        *,
        silence: float,
        deadline: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
        is_urgent: bool = False,
    ) -> AsyncIterator[Stream]:
        """Ask for something and give the answer as it comes; it is asked once.

        Leaving the block closes the connection, unless the answer was read to its end.
        The operation's deadline is for the answer's head alone: it is for the caller to bound the whole.

        Args:
            operation: What is asked for.
            path: Where.
            content: The bytes to send; their type is one of the headers.
            silence: Seconds that the other side may say nothing for, once it has begun.
            deadline: Seconds until the answer begins, in place of the operation's own.
            headers: Further headers.
            is_urgent: Whether it need not wait until others are done.

        Raises:
            OutcomeUnknownError: If it must not arrive twice and nobody can tell whether it took effect.
            DeskhandError: Whatever else `call` raises.
        """
        seconds, url = self._seconds(operation, deadline), self.url(path)
        async with AsyncExitStack() as stack:
            with Deadline(operation, seconds, self._provider) as bound:
                if not is_urgent:
                    place = object()
                    await self._streams.acquire_on_behalf_of(place)
                    stack.callback(self._streams.release_on_behalf_of, place)
                    await self._hold_back(operation, seconds)
                bound.is_sent = True
                stream = Stream(operation, url, self._reports, self.redactor, silence=silence, endings=self._endings)
                stack.push_async_callback(stream.aclose)
                await stream.begin(lambda: self._begin(operation, url, [*headers], content), self._loaded())
                if not 200 <= stream.status < 300:
                    error = self._reports.failure(operation, stream.status, stream.headers, await self._rest(stream))
                    self._note_limit(error)
                    raise error
            yield stream

    async def _rest(self, stream: Stream) -> bytes:
        """Return as much of an error's body as is read."""
        data = bytearray()
        async for piece in stream:
            data += piece
            if len(data) > _ERROR_LIMIT:
                break
        return bytes(data[:_ERROR_LIMIT])

    async def fetch(self, operation: Operation, url: str) -> bytes:
        """Return what is at a URL: with the key where it is of the vendor's origin, without where it is not."""
        _, _, data = await self._ask(operation, self.url(url), [], None, None, is_urgent=False)
        return data

    async def probe(
        self, operation: Operation, path: str, body: Mapping[str, object] | None = None
    ) -> tuple[int, Mapping[str, str]]:
        """Return the status and the headers that a path answers with, whatever that is; ask once.

        Args:
            operation: What is asked for.
            path: Where.
            body: The JSON to send.
        """
        headers = [] if body is None else [("content-type", "application/json")]
        content = None if body is None else to_json(body)
        with Deadline(operation, operation.deadline, self._provider) as bound:
            async with self._limiter:
                bound.is_sent = True
                status, got, _ = await self._send(operation, self.url(path), headers, content)
        return status, got

    def failure(self, operation: Operation, status: int, headers: Mapping[str, str], data: bytes) -> DeskhandError:
        """Return the error that a failure stands for that came in another way than as an answer's status."""
        return self._reports.failure(operation, status, headers, data)

    def protocol(self, operation: Operation, headers: Mapping[str, str], what: str) -> ProtocolError:
        """Return the error that says that the other side answered with something else than its protocol has."""
        return self._reports.protocol(operation, headers, what)

    def check_protected(self, url: str, what: str) -> None:
        """Refuse an address that the key shall go to without TLS, where it goes to the API with TLS.

        Args:
            url: What the API names.
            what: What is there, as the error says it.

        Raises:
            ProtocolError: If it is one.
            ConfigError: If it is no address.
        """
        if origin_of(self.base_url).startswith("https:") and not origin_of(url).startswith("https:"):
            raise ProtocolError(
                f"{self._provider} names an address without TLS for {what}, where the key would be read by others",
                hint="see that base_url is the vendor's API",
                provider=self._provider,
                effect="no",
            )

    def hide(self, secret: SecretStr) -> None:
        """Keep what opens a single computer out of errors and logs as the key is; the newest 256 are known."""
        value = secret.get_secret_value()
        if value and value not in self._hidden:
            self._hidden.append(value)
            self.redactor = self._reports.redactor = Redactor([self._secret, *self._hidden])

    def trust(self, url: str) -> None:
        """Send the key to another origin of the vendor's too, because its API says that this takes it.

        Raises:
            ConfigError: If the address is none.
        """
        self._trusted.add(origin_of(url))

    def authorization(self, url: str) -> Mapping[str, str]:
        """Return the headers that open a URL of an origin that the key goes to, for what is no request of this client.

        Raises:
            ConfigError: If the key does not go there.
        """
        if origin_of(url) not in self._trusted:
            raise ConfigError(f"the key for {self._provider} is not for {origin_of(url)}", hint="see base_url")
        return dict([*self._own_headers, self._key])

    def url(self, path: str) -> str:
        """Return the absolute URL of a path below the base; an absolute one stays."""
        if path.startswith(("http://", "https://")):
            return path
        return self.base_url + path

    def below_origin(self, path: str) -> str:
        """Return the absolute URL of a path of the origin."""
        return urljoin(self.origin, path)

    async def _ask(
        self,
        operation: Operation,
        url: str,
        headers: list[tuple[str, str]],
        content: bytes | None,
        deadline: float | None,
        *,
        is_urgent: bool,
    ) -> tuple[int, Mapping[str, str], bytes]:
        seconds = self._seconds(operation, deadline)
        with Deadline(operation, seconds, self._provider) as bound:
            if is_urgent:
                bound.is_sent = True
                return await self._persist(operation, url, headers, content, seconds)
            async with self._limiter:
                await self._hold_back(operation, seconds)
                bound.is_sent = True
                return await self._persist(operation, url, headers, content, seconds)

    def _seconds(self, operation: Operation, deadline: float | None) -> float:
        """Return the seconds that an operation may take."""
        if deadline is not None:
            return deadline
        return operation.deadline if self._timeout is None else min(operation.deadline, self._timeout)

    async def _hold_back(self, operation: Operation, seconds: float) -> None:
        """Wait as long as the vendor asked any request to wait: its limit is the key's, not one computer's."""
        wait = self._held_until - self._clock.monotonic()
        if wait <= 0:
            return
        if wait >= seconds:
            raise RateLimitedError(
                f"{self._provider} has asked to slow down, for longer than it may take to {operation.name}",
                hint="do it later",
                provider=self._provider,
                retry_at=self._clock.wall() + wait,
            )
        await self._clock.sleep(wait * (1 + 0.1 * self._clock.random()))  # not all at once

    def _note_limit(self, error: DeskhandError) -> None:
        """Remember until when the vendor wants no requests; a time far off is the matter of that request alone."""
        if isinstance(error, RateLimitedError) and error.retry_at is not None:
            wait = error.retry_at - self._clock.wall()
            if wait <= _WAIT_CAP:
                self._held_until = max(self._held_until, self._clock.monotonic() + wait)

    async def _persist(
        self, operation: Operation, url: str, headers: list[tuple[str, str]], content: bytes | None, seconds: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send until there is an answer, or no more sense in sending."""
        ends = self._clock.monotonic() + seconds
        attempt = 1
        while True:
            try:
                status, got, data = await self._send(operation, url, headers, content)
                if 200 <= status < 300:
                    return status, got, data
                raise self._reports.failure(operation, status, got, data)
            except DeskhandError as error:
                self._note_limit(error)
                if not (operation.may_repeat and error.retryable) or attempt >= operation.attempts:
                    raise
                delay = self._delay(error, attempt)
                if self._clock.monotonic() + delay >= ends:
                    raise
            attempt += 1
            await self._clock.sleep(delay)

    def _delay(self, error: DeskhandError, attempt: int) -> float:
        if error.retry_at is None:
            return backoff(attempt, self._clock, base=_BACKOFF, ceiling=_BACKOFF_CEILING)
        wait = wait_asked_for(error.retry_at, self._clock, cap=_WAIT_CAP)
        if wait is None:
            raise RateLimitedError(
                f"{error.message} It asks to wait longer than {_WAIT_CAP:g} s.",
                hint="do it later",
                provider=error.provider,
                request_id=error.request_id,
                retry_at=error.retry_at,
                effect=error.effect,
            ) from error
        return wait

    async def _send(
        self, operation: Operation, url: str, headers: list[tuple[str, str]], content: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request and read its answer, within bounds."""
        library = self._loaded()
        with speaking_for(self.redactor):
            try:
                response = await self._begin(operation, url, headers, content)
                try:
                    return response.status_code, response.headers, await self._read(operation, response)
                finally:
                    if not response.is_closed:
                        with anyio.move_on_after(_CLOSE, shield=True):
                            await response.aclose()
            except (library.HTTPError, library.InvalidURL, OSError) as error:
                raise self._reports.broken(operation, url, error, library) from error

    def _loaded(self) -> ModuleType:
        if self._open is None or self._library is None:
            raise ConflictError(f"the provider {self._provider} is not open", hint="async with it first", effect="no")
        return self._library

    async def _begin(
        self, operation: Operation, url: str, headers: list[tuple[str, str]], content: bytes | None
    ) -> httpx2.Response:
        """Send one request, and return its answer once that has begun."""
        library, client = self._loaded(), self._open
        assert client is not None  # noqa: S101 (it is open, or it would not be loaded)
        named = {name for name, _ in headers}
        every = [*(usual for usual in self._headers if usual[0] not in named), *headers]
        if origin_of(url) in self._trusted:
            every += [*self._own_headers, *([self._key] if self.has_key else [])]
        request = library.Request(
            operation.method, url, headers=every, content=content, extensions={"timeout": dict(_WAITS)}
        )
        return await client.send(request, stream=True, auth=None, follow_redirects=False)

    async def _read(self, operation: Operation, response: httpx2.Response) -> bytes:
        limit = operation.limit if response.status_code < 300 else _ERROR_LIMIT
        encoding = response.headers.get("content-encoding", "identity")
        announced = response.headers.get("content-length", "")
        if encoding != "identity":
            raise self._reports.protocol(
                operation, response.headers, f"an answer packed as {encoding[:SHOWN]}, unasked"
            )
        if announced.isdecimal() and len(announced) < 20 and int(announced) > limit:
            raise self._reports.too_large(operation, response.headers, limit)
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > limit:
                raise self._reports.too_large(operation, response.headers, limit)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@cache
def _certificates(library: ModuleType) -> ssl.SSLContext:
    """Return whom to trust: reading all certificates takes 20 ms, and a provider may have hundreds of clients."""
    context: ssl.SSLContext = library.create_ssl_context()
    return context


def _decoded(reply: Reply) -> JsonValue:
    """Return the JSON of an answer; ``None`` where it is none."""
    try:
        value: JsonValue = from_json(reply.data, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return None
    return value
