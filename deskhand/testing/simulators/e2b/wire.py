"""The shape of what comes and goes: errors of the API and of the daemon, and the daemon's envelopes."""

from __future__ import annotations

import json
import struct
from typing import TypeAlias

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    PayloadTooLargeError,
    PermissionDeniedError,
)
from deskhand.testing.simulators.wire import ApiError, Call, Json

__all__ = ["API_CALL", "CODES", "STATUSES", "daemon_error", "end_of", "envelope", "opened", "refused"]

API_CALL: TypeAlias = Call[None]

CODES = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    409: "already_exists",
    429: "resource_exhausted",
    501: "unimplemented",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
}
"""The daemon's words for statuses; what is not named is ``internal``."""

STATUSES = {code: status for status, code in CODES.items()}

_FAILED = (
    (FileMissingError, 404),
    (InvalidInputError, 400),
    (PermissionDeniedError, 403),
    (PayloadTooLargeError, 507),
)


def refused(error: DeskhandError) -> ApiError:
    """Returns what the daemon says of an error of the machine behind it."""
    status = next((status for kind, status in _FAILED if isinstance(error, kind)), 500)
    return ApiError(status, error.message)


def daemon_error(error: ApiError) -> Json:
    """Returns an error as the daemon's calls write it."""
    return {"code": CODES.get(error.status, "internal"), "message": error.message, **error.extra}


def envelope(message: Json, flags: int = 0) -> bytes:
    """Packs one message of a stream."""
    data = json.dumps(message).encode()
    return struct.pack(">BI", flags, len(data)) + data


def end_of(error: ApiError | None = None) -> bytes:
    """Packs the end of a stream."""
    return envelope({} if error is None else {"error": daemon_error(error)}, 2)


def opened(content: bytes) -> Json:
    """Returns the one message that a stream's request holds.

    Raises:
        ApiError: If it holds none.
    """
    try:
        flags, size = struct.unpack(">BI", content[:5])
        message = json.loads(content[5:]) if flags == 0 and size == len(content) - 5 else None
    except (struct.error, ValueError) as error:
        raise ApiError(400, "protocol error: incomplete envelope") from error
    if not isinstance(message, dict):
        raise ApiError(400, "protocol error: no message")
    return message
