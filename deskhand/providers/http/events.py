"""Server-sent events: what a service tells one after the other, in an answer that is read as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from pydantic_core import from_json

from deskhand.errors import ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.http.stream import Stream

__all__ = ["EVENT_STREAM", "ServerEvent", "event_fields", "server_events"]

EVENT_STREAM: Final = "text/event-stream"

_LARGEST: Final = 4 << 20
"""Bytes of one event."""


class ServerEvent(NamedTuple):
    """One event: its name, ``message`` where it has none of its own, and its data."""

    name: str
    data: str


def event_fields(event: ServerEvent, provider: str) -> JsonObject:
    """Return the JSON object that an event holds.

    Raises:
        ProtocolError: If it holds none.
    """
    try:
        fields = from_json(event.data, allow_inf_nan=False)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise ProtocolError(f"{provider} sent an event that is no JSON object", effect="unknown", provider=provider)
    return fields


async def server_events(answer: Stream, provider: str) -> AsyncIterator[ServerEvent]:
    """Read the events of an answer; comments, ids and times to reconnect are passed over.

    An event that the answer ends in the middle of is given where its last line is whole.

    Args:
        answer: The answer, which has begun.
        provider: Who is spoken to, as errors say it.

    Raises:
        ProtocolError: If the answer is none of events, or an event has more than 4 MiB.
    """
    kind = answer.headers.get("content-type", "no type").split(";")[0].strip().lower()
    if kind != EVENT_STREAM:
        raise ProtocolError(
            f"{provider} answered with {kind[:100]} in place of events",
            hint="see that no proxy or login page stands before the API",
            effect="unknown",
            provider=provider,
        )
    name, data, size = "", list[str](), 0
    async for line in _lines(answer, provider):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield ServerEvent(name or "message", "\n".join(data))
        if not line:
            name, data, size = "", [], 0
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
            size += len(value)
            if size > _LARGEST:
                raise _too_large(provider)
    if data:
        yield ServerEvent(name or "message", "\n".join(data))


async def _lines(answer: Stream, provider: str) -> AsyncIterator[str]:
    rest = bytearray()
    async for piece in answer:
        *whole, last = piece.split(b"\n")
        for line in whole:
            yield (bytes(rest) + line).removesuffix(b"\r").decode(errors="replace")
            rest.clear()
        rest += last
        if len(rest) > _LARGEST:
            raise _too_large(provider)


def _too_large(provider: str) -> ProtocolError:
    return ProtocolError(f"{provider} sent an event of more than {_LARGEST} bytes", effect="unknown", provider=provider)
