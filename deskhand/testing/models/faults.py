"""Faults: what goes wrong with the requests that come, one after the other."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from .stream import PING, sse
from .wire import ApiError, WireAnswer

__all__ = ["Fault", "FaultControls", "retry_headers"]

MESSAGES = {
    408: "Request timed out",
    409: "Conflict",
    429: "This request would exceed your account's rate limit. Please try again later.",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
    529: "Overloaded",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to one request.

    Attributes:
        error: The error to answer with.
        answer: The answer to give as it is.
        drop: Whether the connection is closed without an answer.
        stall_after: How many bytes of the answer's body are sent before nothing comes any more; -1: no answer at all.
        cut_after: How many bytes of the answer's body are sent before it ends.
        clean: Whether that end looks like a complete answer to HTTP.
        inserts: Raw events to send before the event of each index.
        ends_after_insert: Whether the stream ends, cleanly, after the inserted event.
        flood: What follows the first event without end, and nothing else does; empty where nothing floods.
        newline: The line ending of the stream.
    """

    error: ApiError | None = None
    answer: WireAnswer | None = None
    drop: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    clean: bool = False
    inserts: Mapping[int, bytes] | None = None
    ends_after_insert: bool = False
    flood: bytes = b""
    newline: str = "\n"

    def events(self, events: Sequence[bytes]) -> list[bytes]:
        """Returns the events of a stream as this fault changes them."""
        changed = list(events)
        for index, event in sorted((self.inserts or {}).items(), reverse=True):
            changed[index:] = [event] if self.ends_after_insert else [event, *changed[index:]]
        if self.flood:
            changed = changed[:1]
        if self.newline != "\n":
            changed = [event.replace(b"\n", self.newline.encode()) for event in changed]
        return changed


NO_FAULT = Fault()


def retry_headers(
    retry_after: float | str | None,
    retry_after_ms: float | None,
    should_retry: bool | None,
    further: Mapping[str, str] | None,
) -> dict[str, str]:
    """Returns the headers of an error that say whether and when to try again, and what else is given."""
    headers = dict(further or {})
    if retry_after is not None:
        headers["retry-after"] = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
    if retry_after_ms is not None:
        headers["retry-after-ms"] = f"{retry_after_ms:g}"
    if should_retry is not None:
        headers["x-should-retry"] = "true" if should_retry else "false"
    return headers


