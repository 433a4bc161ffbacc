"""Answers that are read as they come, and those that are no JSON object."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from deskhand.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    OutcomeUnknownError,
    ProtocolError,
    RateLimitedError,
)
from deskhand.providers.http import HttpClient, Operation
from deskhand.providers.http.events import EVENT_STREAM, ServerEvents
from tests.providers.test_http import CLICK, DELETE, KEY, READ, Script, answer

FOLLOW = Operation("follow", "GET", "read", deadline=5.0)


class Pieces(httpx2.AsyncByteStream):
    """A body in pieces: an exception among them is raised, ``None`` says nothing for ever."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self.pieces = pieces
        self.sent = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if piece is None:
                await anyio.sleep_forever()
            elif isinstance(piece, Exception):
                raise piece
            else:
                self.sent += 1
                yield piece

    async def aclose(self) -> None:
        self.is_closed = True


async def read(client: HttpClient, operation: Operation, *, silence: float = 5.0) -> list[bytes]:
    """Read an answer to its end."""
    async with client.stream(operation, "/follow", b"asked", silence=silence) as stream:
        return [piece async for piece in stream]


async def test_pieces_come_as_they_are_sent_and_no_faster_than_they_are_read() -> None:
    """Nothing is read ahead; leaving the block closes the connection in the middle."""
    body = Pieces(b"one", b"", b"two", b"three")
    script = Script(httpx2.Response(200, stream=body))
    async with script.client() as client:
        async with client.stream(CLICK, "/follow", b"asked", silence=5.0, headers=[("x-more", "1")]) as stream:
            pieces = aiter(stream)
            assert [await anext(pieces), await anext(pieces)] == [b"one", b"two"]
            assert body.sent == 3
        assert body.is_closed
    (request,) = script.requests
    assert (request.content, request.headers["x-more"]) == (b"asked", "1")
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("operation", "kind"), [(CLICK, OutcomeUnknownError), (FOLLOW, ConnectionLostError)], ids=["acts", "asks"]
)
async def test_answer_that_breaks_off_is_told(operation: Operation, kind: type[DeskhandError]) -> None:
    """What came before that was given; it is not asked again."""
    script = Script(httpx2.Response(200, stream=Pieces(b"one", httpx2.RemoteProtocolError("cut"))))
    async with script.client() as client, client.stream(operation, "/follow", silence=5.0) as stream:
        pieces = aiter(stream)
        assert await anext(pieces) == b"one"
        with pytest.raises(kind):
            await anext(pieces)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("operation", "kind"), [(CLICK, OutcomeUnknownError), (FOLLOW, DeadlineExceededError)], ids=["acts", "asks"]
)
async def test_answer_that_falls_silent_is_not_waited_for(operation: Operation, kind: type[DeskhandError]) -> None:
    """A connection that is open and says nothing ends, and is closed."""
    body = Pieces(b"one", None)
    async with Script(httpx2.Response(200, stream=body)).client() as client:
        with anyio.fail_after(5), pytest.raises(kind, match="nothing more"):
            await read(client, operation, silence=0.05)
    assert body.is_closed


async def test_refusal_in_place_of_a_stream_is_its_error() -> None:
    """It goes by the table, and makes others wait where the vendor asks to."""
    script = Script(answer(429, {"message": "slow down"}, retry_after="2"), answer(200, {}))
    async with script.client() as client:
        with pytest.raises(RateLimitedError, match="slow down"):
            await read(client, CLICK)
        await client.call(READ, "/look")
    assert [round(wait) for wait in script.waits] == [2]


async def test_packed_stream_is_refused() -> None:
    """Nobody asked for it, and what it unpacks to has no bound."""
    async with Script(httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Pieces(b"x"))).client() as one:
        with pytest.raises(ProtocolError, match="packed as gzip"):
            await read(one, CLICK)


async def test_streams_that_last_leave_room_for_requests() -> None:
    """Streams have a bound of their own: one more than that waits, and in vain until its deadline."""
    script = Script(
        lambda request: httpx2.Response(200, stream=Pieces(None)) if "follow" in request.url.path else answer(200, {})
    )
    brief = Operation("follow", "GET", "read", deadline=0.1)
    async with script.client() as client, anyio.create_task_group() as tasks:

        async def hold(task_status: anyio.abc.TaskStatus[None]) -> None:
            async with client.stream(FOLLOW, "/follow", silence=60.0):
                task_status.started()
                await anyio.sleep_forever()

        for _ in range(64):
            await tasks.start(hold)
        assert await client.call(READ, "/look") == {}
        with pytest.raises(DeadlineExceededError) as caught:
            await read(client, brief)
        assert caught.value.effect == "no"
        async with client.stream(brief, "/follow", silence=60.0, is_urgent=True):
            pass
        tasks.cancel_scope.cancel()


