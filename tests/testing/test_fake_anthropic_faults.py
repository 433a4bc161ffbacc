"""Faults of the fake, as the vendor's client meets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import anyio
import httpx2
import pytest

from deskhand.testing.models import FakeAnthropic, FakeTurn

from .fake_anthropic_parts import fake, post, request

LONG = "A text of several pieces, to be sure."


@asynccontextmanager
async def connected(
    server: FakeAnthropic, place: str, timeout: float | None = None
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Gives a client that never repeats a request, in process or over a socket."""
    if place == "in process":
        async with server.client(max_retries=0, timeout=timeout) as client:
            yield client
        return
    async with (
        server.serve() as base_url,
        anthropic.AsyncAnthropic(
            api_key=server.api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout if timeout is not None else anthropic.not_given,
        ) as client,
    ):
        yield client


both_places = pytest.mark.parametrize("place", ["in process", "loopback"])


async def read(client: anthropic.AsyncAnthropic) -> str:
    """Streams one answer and returns its text."""
    async with client.messages.stream(**request()) as stream:
        return await stream.get_final_text()


async def raw(server: FakeAnthropic) -> bytes:
    """Returns the bytes of one streamed answer, as far as they come."""
    received = b""
    async with server.client(max_retries=0) as client:
        try:
            async with client.messages.with_streaming_response.create(**request(), stream=True) as response:
                async for chunk in response.iter_bytes():
                    received += chunk
        except httpx2.RemoteProtocolError:
            pass  # the cut that the caller asked for
    return received


@both_places
@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (408, anthropic.APIStatusError, "invalid_request_error"),
        (409, anthropic.ConflictError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_fail_answers_with_the_status(
    place: str, status: int, error: type[anthropic.APIStatusError], kind: str
) -> None:
    """A planned failure comes with the vendor's body, and the script does not move."""
    server = fake()
    server.fail(status)
    async with connected(server, place) as client:
        with pytest.raises(error) as caught:
            await read(client)
        assert await read(client) == "Done."
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.body["error"]["message"]


async def test_fail_sends_the_retry_headers() -> None:
    """The headers that steer repeats are sent as they were asked for."""
    server = fake()
    server.fail(429, retry_after=1.5, retry_after_ms=20, should_retry=False, headers={"x-other": "1"})
    server.fail(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT", should_retry=True)
    async with server.client(max_retries=0) as client:
        with pytest.raises(anthropic.RateLimitError) as limited:
            await read(client)
        with pytest.raises(anthropic.InternalServerError) as away:
            await read(client)
    headers = limited.value.response.headers
    found = {name: headers[name] for name in ("retry-after", "retry-after-ms", "x-should-retry", "x-other")}
    assert found == {"retry-after": "1.5", "retry-after-ms": "20", "x-should-retry": "false", "x-other": "1"}
    assert away.value.response.headers["retry-after"].startswith("Wed")
    assert away.value.response.headers["x-should-retry"] == "true"


async def test_vendor_client_repeats_after_a_failure() -> None:
    """The vendor's client repeats what may be repeated, and the turn is played once."""
    server = fake()
    server.fail(529, retry_after_ms=1, times=2)
    async with server.client(max_retries=2) as client:
        assert await read(client) == "Done."
    assert [kept.status for kept in server.requests] == [529, 529, 200]
    assert server.played == 1


async def test_let_pass_plans_a_fault_for_later() -> None:
    """Faults meet requests in the order in which they were planned."""
    server = fake(3)
    server.let_pass(2)
    server.fail(500)
    assert server.pending_faults == 3
    statuses = [(await post(server, request()))[0] for _ in range(4)]
    assert statuses == [200, 200, 500, 200]
    server.fail(500, times=3)
    server.clear_faults()
    assert server.pending_faults == 0


@both_places
async def test_drop_closes_the_connection(place: str) -> None:
    """A dropped request looks like a lost connection."""
    server = fake()
    server.drop()
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            with pytest.raises(anthropic.APIConnectionError):
                await read(client)
            assert await read(client) == "Done."
    assert server.requests[0].status is None


@both_places
async def test_cut_breaks_the_stream(place: str) -> None:
    """A cut stream breaks where it was asked to, and the next request gets the same turn."""
    server = fake()
    server.cut(after=700)
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            with pytest.raises(httpx2.RemoteProtocolError):
                await read(client)
            assert server.played == 0
            assert await read(client) == "Done."


async def test_cut_at_every_byte() -> None:
    """A cut after N bytes gives exactly the first N bytes of the whole answer."""
    whole = await raw(FakeAnthropic([FakeTurn(LONG)]))
    assert whole.endswith(b'data: {"type": "message_stop"}\n\n')
    server = FakeAnthropic(lambda _view: FakeTurn(LONG))
    for length in range(0, len(whole), 7):
        server.cut(after=length)
        part = await raw(server)
        assert len(part) == length
    assert server.played == 0
    server.cut(after=len(whole))
    assert len(await raw(server)) == len(whole)
    assert server.played == 1


@both_places
async def test_clean_cut_ends_without_an_error_of_the_connection(place: str) -> None:
    """A clean cut is a complete HTTP answer whose last event is missing."""
    server = fake()
    server.cut(after=700, clean=True)
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            events = [event.type async for event in await client.messages.create(**request(), stream=True)]
    assert events[0] == "message_start"
    assert "message_stop" not in events


@both_places
async def test_cut_of_a_plain_answer(place: str) -> None:
    """A plain answer can be cut, too."""
    server = fake()
    server.cut(after=50)
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            with pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)):
                await client.messages.create(**request())
            assert (await client.messages.create(**request())).stop_reason == "end_turn"


