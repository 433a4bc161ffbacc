"""Requests and answers as the fake's core sees them, free of any transport, and the vendor's error bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

__all__ = [
    "ApiError",
    "ConnectionCutError",
    "WireAnswer",
    "WireRequest",
    "as_dict",
    "as_list",
    "as_text",
    "invalid",
    "json_answer",
]

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The ``error.type`` of each status; every other status is an ``api_error``."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request, body complete. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """One HTTP answer. ``body`` is whole for plain answers and a generator of chunks for streamed ones."""

    status: int
    headers: Mapping[str, str]
    body: bytes | AsyncGenerator[bytes, None] = b""


class ConnectionCutError(Exception):
    """The connection ends here, on purpose: a transport turns it into what a client sees of a lost connection."""


class ApiError(Exception):
    """A request that the API refuses, with everything that the vendor's error body tells.

    Args:
        status: The HTTP status.
        message: The text in ``error.message``.
        details: What stands in ``error.details``, where the vendor gives details.
        headers: Headers besides the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.details: dict[str, JsonValue] | None = dict(details) if details is not None else None
        self.headers: dict[str, str] = dict(headers or {})

    def answer(self, request_id: str) -> WireAnswer:
        """Returns the answer that tells of this error."""
        error: dict[str, JsonValue] = {"type": ERROR_TYPES.get(self.status, "api_error"), "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return json_answer(
            self.status, {"type": "error", "error": error, "request_id": request_id}, request_id, self.headers
        )


def invalid(path: str, message: str, *, details: Mapping[str, JsonValue] | None = None) -> ApiError:
    """Returns the 400 that names the place in the request and what is wrong there."""
    return ApiError(400, f"{path}: {message}" if path else message, details=details)


def json_answer(
    status: int,
    body: JsonValue,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    *,
    id_header: str = "request-id",
) -> WireAnswer:
    """Returns an answer with a JSON body and the vendor's usual headers; ``id_header`` names the request."""
    usual = {"content-type": "application/json", id_header: request_id}
    return WireAnswer(status, {**usual, **(headers or {})}, json.dumps(body, ensure_ascii=False).encode())


def as_dict(value: JsonValue) -> dict[str, JsonValue]:
    """Returns ``value`` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """Returns ``value`` where it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: JsonValue) -> str:
    """Returns ``value`` where it is a string, else an empty one."""
    return value if isinstance(value, str) else ""
