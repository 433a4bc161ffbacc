"""What can go wrong on the way to Anthropic's API and back, mapped once to errors that say what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

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

__all__ = ["KEY_HINT", "SHOWN", "VENDOR", "broken", "idle", "map_error", "stream_error"]

VENDOR: Final = "anthropic"
KEY_HINT: Final = "export ANTHROPIC_API_KEY=sk-ant-..."
MODEL_HINT: Final = "name a model that this key may use, such as claude-sonnet-5-5"
SHOWN: Final = 500
"""Characters of a foreign message that are repeated."""


def idle(seconds: float) -> DeadlineExceededError:
    """Say that nothing came."""
    return DeadlineExceededError(
        f"the model sent nothing for {seconds:g} s", provider=VENDOR, effect="no", retryable=True
    )


def broken(error: Exception, *, begun: bool, wall: Callable[[], float]) -> DeskhandError:
    """Map what ends a stream early.

    Args:
        error: What was raised.
        begun: Whether an answer had begun: then it is a cut one.
        wall: The wall clock.
    """
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


def stream_error(value: Json) -> DeskhandError:
    """Map an error that came as an event of a stream."""
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