@both_places
@pytest.mark.parametrize("after", [None, 0, 400])
async def test_stall_meets_the_clients_deadline(place: str, after: int | None) -> None:
    """A server that stops sending is found out by the client's read timeout."""
    server = fake()
    server.stall(after=after)
    with anyio.fail_after(10):
        async with connected(server, place, timeout=0.2) as client:
            with pytest.raises((anthropic.APITimeoutError, httpx2.ReadTimeout)):
                await read(client)


@both_places
async def test_flood_sends_pings_without_end(place: str) -> None:
    """Pings keep the connection busy and bring nothing."""
    server = fake()
    server.flood()
    pings = 0
    with anyio.fail_after(10):
        async with (
            connected(server, place) as client,
            client.messages.with_streaming_response.create(**request(), stream=True) as response,
        ):
            async for line in response.iter_lines():
                pings += line == "event: ping"
                if pings == 50:
                    break
    assert server.played == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [pytest.param(b"<html>Sign in</html>", 200, id="html"), pytest.param(b"", 200, id="empty")],
)
async def test_respond_answers_as_a_proxy_would(body: bytes, status: int) -> None:
    """Any body can stand in for the answer."""
    server = fake()
    server.respond(body, status=status)
    async with server.client(max_retries=0) as client:
        response = await client.messages.with_raw_response.create(**request())
    assert response.http_response.content == body
    assert response.headers["content-type"].startswith("text/html")


async def test_inject_puts_events_into_the_stream() -> None:
    """Unknown events and pings are passed over by the vendor's client, and broken ones break it."""
    server = fake(2)
    server.inject(b'event: surprise\ndata: {"type": "surprise"}\n\n', before=3)
    server.inject(b"event: content_block_delta\ndata: {oh\n\n", before=3)
    async with server.client(max_retries=0) as client:
        events = [event.type async for event in await client.messages.create(**request(), stream=True)]
        assert events[-1] == "message_stop"
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            await read(client)


async def test_stream_error_ends_with_the_error_event() -> None:
    """The API's own way to fail in the middle of a stream."""
    server = fake()
    server.stream_error()
    async with server.client(max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            await read(client)
    assert server.played == 0


async def test_crlf_ends_lines_as_the_format_allows() -> None:
    """The client reads a stream with other line endings."""
    server = fake(2)
    server.crlf(2)
    assert b'"message_stop"}\r\n\r\n' in await raw(server)
    async with server.client() as client:
        assert await read(client) == "Done."


@both_places
@pytest.mark.parametrize("seed", range(5))
async def test_chunks_may_end_anywhere(place: str, seed: int) -> None:
    """A stream cut at arbitrary bytes, inside letters too, is the same stream."""
    text = "größer, 日本語, 👩‍👩‍👧‍👦"
    server = FakeAnthropic([FakeTurn(text)])
    server.chunk(seed=seed)
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            assert await read(client) == text


async def test_chunks_of_one_byte() -> None:
    """Every byte alone is the same stream."""
    server = fake()
    server.chunk(size=1)
    async with server.client() as client:
        assert await read(client) == "Done."
