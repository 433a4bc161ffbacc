"""What went wrong with a request, as errors that say what to do and hold no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import ModuleType, TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from deskhand.errors import (
    ConfigError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    Effect,
    InvalidInputError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    ProtocolError,
)
from deskhand.providers.http.failures import SHOWN, Answer, FailureRow, failure_of
from deskhand.providers.http.logs import redacted_url
from deskhand.providers.http.operation import Operation
from deskhand.redaction import MASK, Redactor
from deskhand.retry import Clock, retry_after

__all__ = ["Deadline", "Reports", "origin_of"]

_NAMED: Final = re.compile(r"(//|^)\S*@")
"""A name and a password before a host."""
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_WORDS: Final = {"true": True, "false": False}
_USUAL_PORTS: Final = {"http": 80, "https": 443}


class Reports:
    """Makes the errors of one client.

    Args:
        provider: Who is spoken to.
        origin: Where it is.
        redactor: Knows the key.
        rows: What the vendor's errors mean.
        clock: Time.

    Attributes:
        redactor: Knows the key, and what else is to be hidden.
    """

    def __init__(
        self, provider: str, origin: str, redactor: Redactor, rows: Sequence[FailureRow], clock: Clock
    ) -> None:
        self._provider = provider
        self._origin = origin
        self.redactor: Redactor = redactor
        self._rows = tuple(rows)
        self._clock = clock

    def failure(self, operation: Operation, status: int, headers: Mapping[str, str], data: bytes) -> DeskhandError:
        """Return the error that an answer with an error status stands for."""
        try:
            value = from_json(data, allow_inf_nan=False)
        except ValueError:
            value = None
        fields = value if isinstance(value, dict) else {}
        said, code = _said(fields)
        if said is None and 300 <= status < 400:
            said = f"it redirects to {headers.get('location', 'nowhere')}"
        wait = self._wait(headers, fields) if status in {408, 409, 425, 429, 503, 529} else None
        answer = Answer(
            status,
            self._shown(said if isinstance(said, str) else ""),
            code if isinstance(code, str) else "",
            fields,
            self._request_id(headers, fields),
            None if wait is None else self._clock.wall() + wait,
            _retryable(headers, fields),
        )
        return failure_of(answer, operation, self._provider, self._rows)

    def broken(self, operation: Operation, url: str, error: Exception, library: ModuleType) -> DeskhandError:
        """Map what ends a request without an answer."""
        host = redacted_url(origin_of(url))
        why = f"{type(error).__name__}: {self._shown(str(error))}".rstrip(": ")
        unsent = (library.ConnectError, library.ConnectTimeout, library.PoolTimeout, library.ProxyError)
        if isinstance(error, (library.InvalidURL, library.UnsupportedProtocol)):
            return ConfigError(f"{host} is no address: {why}", hint="see base_url", provider=self._provider)
        if isinstance(error, library.LocalProtocolError):
            return InvalidInputError(f"the request cannot be sent: {why}", provider=self._provider)
        if isinstance(error, unsent):
            return ConnectionLostError(
                f"{host} cannot be reached to {operation.name}: {why}",
                hint="check the network and the address",
                effect="no",
                provider=self._provider,
            )
        if operation.repetition == "once":
            return OutcomeUnknownError(
                f"the connection to {host} broke before it said whether it did what it was asked, to {operation.name}: "
                f"{why}",
                provider=self._provider,
            )
        return ConnectionLostError(
            f"the connection to {host} broke when it was asked to {operation.name}: {why}",
            effect=_effect(operation),
            provider=self._provider,
        )

    def silent(self, operation: Operation, seconds: float) -> DeskhandError:
        """Say that an answer stopped before its end."""
        what = f"{self._provider} said nothing more for {seconds:g} s when asked to {operation.name}"
        if operation.repetition == "once":
            return OutcomeUnknownError(what, provider=self._provider)
        return DeadlineExceededError(what, effect=_effect(operation), retryable=True, provider=self._provider)

    def no_json(self, operation: Operation, status: int, headers: Mapping[str, str], data: bytes) -> ProtocolError:
        """Say that an answer of success is none of an API."""
        kind = headers.get("content-type", "no type").split(";")[0][:SHOWN]
        what = (
            "a web page" if data.lstrip()[:1] == b"<" else "nothing" if not data.strip() else "what is no JSON object"
        )
        return self.protocol(operation, headers, f"status {status} with {what} ({kind}, {len(data)} bytes)")

    def protocol(self, operation: Operation, headers: Mapping[str, str], what: str) -> ProtocolError:
        """Say that the other side broke its protocol."""
        return ProtocolError(
            f"{self._provider} answered with {what} when asked to {operation.name}",
            hint=f"see that {self._origin} is the vendor's API, and that no proxy or login page stands before it",
            effect=_effect(operation),
            provider=self._provider,
            request_id=self._request_id(headers, {}),
        )

    def too_large(self, operation: Operation, headers: Mapping[str, str], limit: int) -> PayloadTooLargeError:
        """Say that an answer passed its limit."""
        return PayloadTooLargeError(
            f"{self._provider} answered with more than {limit} bytes when asked to {operation.name}",
            hint="ask for less at once",
            effect=_effect(operation),  # whoever answered at such length need not be the vendor
            provider=self._provider,
            request_id=self._request_id(headers, {}),
        )

    def _wait(self, headers: Mapping[str, str], fields: Mapping[str, JsonValue]) -> float | None:
        """Return the seconds that the other side asks to wait, in a header or in the error itself."""
        return retry_after(headers, self._clock.wall(), _scope(fields))

    def _request_id(self, headers: Mapping[str, str], fields: Mapping[str, JsonValue]) -> str | None:
        named = (
            _scope(fields).get("request_id")
            or fields.get("request_id")
            or headers.get("x-request-id")
            or headers.get("request-id")
        )
        return named[:SHOWN] if isinstance(named, str) else None

    def _shown(self, text: str) -> str:
        return redacted_url(self.redactor.text(text.strip()))[:SHOWN]


class Deadline:
    """Bounds a block in time, and says what that means for what was asked for."""

    def __init__(self, operation: Operation, seconds: float, provider: str) -> None:
        self._operation = operation
        self._seconds = seconds
        self._provider = provider
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self.is_sent = False

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        swallowed = self._scope.__exit__(exc_type, exc, traceback)
        if not self._scope.cancelled_caught:
            return swallowed
        operation = self._operation
        late = f"{self._provider} did not answer within {self._seconds:g} s when asked to {operation.name}"
        if self.is_sent and operation.repetition == "once":
            raise OutcomeUnknownError(late, provider=self._provider)
        effect = _effect(operation) if self.is_sent else "no"
        raise DeadlineExceededError(late, effect=effect, retryable=True, provider=self._provider)


def _scope(fields: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the object that tells of an error: the one under ``error``, or the whole answer."""
    nested = fields.get("error")
    return nested if isinstance(nested, dict) else fields


