"""What is Daytona's own in the shape of what comes and what goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from deskhand.testing.simulators.wire import ApiError, Call, Field, Json, read_fields

__all__ = ["DaemonError", "DaytonaCall", "envelope", "read", "stamp", "whole"]

DaytonaCall: TypeAlias = Call[str]


class DaemonError(ApiError):
    """An error of the daemon in a sandbox."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(status, message, source="DAYTONA_DAEMON")
        if code:
            self.extra["code"] = code


def envelope(error: ApiError) -> Json:
    """Returns an error as both planes write it."""
    return {
        "statusCode": error.status,
        "message": error.message,
        "source": "DAYTONA_API",
        "timestamp": stamp(time.time()),
        **error.extra,
    }


def stamp(seconds: float) -> str:
    """Returns a time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(body: Json, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Returns the fields of a body; a field that is null counts as left out.

    Raises:
        ApiError: If one is missing, unknown or wrong.
    """
    return read_fields({name: value for name, value in body.items() if value is not None}, fields)


def whole(text: str | None, name: str, default: int | None = None) -> int:
    """Returns a whole number of a path or a query.

    Raises:
        ApiError: If it is none.
    """
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise ApiError(400, f"{name} must be an integer") from None
