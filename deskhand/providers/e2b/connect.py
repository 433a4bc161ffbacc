"""The protocol of the daemon inside of a sandbox: Connect with JSON, single calls and streams in envelopes."""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import quote, urlencode

from pydantic import JsonValue, SecretStr
from pydantic_core import from_json, to_json

from deskhand.errors import DeskhandError, ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.http import HttpClient, Operation, Stream
from deskhand.providers.http.forms import file_form

__all__ = ["PORT", "Connect", "Messages"]

PORT: Final = 49_983
"""Where the daemon listens in a sandbox."""

_TYPE: Final = "application/connect+json"
_HEAD: Final = struct.Struct(">BI")
_PACKED, _END = 1, 2
_LARGEST: Final = 4 << 20
"""Bytes of one message at most."""
_KEEPALIVE: Final = 50
"""Seconds after which the daemon is to say that it is still there."""
_SILENCE: Final = 150.0
"""Seconds of silence after which it is not."""

_STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "canceled": 504,
        "invalid_argument": 400,
        "deadline_exceeded": 504,
        "not_found": 404,
        "already_exists": 409,
        "permission_denied": 403,
        "resource_exhausted": 429,
        "failed_precondition": 409,
        "aborted": 409,
        "out_of_range": 400,
        "unimplemented": 501,
        "unavailable": 503,
        "unauthenticated": 401,
    }
)
"""The HTTP status for each code that may end a stream, whose own status is always 200."""

_WITH_A_USER: Final = (0, 4, 0)
"""The first version of the daemon that has a user where nobody names one."""
_BARE_BYTES: Final = (0, 5, 7)
"""The first version that takes a file as it is, and not as a form alone."""
_USER: Final = "user"
_VERSION: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


class Connect:
    """Speaks to one daemon.

    Args:
        http: The client, which sends no key of its own.
        base: Where it is.
        sandbox_id: The sandbox that it is in, by which a shared address tells it from others.
        token: What opens it.
        version: Its version, which a template keeps from when it was built; the newest where it is not told.
    """

    def __init__(
        self, http: HttpClient, base: str, sandbox_id: str, token: SecretStr, version: JsonValue = None
    ) -> None:
        self._http = http
        self._base = base
        self._headers = [("e2b-sandbox-id", sandbox_id), ("e2b-sandbox-port", str(PORT))]
        self._query: dict[str, str] = {}
        self._token = token
        told = _numbers(version)
        self._takes_bytes = told >= _BARE_BYTES
        if told < _WITH_A_USER:
            self._headers.append(("authorization", f"Basic {b64encode(f'{_USER}:'.encode()).decode()}"))
            self._query["username"] = _USER

    def _sent(self, *more: tuple[str, str]) -> list[tuple[str, str]]:
        secret = self._token.get_secret_value()
        return [*self._headers, *([("x-access-token", secret)] if secret else []), *more]

    async def call(
        self, operation: Operation, method: str, message: Mapping[str, object], *, is_urgent: bool = False
    ) -> JsonObject:
        """Call a method that answers once.

        Raises:
            DeskhandError: Whatever `HttpClient.call` raises.
        """
        headers = self._sent(("connect-protocol-version", "1"))
        return await self._http.call(operation, f"{self._base}/{method}", message, headers=headers, is_urgent=is_urgent)

    async def get(self, operation: Operation, route: str, **query: str) -> bytes:
        """Return what is at a route of the daemon."""
        reply = await self._http.ask(operation, self._url(route, query), headers=self._sent())
        return reply.data

    async def put(self, operation: Operation, route: str, content: bytes, **query: str) -> bytes:
        """Send bytes to a route of the daemon, and return its answer."""
        kind = ("content-type", "application/octet-stream")
        if not self._takes_bytes:
            content, kind = file_form(None, content)
        reply = await self._http.ask(operation, self._url(route, query), content=content, headers=self._sent(kind))
        return reply.data

    def _url(self, route: str, query: Mapping[str, str]) -> str:
        every = {**query, **self._query} if query else {}
        return f"{self._base}{route}" + (f"?{urlencode(every, quote_via=quote)}" if every else "")

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation,
        method: str,
        message: Mapping[str, object],
        *,
        deadline: float | None = None,
        lasts: float | None = None,
        is_urgent: bool = False,
    ) -> AsyncIterator[Messages]:
        """Call a method that answers with many messages; leaving the block closes the connection.

        Args:
            operation: What is asked for.
            method: The method.
            message: The one message that is sent.
            deadline: Seconds until the answer begins, in place of the operation's own.
            lasts: Seconds after which the daemon is to end it, should nobody here do so any more.
            is_urgent: Whether it need not wait until others are done.

        Raises:
            DeskhandError: Whatever `HttpClient.stream` raises.
        """
        data = to_json(message)
        headers = self._sent(
            ("content-type", _TYPE), ("connect-protocol-version", "1"), ("keepalive-ping-interval", str(_KEEPALIVE))
        )
        if lasts is not None:
            headers.append(("connect-timeout-ms", str(int(lasts * 1000))))
        async with self._http.stream(
            operation,
            f"{self._base}/{method}",
            _HEAD.pack(0, len(data)) + data,
            silence=_SILENCE,
            deadline=deadline,
            headers=headers,
            is_urgent=is_urgent,
        ) as stream:
            kind = stream.headers.get("content-type", "no type").partition(";")[0]
            if kind != _TYPE:
                raise self._http.protocol(operation, stream.headers, f"{kind[:100]} in place of a stream")
            yield Messages(self._http, operation, stream)


