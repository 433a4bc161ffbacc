"""Answers of a model's API as they are received, whole or cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from deskhand.harness.models.adapter import ModelAdapter, Turn, TurnDecoder
from deskhand.harness.models.transcript import Request


class Cut(httpx2.AsyncByteStream):
    """The first bytes of an answer, and then its end or a broken connection."""

    def __init__(self, data: bytes, *, clean: bool) -> None:
        self._data = data
        self._clean = clean

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        if not self._clean:
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")


async def read(codec: ModelAdapter, request: Request, decoder: TurnDecoder) -> Turn:
    """Receive one answer."""
    async with codec.stream(request) as batches:
        async for batch in batches:
            decoder.feed(batch)
    return decoder.turn()
