"""An answer that is read as it comes: a command's output, or events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Final

import anyio

from deskhand.errors import ConflictError
from deskhand.providers.http.failures import SHOWN
from deskhand.providers.http.logs import speaking_for
from deskhand.providers.http.operation import Operation
from deskhand.providers.http.reports import Reports
from deskhand.redaction import Redactor

if TYPE_CHECKING:
    import httpx2

__all__ = ["Stream"]

_CLOSE: Final = 5.0


class Stream:
    """The pieces of an answer, of at most some 64 KiB each: nothing is kept, and the next is read when it is asked for.

    Args:
        operation: What was asked for.
        url: Where.
        reports: Makes the errors.
        redactor: Knows the key.
        silence: Seconds that may go by between two pieces.

    Attributes:
        status: The HTTP status.
        headers: The headers.
    """

    def __init__(self, operation: Operation, url: str, reports: Reports, redactor: Redactor, silence: float) -> None:
        self.status: int = 0
        self.headers: Mapping[str, str] = {}
        self._operation = operation
        self._url = url
        self._reports = reports
        self._redactor = redactor
        self._silence = silence
        self._response: httpx2.Response | None = None
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
        self.status = response.status_code
        self.headers = response.headers
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise self._reports.protocol(
                self._operation, self.headers, f"an answer packed as {encoding[:SHOWN]}, unasked"
            )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces, until the answer ends.

        Raises:
            OutcomeUnknownError: If it breaks off or falls silent, and what was asked for must not arrive twice.
            ConnectionLostError: If it breaks off otherwise.
            DeadlineExceededError: If it falls silent otherwise.
        """
        if self._response is None:
            raise ConflictError("the answer has not begun", effect="no")
        pieces = self._response.aiter_bytes()  # it is not packed: nothing is decoded
        while (piece := await self._next(pieces)) is not None:
            if piece:
                yield piece

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        library = self._library
        assert library is not None  # noqa: S101 (it has begun)
        with speaking_for(self._redactor), anyio.move_on_after(self._silence):
            try:
                return await anext(pieces, None)
            except (library.HTTPError, OSError) as error:
                raise self._reports.broken(self._operation, self._url, error, library) from error
        raise self._reports.silent(self._operation, self._silence)

    async def aclose(self) -> None:
        """Close the connection, whether the answer has ended or not."""
        if self._response is not None and not self._response.is_closed:
            with speaking_for(self._redactor), anyio.move_on_after(_CLOSE, shield=True):
                await self._response.aclose()