def _numbers(version: JsonValue) -> tuple[int, ...]:
    """Return a version to compare; the newest that makes a difference where it is none."""
    found = _VERSION.match(version) if isinstance(version, str) else None
    return tuple(int(part) for part in found.groups()) if found else _BARE_BYTES


class Messages:
    """The messages of an answer, an async iterator, to the end of the stream."""

    def __init__(self, http: HttpClient, operation: Operation, stream: Stream) -> None:
        self._http = http
        self._operation = operation
        self._stream = stream
        self._held = bytearray()
        self._has_ended = False

    def __aiter__(self) -> Self:
        """Iterate over them."""
        return self

    async def __anext__(self) -> JsonObject:
        """Return the next message.

        Raises:
            ProtocolError: If what comes is no stream of messages.
            DeskhandError: What the end of the stream says, or how it broke.
        """
        while not self._has_ended:
            if (found := self._cut(self._held)) is None:
                piece = await anext(self._stream, None)
                if piece is None:
                    break
                self._held += piece
                continue
            flags, message = found
            if not flags & _END:
                return message
            self._has_ended = True
            if message.get("error"):
                raise self._failure(message["error"])
        if self._held and not self._has_ended:
            raise self._broken("half a message")
        raise StopAsyncIteration

    async def finish(self) -> None:
        """Do as `Stream.finish`, when a message has told that nothing comes any more but the end of the stream."""
        await self._stream.finish()

    def _cut(self, held: bytearray) -> tuple[int, JsonObject] | None:
        """Take the first message off what has come, if it is whole."""
        if len(held) < _HEAD.size:
            return None
        flags, size = _HEAD.unpack_from(held)
        if flags & ~(_PACKED | _END) or flags & _PACKED or size > _LARGEST:
            raise self._broken(f"what is no message (flags {flags}, {size} bytes)")
        if len(held) < _HEAD.size + size:
            return None
        data = bytes(held[_HEAD.size : _HEAD.size + size])
        del held[: _HEAD.size + size]
        try:
            message = from_json(data, allow_inf_nan=False, cache_strings="keys") if data else {}
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise self._broken("a message that is no JSON object")
        return flags, message

    def _failure(self, error: JsonValue) -> DeskhandError:
        code = error.get("code") if isinstance(error, dict) else None
        status = _STATUSES.get(code, 500) if isinstance(code, str) else 500
        return self._http.failure(self._operation, status, self._stream.headers, to_json(error))

    def _broken(self, what: str) -> ProtocolError:
        return self._http.protocol(self._operation, self._stream.headers, what)
