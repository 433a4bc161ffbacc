"""The fake as a server on the loopback interface, for programs that only take a base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute

from .wire import ConnectionCutError, WireAnswer, WireRequest

__all__ = ["serve_loopback"]

IDLE_LIMIT = 120.0
MAX_BODY = 32 * 1024 * 1024
READ_SIZE = 65536

Handle = Callable[[WireRequest], Awaitable[WireAnswer]]


@asynccontextmanager
async def serve_loopback(handle: Handle, *, max_body: int = MAX_BODY) -> AsyncIterator[str]:
    """Serves HTTP/1.1 on a free port of 127.0.0.1 for as long as the block lasts.

    Args:
        handle: Answers one request.
        max_body: How many bytes of a body are kept; one byte more than that tells that it is too large.

    Yields:
        The base URL.
    """
    failure: Exception | None = None
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's typed attributes, no SQL
        group.start_soon(listener.serve, lambda stream: _serve_connection(stream, handle, max_body))
        try:
            yield f"http://127.0.0.1:{port}"
        except Exception as error:  # the block's own error goes on below, bare: the task group would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _serve_connection(stream: ByteStream, handle: Handle, max_body: int) -> None:
    async with stream:
        connection = h11.Connection(h11.SERVER)
        try:
            while await _serve_request(stream, connection, handle, max_body):
                connection.start_next_cycle()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, h11.ProtocolError):
            return  # the client left, or does not speak HTTP


async def _serve_request(stream: ByteStream, connection: h11.Connection, handle: Handle, max_body: int) -> bool:
    """Serves one request and returns whether another may follow on the connection."""
    request = await _receive(stream, connection, max_body)
    if request is None:
        return False
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, stream, connection, group.cancel_scope)
        try:
            await _send_answer(stream, connection, await handle(request))
        except (ConnectionCutError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            group.cancel_scope.cancel()
            return False  # a fault says that the connection ends here, or the client left
        group.cancel_scope.cancel()
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _watch(stream: ByteStream, connection: h11.Connection, scope: anyio.CancelScope) -> None:
    """Ends the work on an answer when the client leaves before it is complete."""
    try:
        while True:
            connection.receive_data(await stream.receive(READ_SIZE))
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        scope.cancel()


async def _receive(stream: ByteStream, connection: h11.Connection, max_body: int) -> WireRequest | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = await _next_event(stream, connection)
        if isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            if len(body) <= max_body:  # the rest of a body that is too large is read, so that the client hears why
                body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return None
    if head is None:
        return None
    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    path = head.target.decode("latin-1").split("?", 1)[0]
    return WireRequest(head.method.decode(), path, headers, bytes(body))


async def _next_event(stream: ByteStream, connection: h11.Connection) -> object:
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event
        with anyio.move_on_after(IDLE_LIMIT) as limit:
            try:
                connection.receive_data(await stream.receive(READ_SIZE))
            except anyio.EndOfStream:
                connection.receive_data(b"")
        if limit.cancelled_caught:
            return None


async def _send_answer(stream: ByteStream, connection: h11.Connection, answer: WireAnswer) -> None:
    headers = list(answer.headers.items())
    if isinstance(answer.body, bytes):
        headers.append(("content-length", str(len(answer.body))))
    else:
        headers.append(("transfer-encoding", "chunked"))
    await _send(stream, connection, h11.Response(status_code=answer.status, headers=headers))
    if isinstance(answer.body, bytes):
        await _send(stream, connection, h11.Data(data=answer.body))
    else:
        async with aclosing(answer.body) as chunks:
            async for chunk in chunks:
                await _send(stream, connection, h11.Data(data=chunk))
    await _send(stream, connection, h11.EndOfMessage())


async def _send(stream: ByteStream, connection: h11.Connection, event: h11.Event) -> None:
    data = connection.send(event)
    if data:
        await stream.send(data)