async def test_answers_that_are_no_object_can_be_asked_for() -> None:
    """A list comes with its headers, an empty answer and bytes as they are; what is none of it is refused."""
    script = Script(
        answer(200, [1, {"two": 2}], x_next="3"),
        answer(200, {}),
        httpx2.Response(204),
        httpx2.Response(200, content=b"\0"),
    )
    async with script.client() as client:
        found, headers = await client.call_list(READ, "/list")
        assert (found, headers["x-next"]) == ([1, {"two": 2}], "3")
        with pytest.raises(ProtocolError):
            await client.call_list(READ, "/list")
        assert ((await client.ask(DELETE, "/one")).status, (await client.ask(CLICK, "/one")).data) == (204, b"\0")
        await client.ask(CLICK, "/one", content=b"raw", headers=[("content-type", "x/y")])
    assert (script.requests[-1].content, script.requests[-1].headers["content-type"]) == (b"raw", "x/y")


async def test_key_may_have_a_header_of_its_own() -> None:
    """As it is, without the word of a bearer; of one that is empty nothing is sent."""
    script = Script(answer(200, {}))
    async with script.client(key_header="x-api-key") as client:
        await client.call(READ, "/look")
    assert script.requests[0].headers["x-api-key"] == KEY
    assert "authorization" not in script.requests[0].headers


async def finished(client: HttpClient, script: Script, body: Pieces) -> None:
    """Follow an answer whose first piece says that it ends, and leave it."""
    script.answers[:] = [httpx2.Response(200, stream=body)]
    async with client.stream(CLICK, "/follow", b"asked", silence=5.0) as stream:
        assert await anext(aiter(stream)) == b"that is all"
        await stream.finish()
    assert body.is_closed


async def test_answer_that_has_told_its_end_is_read_to_its_end() -> None:
    """So that its connection can be used again; that it breaks off there is no error."""
    script = Script(answer())
    async with script.client() as client:
        for rest in ((), (b"a word more",), (httpx2.RemoteProtocolError("cut"),)):
            body = Pieces(b"that is all", *rest)
            await finished(client, script, body)
            assert body.sent == 1 + (rest == (b"a word more",))


async def test_answer_that_goes_on_behind_its_end_is_left() -> None:
    """What comes then is bounded in size."""
    script = Script(answer())
    async with script.client() as client:
        body = Pieces(b"that is all", b"x" * 70_000, b"more")
        await finished(client, script, body)
        assert body.sent == 2


async def test_answers_that_never_end_are_not_waited_for() -> None:
    """Not long, and after three of them not at all; one that ends counts anew."""
    script = Script(answer())
    async with script.client() as client:
        await finished(client, script, Pieces(b"that is all", None))
        await finished(client, script, Pieces(b"that is all"))
        with anyio.fail_after(3):
            for _ in range(3):
                await finished(client, script, Pieces(b"that is all", None))
        body = Pieces(b"that is all", b"more")
        await finished(client, script, body)
        assert body.sent == 1


@pytest.mark.parametrize(
    "line", [b"data:\n", b"data\n", b"data: \xe2\x82\xac\n", b"data: \xff\n"], ids=["empty", "bare", "wide", "broken"]
)
async def test_event_of_many_lines_is_bounded_in_bytes(line: bytes) -> None:
    """Lines that hold nothing have an end all the same, and a letter may have several bytes."""
    size = len(line.partition(b":")[2].strip()) + 1
    most = (4 << 20) // size
    for lines, is_whole in ((most, True), (most + 1, False)):
        whole, rest = divmod(lines, 10_000)
        script = Script(answer())
        body = Pieces(*[line * 10_000] * whole, line * rest + b"\n")
        script.answers[:] = [httpx2.Response(200, stream=body, headers={"content-type": EVENT_STREAM})]
        async with script.client() as client, client.stream(CLICK, "/follow", b"asked", silence=5.0) as stream:
            events = ServerEvents(stream, "vendor")
            if is_whole:
                assert (await anext(events)).data.count("\n") == lines - 1
            else:
                with pytest.raises(ProtocolError, match="an event of more than"):
                    await anext(events)
