"""Answers of clients that are made here: what comes with an error is read in bounds.

The vendors' clients read the whole body of an error before they raise it, however long it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx2

__all__ = ["bound_error"]

MAX_ERROR: Final = 1 << 20
"""Bytes of an error's body; nothing of one that is compressed, which may be a bomb."""


class _Start(httpx2.AsyncByteStream):
    """The first bytes of a stream; closing it closes the whole."""

    def __init__(self, whole: httpx2.AsyncByteStream, most: int) -> None:
        self._whole = whole
        self._left = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._left <= 0:
            return
        async for part in self._whole:
            yield part[: self._left]
            self._left -= len(part)
            if self._left <= 0:
                return

    async def aclose(self) -> None:
        await self._whole.aclose()


async def bound_error(response: httpx2.Response) -> None:
    """Cut what is read of an answer that is an error; to be a client's hook for responses."""
    if response.is_success or not isinstance(response.stream, httpx2.AsyncByteStream):
        return
    is_plain = response.headers.get("content-encoding", "identity") == "identity"
    response.stream = _Start(response.stream, MAX_ERROR if is_plain else 0)