class FaultControls:
    """The faults that wait for requests. Each method queues faults, and each request takes the next one."""

    MESSAGES: ClassVar[Mapping[int, str]] = MESSAGES
    """The vendor's text for each status, where :meth:`fail` is given none."""

    PING: ClassVar[bytes] = PING
    """What the vendor sends to keep a stream alive."""

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()
        self._chunk_size: int | None = None
        self._chunk_seed: int | None = None

    @property
    def pending_faults(self) -> int:
        """How many requests still have something planned for them."""
        return len(self._faults)

    def clear_faults(self) -> None:
        """Forgets every planned fault."""
        self._faults.clear()

    def _plan(self, fault: Fault, times: int) -> None:
        self._faults.extend([fault] * times)

    def _error(self, status: int, message: str, headers: Mapping[str, str]) -> ApiError:
        """Returns the vendor's error."""
        return ApiError(status, message, headers=headers)

    def _next_fault(self) -> Fault:
        return self._faults.popleft() if self._faults else NO_FAULT

    def let_pass(self, times: int = 1) -> None:
        """Answers the next requests as usual, so that a fault planned after this meets a later one."""
        self._plan(NO_FAULT, times)

    def fail(
        self,
        status: int,
        *,
        message: str | None = None,
        retry_after: float | str | None = None,
        retry_after_ms: float | None = None,
        should_retry: bool | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answers with an error.

        Args:
            status: The HTTP status, such as 429, 500 or 529.
            message: The error's text.
            retry_after: The header ``retry-after``: seconds, or an HTTP date.
            retry_after_ms: The header ``retry-after-ms``, in milliseconds.
            should_retry: The header ``x-should-retry``.
            headers: Further headers.
            times: How many requests fail like this.
        """
        extra = retry_headers(retry_after, retry_after_ms, should_retry, headers)
        text = message if message is not None else self.MESSAGES.get(status, f"Error {status}")
        self._plan(Fault(error=self._error(status, text, extra)), times)

    def respond(
        self, body: bytes, *, status: int = 200, content_type: str = "text/html; charset=utf-8", times: int = 1
    ) -> None:
        """Answers with exactly this body, as a proxy's error page or an empty answer would."""
        self._plan(Fault(answer=WireAnswer(status, {"content-type": content_type}, body)), times)

    def drop(self, times: int = 1) -> None:
        """Closes the connection without an answer."""
        self._plan(Fault(drop=True), times)

    def cut(self, *, after: int, clean: bool = False, times: int = 1) -> None:
        """Ends the answer early.

        Args:
            after: How many bytes of the body are sent.
            clean: Whether the answer seems complete to HTTP, instead of the connection breaking.
            times: How many requests are answered like this.
        """
        self._plan(Fault(cut_after=after, clean=clean), times)

    def stall(self, *, after: int | None = None, times: int = 1) -> None:
        """Stops sending and keeps the connection open until the client leaves.

        Args:
            after: How many bytes of the body are sent; None: not even the head.
            times: How many requests are answered like this.
        """
        self._plan(Fault(stall_after=-1 if after is None else after), times)

    def flood(self, times: int = 1) -> None:
        """Streams the first event and then pings without end."""
        self._plan(Fault(flood=self.PING), times)

    def inject(self, event: bytes, *, before: int = 2, times: int = 1) -> None:
        """Puts raw bytes into a stream, such as an unknown event or one whose data is no JSON.

        Args:
            event: The bytes, with the empty line that ends an event.
            before: The index of the event that they come before.
            times: How many requests are answered like this.
        """
        self._plan(Fault(inserts={before: event}), times)

    def stream_error(
        self, kind: str = "overloaded_error", *, message: str = "Overloaded", before: int = 2, times: int = 1
    ) -> None:
        """Ends a stream with the API's ``error`` event.

        Args:
            kind: The type of the error.
            message: Its text.
            before: The index of the event in whose place it comes.
            times: How many requests are answered like this.
        """
        event = sse("error", {"type": "error", "error": {"type": kind, "message": message}})
        self._plan(Fault(inserts={before: event}, ends_after_insert=True), times)

    def crlf(self, times: int = 1) -> None:
        """Ends the lines of a stream with carriage return and line feed, as the format allows."""
        self._plan(replace(NO_FAULT, newline="\r\n"), times)

    def chunk(self, *, size: int | None = None, seed: int | None = None) -> None:
        """Cuts every stream from now on at other places than the ends of events.

        Args:
            size: The size of each chunk in bytes.
            seed: Makes the sizes random, from 1 to 64 bytes, the same for the same seed.
        """
        self._chunk_size, self._chunk_seed = size, seed

    def _chunks(self, events: Sequence[bytes]) -> list[bytes]:
        if self._chunk_size is None and self._chunk_seed is None:
            return list(events)
        return list(_cut(b"".join(events), self._chunk_size, self._chunk_seed))


def _cut(body: bytes, size: int | None, seed: int | None) -> Iterator[bytes]:
    sizes = random.Random(seed)  # noqa: S311 - places to cut at, not secrets
    start = 0
    while start < len(body):
        end = start + (size if size is not None else sizes.randint(1, 64))
        yield body[start:end]
        start = end


def head(chunks: Sequence[bytes], length: int) -> list[bytes]:
    """Returns the first ``length`` bytes of a body, chunk by chunk."""
    kept: list[bytes] = []
    for chunk in chunks:
        if length <= 0:
            break
        kept.append(chunk[:length])
        length -= len(chunk)
    return kept
