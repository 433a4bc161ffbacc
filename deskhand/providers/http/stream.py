"""An answer that is read as it comes: a command's output, or events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Final, Self

import anyio

from deskhand.errors import ConflictError
from deskhand.providers.http.failures import SHOWN
from deskhand.providers.http.logs import speaking_for
from deskhand.providers.http.operation import Operation
from deskhand.providers.http.reports import Reports
from deskhand.redaction import Redactor

if TYPE_CHECKING:
    import httpx2

__all__ = ["Endings", "Stream"]

_CLOSE: Final = 5.0
_REST: Final = 0.25
"""Seconds that the end of an answer may take once it has told that it ends."""
_MOST_REST: Final = 1 << 16
_MISSES: Final = 3


class Endings:
    """Whether the other side ends its answers when they have told their end, or leaves them open."""

    def __init__(self) -> None:
        self._misses = 0

    @property
    def come(self) -> bool:
        """Whether an end is worth waiting for: it is not once several did not come."""
        return self._misses < _MISSES

    def note(self, *, came: bool) -> None:
        """Remember whether one came."""
        self._misses = 0 if came else self._misses + 1


class Stream:
    """The pieces of an answer, of at most some 64 KiB each: nothing is kept, and the next is read when it is asked for.

    It is an async iterator, until the answer ends.

    Args:
        operation: What was asked for.
        url: Where.
        reports: Makes the errors.
        redactor: Knows the key.
        silence: Seconds that may go by between two pieces.
        endings: Whether the other side ends its answers.

    Attributes:
        status: The HTTP status.
        headers: The headers.
    """

    def __init__(
        self,
        operation: Operation,
        url: str,
        reports: Reports,
        redactor: Redactor,
        *,
        silence: float,
        endings: Endings,
    ) -> None:
        self.status: int = 0
        self.headers: Mapping[str, str] = {}
        self._operation = operation
        self._url = url
        self._reports = reports
        self._redactor = redactor
        self._silence = silence
        self._endings = endings
        self._response: httpx2.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._library: ModuleType | None = None

    async def begin(self, send: Callable[[], Awaitable[httpx2.Response]], library: ModuleType) -> None:
        """Send the request and wait for the answer's head.

        Raises:
            ProtocolError: If the answer is packed, which nobody asked for.
            DeskhandError: If there is none.
        """
        self._library = library
        with speaking_for(self._redactor):
            try:
                self._response = response = await send()
            except (library.HTTPError, library.InvalidURL, OSError) as error:
                raise self._reports.broken(self._operation, self._url, error, library) from error
        self._pieces = response.aiter_bytes()  # it is not packed: nothing is decoded
        self.status = response.status_code
        self.headers = response.headers
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise self._reports.protocol(
                self._operation, self.headers, f"an answer packed as {encoding[:SHOWN]}, unasked"
            )

    def __aiter__(self) -> Self:
        """Iterate over the pieces."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            OutcomeUnknownError: If it breaks off or falls silent, and what was asked for must not arrive twice.
            ConnectionLostError: If it breaks off otherwise.
            DeadlineExceededError: If it falls silent otherwise.
        """
        library, pieces = self._library, self._pieces
        if library is None or pieces is None:
            raise ConflictError("the answer has not begun", effect="no")
        piece = b""
        while not piece:
            with speaking_for(self._redactor), anyio.move_on_after(self._silence) as limit:
                try:
                    piece = await anext(pieces)
                except (library.HTTPError, OSError) as error:
                    raise self._reports.broken(self._operation, self._url, error, library) from error
            if limit.cancelled_caught:
                raise self._reports.silent(self._operation, self._silence)
        return piece

    async def finish(self) -> None:
        """Read the rest of an answer that has told its end in words of its own: its connection is then used again.

        A connection that is left before the very end of an answer is closed, and the next request opens another. What
        does not end soon is left all the same.
        """
        library, pieces = self._library, self._pieces
        if library is None or pieces is None or not self._endings.come:
            return
        has_ended, size = False, 0
        with speaking_for(self._redactor), anyio.move_on_after(_REST), suppress(library.HTTPError, OSError):
            async for piece in pieces:
                size += len(piece)
                if size > _MOST_REST:
                    break
            else:
                has_ended = True
        self._endings.note(came=has_ended)

    async def aclose(self) -> None:
        """Close the connection, whether the answer has ended or not."""
        if self._response is not None and not self._response.is_closed:
            with speaking_for(self._redactor), anyio.move_on_after(_CLOSE, shield=True):
                await self._response.aclose()
