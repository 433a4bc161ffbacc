"""Server-sent events of a model's answer: read in bounds, given up where nothing comes, closed in bounds."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, cast

import anyio

from deskhand.errors import DeskhandError, PayloadTooLargeError, ProtocolError
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.failures import SHOWN, Vendor

if TYPE_CHECKING:
    import httpx2
    from httpx2 import ServerSentEvent

__all__ = ["CLOSE", "DONE", "Watch", "drain", "kind_of", "no_stream", "parsed", "plain", "whole"]

MAX_EVENT: Final = 8 * 1024 * 1024
"""Bytes of one event of an answer."""

MAX_ANSWER: Final = 64 * 1024 * 1024
"""Characters of a whole answer."""

CLOSE: Final = 1.0
"""Seconds for a connection to be closed, also where the run is cancelled meanwhile."""

DRAIN: Final = 0.25
"""Seconds for the end of an answer to arrive after its last event, so that the connection can be used again."""

DONE: Final = "[DONE]"
"""What some APIs send in place of a last event."""


class Watch:
    """Gives an answer up on which nothing comes.

    One scope for the whole answer, whose deadline moves with what comes; not with every event, since moving it costs
    more than reading one: it may thus come a tenth early.

    Args:
        idle: Seconds without content.
    """

    scope: anyio.CancelScope

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._moved = anyio.current_time()
        self.scope = anyio.CancelScope(deadline=self._moved + idle)

    def content(self) -> None:
        """Take note that content has come."""
        now = anyio.current_time()
        if now - self._moved > self._idle / 10:
            self._moved = now
            self.scope.deadline = now + self._idle


def kind_of(response: httpx2.Response) -> str:
    """Return what a response says that it is."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def plain(response: httpx2.Response) -> bool:
    """Whether a response is not compressed."""
    return bool(response.headers.get("content-encoding", "identity") == "identity")


async def parsed(
    response: httpx2.Response, vendor: Vendor, skipped: Collection[str] = ("ping",)
) -> AsyncGenerator[list[Json], None]:
    """Read an answer's events; one without data, or of a kind that is skipped, brings nothing.

    Args:
        response: The answer.
        vendor: Whose it is.
        skipped: Names of events whose data is not even decoded.

    Raises:
        PayloadTooLargeError: If an event or the whole answer passes its limit.
        DeskhandError: What an event of the stream says went wrong.
    """
    from httpx2 import EventSource, SSEError

    received = 0
    try:
        async with aclosing(cast("AsyncGenerator[ServerSentEvent]", aiter(EventSource(response, MAX_EVENT)))) as events:
            async for event in events:
                received += len(event.data)
                if received > MAX_ANSWER:
                    raise _too_large("answer", MAX_ANSWER, vendor)
                yield [_value(event, vendor)] if event.event not in skipped and event.data else []
    except SSEError as error:
        raise _too_large("event", MAX_EVENT, vendor) from error


def _too_large(what: str, limit: int, vendor: Vendor) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"an {what} of the model's answer has more than {limit} bytes", provider=vendor.name)


def _value(event: ServerSentEvent, vendor: Vendor) -> Json:
    if event.data == DONE:
        return {"type": DONE}
    value = json.loads(event.data)
    if not isinstance(value, dict):
        raise ProtocolError(
            "an event of the model's stream is no JSON object", provider=vendor.name, effect="no", retryable=True
        )
    kind = value.get("type")
    if kind == "error" or event.event == "error" or (kind is None and isinstance(value.get("error"), dict)):
        raise vendor.stream_error(value)
    return value


async def drain(source: AsyncIterator[list[Json]]) -> None:
    """Read what follows the last event, so that the connection can be used again; nothing of it matters."""
    with anyio.move_on_after(DRAIN):
        try:
            async for _ in source:
                pass
        except Exception:
            return


async def _start_of(response: httpx2.Response) -> bytes:
    """Return the first bytes of a response; nothing where they cannot be had."""
    start = b""
    with anyio.move_on_after(5):
        try:
            async for chunk in response.aiter_bytes():
                start += chunk[: SHOWN - len(start)]
                if len(start) >= SHOWN:
                    break
        except Exception:
            return b""
    return start


async def whole(response: httpx2.Response, vendor: Vendor) -> bytes:
    """Return an answer that came in one piece, which may have as much as one event.

    Raises:
        ProtocolError: If it announces more.
        PayloadTooLargeError: If it has more.
    """
    announced = str(response.headers.get("content-length", "0"))
    if not announced.isdecimal() or len(announced) > len(str(MAX_EVENT)) or int(announced) > MAX_EVENT:
        raise await no_stream(response, vendor)
    parts, size = list[bytes](), 0
    async for chunk in response.aiter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_EVENT:
            raise _too_large("answer", MAX_EVENT, vendor)
    return b"".join(parts)


async def no_stream(response: httpx2.Response, vendor: Vendor, start: bytes = b"") -> DeskhandError:
    """Say what came in place of a stream, from its first bytes, which are read where they are not given."""
    kind = kind_of(response)
    if not start and plain(response):  # (what was compressed against our wish is not unpacked: it may be a bomb)
        start = await _start_of(response)
    text = " ".join(start[:SHOWN].decode(errors="replace").split())[:120]
    what = f"{kind or 'nothing'}: {text}" if text else kind or "an empty answer"
    return ProtocolError(
        f"the address answered with status {response.status_code} and no event stream ({what})",
        hint=f"is {vendor.base_url} right, and does a proxy stand in between?",
        provider=vendor.name,
        effect="no",
        request_id=response.headers.get(vendor.request_id),
    )
