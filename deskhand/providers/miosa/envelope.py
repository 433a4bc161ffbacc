"""How MIOSA's answers are read: bare or in an envelope, and what they say in one way or another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ProtocolError
from deskhand.providers.answers import JsonObject

__all__ = ["listed", "machine_in", "unwrapped", "without_secrets"]

_SECRET: Final = re.compile(r"(?i)password|token|secret|host_key|api_key|credential|^env$")


def unwrapped(answer: Mapping[str, JsonValue], *within: str) -> JsonObject:
    """Return the object that an answer is about: itself, or what is in ``data`` or under one of the names.

    Args:
        answer: The answer.
        within: Further names that it may be under, such as ``computer``, in ``data`` too.
    """
    found: Mapping[str, JsonValue] = answer
    for name in ("data", *within):
        inner = found.get(name)
        if isinstance(inner, dict) and "id" not in found:
            found = inner
    return dict(found)


def machine_in(answer: Mapping[str, JsonValue]) -> JsonObject:
    """Return the computer or the sandbox that an answer is about."""
    return unwrapped(answer, "computer", "sandbox")


def listed(answer: JsonValue, *within: str, provider: str) -> list[JsonObject]:
    """Return the objects that an answer lists: under one of the names or ``data``, or as it is.

    Raises:
        ProtocolError: If it lists none.
    """
    if isinstance(answer, dict):
        answer = next((answer[name] for name in (*within, "data") if isinstance(answer.get(name), list)), None)
    if not isinstance(answer, list):
        raise ProtocolError(f"{provider}'s answer is no list", provider=provider, effect="no")
    return [one for one in answer if isinstance(one, dict)]


def without_secrets(fields: Mapping[str, JsonValue]) -> JsonObject:
    """Return what may be shown of an answer: at any depth, nothing that opens something."""
    return {name: _told(value) for name, value in fields.items() if _SECRET.search(name) is None}


def _told(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return without_secrets(value)
    return [_told(inner) for inner in value] if isinstance(value, list) else value
