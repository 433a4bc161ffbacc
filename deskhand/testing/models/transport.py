"""The fake inside the process: an HTTP transport that asks it directly, without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import anyio
import httpx2

from .wire import ConnectionCutError, WireAnswer, WireRequest

__all__ = ["FakeTransport"]


class FakeTransport(httpx2.AsyncBaseTransport):
    """Hands each request to ``handle`` and obeys the client's read timeout.

    Args:
        handle: Answers one request.
    """

    def __init__(self, handle: Callable[[WireRequest], Awaitable[WireAnswer]]) -> None:
        self._handle = handle

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request.

        Raises:
            httpx2.RemoteProtocolError: A fault closed the connection.
            httpx2.ReadTimeout: Nothing came for as long as the client waits.
        """
        body = await request.aread()
        timeouts = request.extensions.get("timeout", {})
        limit: float | None = timeouts.get("read")
        headers = {name.lower(): value for name, value in request.headers.items()}
        wire = WireRequest(request.method, request.url.path, headers, body)
        try:
            with anyio.fail_after(limit):
                answer = await self._handle(wire)
        except ConnectionCutError as error:
            message = "Server disconnected without sending a response."
            raise httpx2.RemoteProtocolError(message, request=request) from error
        except TimeoutError as error:
            raise httpx2.ReadTimeout("", request=request) from error
        if isinstance(answer.body, bytes):
            return httpx2.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)
        stream = _Body(answer.body, request, limit)
        return httpx2.Response(answer.status, headers=dict(answer.headers), stream=stream, request=request)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, chunks: AsyncGenerator[bytes, None], request: httpx2.Request, limit: float | None) -> None:
        self._chunks = chunks
        self._request = request
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                with anyio.fail_after(self._limit):
                    chunk = await anext(self._chunks, None)
            except ConnectionCutError as error:
                message = "peer closed connection without sending complete message body (incomplete chunked read)"
                raise httpx2.RemoteProtocolError(message, request=self._request) from error
            except TimeoutError as error:
                raise httpx2.ReadTimeout("", request=self._request) from error
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        await self._chunks.aclose()
