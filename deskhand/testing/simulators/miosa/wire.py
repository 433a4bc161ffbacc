"""What is MIOSA's own in the shape of what comes and what goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from deskhand.testing.simulators.wire import ApiError, Call, Json

from .account import Caller
from .dialect import MiosaDialect

__all__ = ["MiosaCall", "error_body"]

MiosaCall: TypeAlias = Call[Caller]

CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "INSUFFICIENT_CREDITS",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "TOO_LARGE",
    422: "VALIDATION_FAILED",
    429: "RATE_LIMITED",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
}
"""What an error is called that has no code of its own."""


def error_body(error: ApiError, request_id: str, dialect: MiosaDialect) -> Json:
    """Returns the body of an error."""
    extra = dict(error.extra)
    code = extra.pop("code", CODES.get(error.status, "INTERNAL_ERROR"))
    if dialect.errors == "flat":
        return {"error": code, "detail": error.message, **extra}
    return {"error": {"code": code, "message": error.message, "request_id": request_id, **extra}}
