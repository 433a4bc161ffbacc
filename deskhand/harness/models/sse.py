"""Server-sent events read from bytes, with a bound on everything that is held."""

from __future__ import annotations

from typing import Final, NamedTuple

from deskhand.errors import PayloadTooLargeError

__all__ = ["MAX_EVENT", "MAX_STREAM", "EventReader", "ServerEvent"]

MAX_EVENT: Final = 8 * 1024 * 1024
MAX_STREAM: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event: its name and its data."""

    name: bytes
    data: bytes


class EventReader:
    """Cuts a stream of bytes into events, wherever the network cut it.

    Lines end with LF, CR or CRLF; comments, ids and retry times are left out; an event that the stream ends in is none.

    Args:
        max_event: Bytes of one event at most.
        max_stream: Bytes of the whole stream at most.
    """

    def __init__(self, *, max_event: int = MAX_EVENT, max_stream: int = MAX_STREAM) -> None:
        self._max_event = max_event
        self._max_stream = max_stream
        self._read = 0
        self._first = True
        self._after_return = False
        self._line: list[bytes] = []
        self._name = b""
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take in bytes and return the events that they complete.

        Raises:
            PayloadTooLargeError: If an event or the stream passes its limit.
        """
        self._read += len(chunk)
        if self._read > self._max_stream:
            raise _too_large("answer", self._max_stream)
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a line end whose first half ended the chunk before
            self._after_return = False
        if not chunk:
            return []
        self._after_return = chunk.endswith(b"\r")
        events: list[ServerEvent] = []
        for piece in chunk.splitlines(keepends=True):
            self._held += len(piece)
            if self._held > self._max_event:
                raise _too_large("event", self._max_event)
            self._line.append(piece)
            if piece.endswith((b"\n", b"\r")):
                line = b"".join(self._line).rstrip(b"\r\n")
                self._line.clear()
                event = self._take(line)
                if event is not None:
                    events.append(event)
        return events

    def _take(self, line: bytes) -> ServerEvent | None:
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            event = ServerEvent(self._name or b"message", b"\n".join(self._data)) if self._data else None
            self._name, self._data, self._held = b"", [], 0
            return event
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
        return None


def _too_large(what: str, limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"an {what} of the model's stream has more than {limit} bytes")
