"""Server-sent events: what a service tells one after the other, in an answer that is read as it comes."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, Self

from pydantic_core import from_json

from deskhand.errors import ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.http.stream import Stream

__all__ = ["EVENT_STREAM", "ServerEvent", "ServerEvents", "event_fields"]

EVENT_STREAM: Final = "text/event-stream"

_LARGEST: Final = 4 << 20
"""Bytes of one event, the ends of its lines among them."""


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


class ServerEvents:
    """The events of an answer, an async iterator; comments, ids and times to reconnect are passed over.

    An event that the answer ends in the middle of is given where its last line is whole.

    Args:
        answer: The answer, which has begun.
        provider: Who is spoken to, as errors say it.

    Raises:
        ProtocolError: If the answer is none of events, or an event has more than 4 MiB.
    """

    def __init__(self, answer: Stream, provider: str) -> None:
        kind = answer.headers.get("content-type", "no type").split(";")[0].strip().lower()
        if kind != EVENT_STREAM:
            raise ProtocolError(
                f"{provider} answered with {kind[:100]} in place of events",
                hint="see that no proxy or login page stands before the API",
                effect="unknown",
                provider=provider,
            )
        self._answer = answer
        self._provider = provider
        self._found: deque[ServerEvent] = deque()
        self._rest = bytearray()
        self._name, self._data, self._size = "", list[str](), 0

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> ServerEvent:
        """Return the next event."""
        while not self._found:
            piece = await anext(self._answer, None)
            if piece is None:
                self._end_event()
                if not self._found:
                    raise StopAsyncIteration
            else:
                self._take(piece)
        return self._found.popleft()

    async def finish(self) -> None:
        """Do as `Stream.finish`, when an event has told that there are no more."""
        await self._answer.finish()

    def _take(self, piece: bytes) -> None:
        """Read the lines that a piece ends, and keep what it begins."""
        *whole, last = piece.split(b"\n")
        for line in whole:
            self._read((bytes(self._rest) + line if self._rest else line).removesuffix(b"\r"))
            self._rest.clear()
        self._rest += last
        if len(self._rest) > _LARGEST:
            raise self._too_large()

    def _read(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            self._end_event()
        elif field == b"event":
            self._name = value.decode(errors="replace")
        elif field == b"data":
            self._size += len(value) + 1  # an empty line is a line
            if self._size > _LARGEST:
                raise self._too_large()
            self._data.append(value.decode(errors="replace"))

    def _end_event(self) -> None:
        if self._data:
            self._found.append(ServerEvent(self._name or "message", "\n".join(self._data)))
        self._name, self._data, self._size = "", [], 0

    def _too_large(self) -> ProtocolError:
        return ProtocolError(
            f"{self._provider} sent an event of more than {_LARGEST} bytes", effect="unknown", provider=self._provider
        )