def _retryable(headers: Mapping[str, str], fields: Mapping[str, JsonValue]) -> bool | None:
    """Return whether the same request may succeed later, where the error or a header says so."""
    told = _scope(fields).get("retryable")
    return told if isinstance(told, bool) else _WORDS.get(headers.get("should-retry", "").strip().lower())


def _said(fields: Mapping[str, JsonValue]) -> tuple[JsonValue, JsonValue]:
    """Return the text and the code of an error, which stand apart, within each other, or the text beside a code."""
    said, code, detail, several = (fields.get(name) for name in ("error", "code", "detail", "errors"))
    if isinstance(said, dict):
        return said.get("message"), said.get("code") or said.get("type")
    if isinstance(said, str) and isinstance(detail, str) and _CODE.fullmatch(said):
        return detail, said
    if said is None:
        said = fields.get("message")
    if not isinstance(code, str):  # a number, beside which there may be a word
        code = fields.get("error_code")
    first = several[0] if isinstance(several, list) and several else several
    return next((one for one in (said, detail, fields.get("reason"), first) if one is not None), None), code


def _effect(operation: Operation) -> Effect:
    return "no" if operation.repetition == "read" else "unknown"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL.

    Raises:
        ConfigError: If it is no URL of the web.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{_shown_address(url)!r} is no address", hint="such as https://host/api") from error
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.password:
        hint = "such as https://host/api, without a name in it"
        raise ConfigError(f"{_shown_address(url)!r} is no address", hint=hint)
    host = f"[{host}]" if ":" in host else host
    is_usual = port is None or port == _USUAL_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if is_usual else f":{port}")


def _shown_address(url: str) -> str:
    """Return what may be shown of what is no address."""
    return redacted_url(_NAMED.sub(rf"\g<1>{MASK}@", url))
