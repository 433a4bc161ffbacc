"""Answers that break HTTP itself: they are typed errors, soon, in bounds, and what acts is not sent again for them."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import repeat

import anyio
import anyio.abc
import pytest
from pydantic import SecretStr

from deskhand.errors import (
    ConnectionLostError,
    DeskhandError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    ProtocolError,
)
from deskhand.providers.http import HttpClient, Operation

CLICK = Operation("click", deadline=5.0)
READ = Operation("look", "GET", "read", deadline=5.0, attempts=1)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
DONE = b'{"success": true}'


class Liar:
    """Answers each request with the same bytes and then closes the connection, or with bytes without end."""

    def __init__(self, answer: bytes, *, endless: bytes = b"") -> None:
        self.answer = answer
        self.endless = endless
        self.requests = 0

    async def handle(self, stream: anyio.abc.SocketStream) -> None:
        """Read a request's head and body, which come in one piece, and answer."""
        async with stream:
            await stream.receive()
            self.requests += 1
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(self.answer)
                for piece in repeat(self.endless) if self.endless else ():
                    await stream.send(piece)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[HttpClient]:
        """Serve, and give a client that talks to it."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self.handle)
            base = f"http://127.0.0.1:{port}"
            async with HttpClient(provider="vendor", base_url=base, key=SecretStr("sk_lie")) as client:
                yield client
            tasks.cancel_scope.cancel()


async def failing(liar: Liar, operation: Operation) -> DeskhandError:
    """Ask, and return the error that it ends in, after one request."""
    async with liar.client() as client:
        with anyio.fail_after(15), pytest.raises(DeskhandError) as caught:
            await client.call(operation, "/thing")
    assert liar.requests == 1
    return caught.value


BROKEN: dict[str, bytes] = {
    "nothing at all": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": HEAD,
    "a status that is none": b"HTTP/1.1 999999 What\r\n\r\n",
    "a longer body announced": HEAD + b"content-length: 4000\r\n\r\n" + DONE,
    "a length that is none": HEAD + b"content-length: many\r\n\r\n" + DONE,
    "two lengths": HEAD + b"content-length: 17\r\ncontent-length: 4\r\n\r\n" + DONE,
    "a chunk that is cut": HEAD + b"transfer-encoding: chunked\r\n\r\n400\r\n" + DONE,
    "a chunk without size": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + DONE,
    "chunks without end": HEAD + b"transfer-encoding: chunked\r\n\r\n11\r\n" + DONE + b"\r\n",
    "a header with a line break": HEAD + b"x-a: b\r\n c: d\re\r\n\r\n" + DONE,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
async def test_answer_that_breaks_http_is_a_doubt(what: str) -> None:
    """Nobody can tell what came of what acts; of what asks, that it changed nothing."""
    error = await failing(Liar(BROKEN[what]), CLICK)
    assert (type(error), error.effect) == (OutcomeUnknownError, "unknown"), error
    error = await failing(Liar(BROKEN[what]), READ)
    assert (type(error), error.effect) == (ConnectionLostError, "no"), error


NO_JSON: dict[str, bytes] = {
    "a shorter length announced": HEAD + b"content-length: 9\r\n\r\n" + DONE,
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "JSON in another encoding": HEAD + b"content-length: 34\r\n\r\n" + DONE.decode().encode("utf-16-le"),
    "a number that is none": HEAD + b'content-length: 10\r\n\r\n{"a": NaN}',
    "too deep": HEAD + b"content-length: 100000\r\n\r\n" + b'{"a":' * 20_000,
}


@pytest.mark.parametrize("what", NO_JSON)
async def test_answer_that_is_no_json_is_not_taken_for_one(what: str) -> None:
    """A part of an answer is none, whatever it would mean."""
    for operation, effect in ((CLICK, "unknown"), (READ, "no")):
        error = await failing(Liar(NO_JSON[what]), operation)
        assert (type(error), error.effect) == (ProtocolError, effect), error


@pytest.mark.parametrize(
    ("head", "piece", "kind"),
    [
        (HEAD + b"\r\n", b" " * 65_536, PayloadTooLargeError),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65_536 + b"\r\n", PayloadTooLargeError),
        (b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"b" * 1000 + b"\r\n", OutcomeUnknownError),
        (HEAD + b"x-a: ", b"b" * 65_536, OutcomeUnknownError),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", OutcomeUnknownError),
        (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65_536, PayloadTooLargeError),
    ],
    ids=["body", "chunks", "headers", "a header", "interim answers", "an error's body"],
)
async def test_answer_without_end_is_bounded(head: bytes, piece: bytes, kind: type[DeskhandError]) -> None:
    """In memory and in time."""
    tracemalloc.start()
    try:
        error = await failing(Liar(head, endless=piece), CLICK)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(error) is kind, error
    assert most < 24 << 20


async def test_answer_of_success_counts_whatever_type_it_claims() -> None:
    """Servers get the type wrong; what it holds is what counts."""
    for kind in (b"text/plain", b"image/png", b"application/octet-stream; charset=latin-1", b""):
        liar = Liar(b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ncontent-length: 17\r\n\r\n" + DONE)
        async with liar.client() as client:
            assert await client.call(CLICK, "/thing") == {"success": True}


async def test_two_answers_to_one_request_are_not_mixed_up() -> None:
    """What comes behind an answer belongs to no request that is sent later."""
    first = HEAD + b"content-length: 17\r\n\r\n" + DONE
    liar = Liar(first + HEAD + b'content-length: 12\r\n\r\n{"other": 1}')
    async with liar.client() as client:
        for number in range(1, 6):
            assert await client.call(CLICK, "/thing") == {"success": True}
            assert liar.requests == number
