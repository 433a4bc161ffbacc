"""What a vendor's answer holds, read without trusting it: a text, a number, a time, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias

from pydantic import JsonValue

__all__ = ["JsonObject", "moment", "number", "text"]

JsonObject: TypeAlias = dict[str, JsonValue]


def text(value: JsonValue) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: JsonValue, *, most: float = 1e15) -> float | None:
    """Return a number from 0 to ``most``: no machine has more, whatever somebody says."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        return None
    return float(value)


def moment(value: JsonValue) -> datetime | None:
    """Return a time, which is UTC where it does not say."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return read if read is None or read.tzinfo is not None else read.replace(tzinfo=UTC)
