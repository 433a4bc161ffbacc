"""What can go wrong on the way to a model vendor and back, mapped once to errors that say what to do."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias, cast

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
from deskhand.retry import retry_after

if TYPE_CHECKING:
    from anthropic import APIStatusError

__all__ = ["Vendor"]

SHOWN: Final = 500
"""Characters of a foreign message that are repeated."""

_Make: TypeAlias = Callable[..., DeskhandError]
_Row: TypeAlias = tuple[_Make, bool | None, str | None]

_BY_STATUS: Final[Mapping[int, _Row]] = {
    400: (InvalidInputError, None, "see what the answer finds wrong; another version of deskhand may know better"),
    401: (AuthError, None, None),
    402: (ProviderError, False, "see the plan and the billing of this key"),
    403: (PermissionDeniedError, None, "see what this key may do"),
    404: (NotFoundError, None, None),
    408: (DeadlineExceededError, True, None),
    409: (ConflictError, True, None),
    413: (PayloadTooLargeError, None, None),
    422: (InvalidInputError, None, None),
    429: (RateLimitedError, None, None),
    503: (OverloadedError, None, None),
    504: (DeadlineExceededError, True, None),
    529: (OverloadedError, None, None),
}
"""Per status: the error, whether it may be repeated where the class does not say, and what to do."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor of models, as its failures are told.

    Both vendors' clients come out of one generator, and name their errors alike.

    Attributes:
        name: What errors call it.
        label: What people call its API.
        package: The import package of its client.
        hints: What to do, per status.
        statuses: Rows that count before those of all vendors, per status.
        types: The status that an error inside a stream stands for, by its type or code in small letters.
        special: Errors that a status alone does not tell, by the vendor's type or code in small letters.
        base_url: The environment variable that moves the API elsewhere.
        request_id: The header that bears a request's id.
    """

    name: str
    label: str
    package: str
    hints: Mapping[int, str]
    types: Mapping[str, int]
    special: Mapping[str, _Row] = field(default_factory=lambda: MappingProxyType({}))
    statuses: Mapping[int, _Row] = field(default_factory=lambda: MappingProxyType({}))
    base_url: str = ""
    request_id: str = "request-id"

    def idle(self, seconds: float) -> DeadlineExceededError:
        """Say that nothing came."""
        return DeadlineExceededError(
            f"the model sent nothing for {seconds:g} s", provider=self.name, effect="no", retryable=True
        )

    def broken(self, error: Exception, *, begun: bool, wall: Callable[[], float]) -> DeskhandError:
        """Map what ends a stream early.

        Args:
            error: What was raised.
            begun: Whether an answer had begun: then it is a cut one.
            wall: The wall clock.
        """
        if isinstance(error, ValueError | UnicodeError | AssertionError | IndexError | KeyError):
            return ProtocolError(
                f"the model's stream holds what is no event: {type(error).__name__}",
                provider=self.name,
                effect="no",
                retryable=True,
            )
        mapped = self.map_error(error, wall)
        if begun and isinstance(mapped, ConnectionLostError):
            return TruncatedStreamError(f"the model's answer was cut off: {mapped.message}", provider=self.name)
        return mapped

    def stream_error(self, value: Json) -> DeskhandError:
        """Map an error that came as an event of a stream."""
        error = value.get("error")
        fields = error if isinstance(error, dict) else value
        words = [word for key in ("code", "type") if isinstance(word := fields.get(key), str) and word != "error"]
        text = str(fields.get("message") or "")[:SHOWN]
        request_id = value.get("request_id")
        return self._error(
            next((self.types[word.lower()] for word in words if word.lower() in self.types), 500),
            words,
            f"the model's answer broke off: {words[0] if words else 'error'}: {text}",
            request_id=request_id if isinstance(request_id, str) else None,
        )

    def map_error(self, error: Exception, wall: Callable[[], float] = time.time) -> DeskhandError:
        """Map whatever the vendor's client raises to one of our errors.

        Args:
            error: What was raised.
            wall: The wall clock, for waits that the other side asks for.
        """
        sdk = importlib.import_module(self.package)
        match error:
            case DeskhandError():
                return error
            case sdk.APIStatusError():
                return self._status_error(cast("APIStatusError", error), wall)
            case _ if (unsendable := self._unsendable(error)) is not None:
                return unsendable
            case _ if isinstance(error, sdk.APITimeoutError) or _is_of_http(error, "TimeoutException"):
                return DeadlineExceededError(
                    f"{self.label} did not answer in time", provider=self.name, effect="no", retryable=True
                )
            case _ if isinstance(error, sdk.APIConnectionError) or _is_of_http(error, "TransportError"):
                cause = error.__cause__ or error
                return ConnectionLostError(
                    f"{self.label} cannot be reached: {type(cause).__name__}: {str(cause)[:SHOWN]}",
                    provider=self.name,
                    effect="no",
                )
            case TypeError() if "authentication" in str(error):
                return ConfigError(f"the client has no key for {self.label}", hint=self.hints.get(401))
            case _ if isinstance(error, sdk.APIError.__base__):
                return ProviderError(f"{type(error).__name__}: {str(error)[:SHOWN]}", provider=self.name, effect="no")
            case _:
                return ProtocolError(
                    f"the vendor's client failed: {type(error).__name__}: {str(error)[:SHOWN]}", provider=self.name
                )

    def _unsendable(self, error: Exception) -> ConfigError | None:
        """Return what is wrong with an address or a key of which no request can be made; no repetition mends that."""
        cause = error.__cause__ or error
        if _is_of_http(cause, "UnsupportedProtocol") or _is_of_http(cause, "InvalidURL"):
            why = f"{type(cause).__name__}: {str(cause)[:SHOWN]}"
            return ConfigError(f"the address of {self.label} is none: {why}", hint=f"is {self.base_url} right?")
        is_header = _is_of_http(cause, "LocalProtocolError") and "header value" in str(cause)
        if is_header or (isinstance(cause, UnicodeEncodeError) and cause.encoding == "ascii"):
            return ConfigError(f"the key for {self.label} holds characters that no key has", hint="copy it again")
        return None

    def _status_error(self, error: APIStatusError, wall: Callable[[], float]) -> DeskhandError:
        headers, fields = error.response.headers, _fields(error)
        more: dict[str, object] = {"request_id": error.request_id or _text(fields.get("request_id"))}
        wait = retry_after(headers, wall(), fields)
        if wait is not None:
            more["retry_at"] = wall() + wait
        advice = headers.get("x-should-retry")
        if advice in {"true", "false"}:
            more["retryable"] = advice == "true"
        said = str(fields.get("message") or error.message)[:SHOWN]
        words = [word for key in ("code", "type") if isinstance(word := fields.get(key), str)]
        return self._error(error.status_code, words, f"{self.label} answered {error.status_code}: {said}", **more)

    def _error(self, status: int, words: Sequence[str], message: str, **more: object) -> DeskhandError:
        row = self.statuses.get(status) or _BY_STATUS.get(status, (ProviderError, status >= 500, None))
        if 300 <= status < 400:
            moved = f"is {self.base_url} right? It redirects, and a conversation goes to no other address by itself"
            row = (ConfigError, None, moved)
        known = (word.lower() for word in words)
        make, retryable, hint = next((self.special[word] for word in known if word in self.special), row)
        if retryable is not None:
            more.setdefault("retryable", retryable)
        hint = hint or self.hints.get(status)
        return make(message, **{"provider": self.name, "effect": "no", "hint": hint, **more})


def _is_of_http(error: BaseException, name: str) -> bool:
    """Whether an error is of that kind of the HTTP library's; a client may use the library's older package as well."""
    return any(
        cls.__name__ == name and cls.__module__.partition(".")[0] in {"httpx", "httpx2"} for cls in type(error).__mro__
    )


def _fields(error: APIStatusError) -> Mapping[str, object]:
    """Return what an error's body says: its ``error`` object, or itself where there is none or it is a code alone."""
    body: object = error.body
    if isinstance(body, str):  # (the client took the code out; what is said stands beside it)
        try:
            body = json.loads(error.response.content)
        except ValueError:
            return {}
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    if isinstance(inner, Mapping):
        return inner
    return {"code": inner, "message": body.get("detail"), **body} if isinstance(inner, str) else body


def _text(value: object) -> str | None:
    return value[:SHOWN] if isinstance(value, str) else None
