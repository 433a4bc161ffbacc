"""What a simulator was asked: the log that tests assert on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

__all__ = ["RecordedRequest", "without_secrets"]

SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key", "x-anthropic-key", "x-access-token"})
SECRET_PARAMETERS = frozenset({"token"})
REDACTED = "[redacted]"


@dataclass(slots=True)
class RecordedRequest:
    """A request that a simulator got.

    Attributes:
        number: Counts from 1.
        method: The HTTP method; of a WebSocket's handshake it is GET.
        path: The path, without the query.
        route: The name of the route that it met; None where it met none.
        query: The query's parameters, tokens redacted.
        headers: The headers, names in lower case, keys redacted.
        body: The decoded JSON; None where there was none.
        size: The size of the body in bytes.
        performed: Whether what was asked for was done, whatever the client then heard of it.
        status: The status of the answer; None where the connection was closed instead, or as long as there is none.
        error: The text of the error that it was answered with.
    """

    number: int
    method: str
    path: str
    route: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: JsonValue = None
    size: int = 0
    performed: bool = False
    status: int | None = None
    error: str | None = None


def without_secrets(values: Mapping[str, str], secret: frozenset[str]) -> dict[str, str]:
    """Returns headers or parameters with the values of the secret ones redacted."""
    return {name: REDACTED if name in secret else value for name, value in values.items()}
