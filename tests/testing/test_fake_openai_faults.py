"""Faults of the fake of OpenAI's API, as the vendor's client meets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import openai
import pytest

from deskhand.testing import FakeOpenAI, FakeTurn

from .fake_openai_parts import fake, post, request

LONG = "A text of several pieces, to be sure."


@asynccontextmanager
async def connected(server: FakeOpenAI, place: str, timeout: float | None = None) -> AsyncIterator[openai.AsyncOpenAI]:
    """Gives a client that never repeats a request, in process or over a socket."""
    if place == "in process":
        async with server.client(max_retries=0, timeout=timeout) as client:
            yield client
        return
    async with (
        server.serve() as base_url,
        openai.AsyncOpenAI(
            api_key=server.api_key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout if timeout is not None else openai.not_given,
        ) as client,
    ):
        yield client


both_places = pytest.mark.parametrize("place", ["in process", "loopback"])


async def read(client: openai.AsyncOpenAI) -> str:
    """Streams one answer and returns its text."""
    async with client.responses.stream(**request()) as stream:
        return (await stream.get_final_response()).output_text


async def kinds(client: openai.AsyncOpenAI) -> list[str]:
    """Streams one answer and returns the types of its events."""
    stream: Any = await client.responses.create(**request(stream=True))
    return [event.type async for event in stream]


@both_places
@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (408, openai.APIStatusError, "server_error", None),
        (409, openai.ConflictError, "invalid_request_error", None),
        (429, openai.RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
        (500, openai.InternalServerError, "server_error", None),
        (503, openai.InternalServerError, "server_error", None),
    ],
)
async def test_fail_answers_with_the_status(
    place: str, status: int, error: type[openai.APIStatusError], kind: str, code: str | None
) -> None:
    """A planned failure comes with the vendor's body and request id, and the script does not move."""
    server = fake()
    server.fail(status)
    async with connected(server, place) as client:
        with pytest.raises(error) as caught:
            await read(client)
        assert await read(client) == "Done."
    assert (caught.value.status_code, caught.value.type, caught.value.code) == (status, kind, code)
    assert caught.value.request_id == "req_fake00000001"
    assert server.played == 1


async def test_vendor_client_waits_as_it_is_told_and_repeats() -> None:
    """The client reads Retry-After, and gives up where it is told not to repeat."""
    server = fake()
    server.fail(429, retry_after_ms=1)
    server.fail(500, retry_after=0)
    async with server.client(max_retries=2) as client:
        assert (await client.responses.create(**request())).output_text == "Done."
        server.fail(429, retry_after=1.5, should_retry=False)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.responses.create(**request())
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert [kept.status for kept in server.requests] == [429, 500, 200, 429]
    assert server.played == 1


async def test_failure_may_have_a_code() -> None:
    """A quota that is used up is a 429 like any other but for its code and type."""
    server = fake()
    server.fail(429, code="insufficient_quota", message="You exceeded your current quota.")
    async with server.client(max_retries=0) as client:
        with pytest.raises(openai.RateLimitError, match="exceeded your current quota") as caught:
            await client.responses.create(**request())
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")


@both_places
async def test_lost_answer_is_a_lost_connection(place: str) -> None:
    """A dropped request and a stream that breaks midway; the next request gets the same turn."""
    server = fake()
    server.drop()
    server.cut(after=1500)
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            with pytest.raises(openai.APIConnectionError):
                await read(client)
            with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
                await kinds(client)
            assert server.played == 0
            assert await read(client) == "Done."
    assert [kept.status for kept in server.requests] == [None, 200, 200]


async def test_clean_cut_ends_a_stream_without_its_end() -> None:
    """A stream that ends like a whole one, without its last event, is not taken for an answer."""
    server = fake()
    server.cut(after=1500, clean=True)
    async with server.client(max_retries=0) as client:
        assert "response.completed" not in await kinds(client)
    assert server.played == 0


@both_places
@pytest.mark.parametrize("after", [None, 0, 1500])
async def test_stall_meets_the_clients_deadline(place: str, after: int | None) -> None:
    """A server that stops sending is found out by the client's read timeout."""
    server = fake()
    server.stall(after=after)
    with anyio.fail_after(10):
        async with connected(server, place, timeout=0.2) as client:
            with pytest.raises((openai.APITimeoutError, openai.APIConnectionError, httpx2.ReadTimeout)):
                await kinds(client)
    assert server.played == 0


async def test_flood_keeps_the_connection_busy() -> None:
    """Comments without end bring no event."""
    server = fake()
    server.flood()
    with anyio.move_on_after(0.2) as limit:
        async with server.client(max_retries=0) as client:
            await kinds(client)
    assert limit.cancelled_caught
    assert server.played == 0


async def test_stream_error_is_the_apis_own_event() -> None:
    """In the middle of a stream the Responses API tells of an error in an event of its own."""
    server = fake()
    server.stream_error("rate_limit_exceeded", message="Slow down.")
    async with server.client(max_retries=0) as client:
        stream: Any = await client.responses.create(**request(stream=True))
        last = [event async for event in stream][-1]
    assert (last.type, last.code, last.message, last.sequence_number) == (
        "error",
        "rate_limit_exceeded",
        "Slow down.",
        2,
    )
    assert server.played == 0


async def test_strange_events_and_proxies_pages_come_as_planned() -> None:
    """Events that nobody knows, data that is no JSON, and a page in the place of the answer."""
    server = fake()
    server.inject(b'event: surprise\ndata: {"type": "response.surprise", "sequence_number": 2}\n\n')
    server.inject(b"event: response.output_text.delta\ndata: {oh\n\n")
    server.respond(b"<html>Sign in</html>")
    async with server.client(max_retries=0) as client:
        assert "response.surprise" in await kinds(client)
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            await kinds(client)
        response = await client.responses.with_raw_response.create(**request())
    assert response.http_response.content == b"<html>Sign in</html>"


@both_places
@pytest.mark.parametrize("seed", range(3))
async def test_chunks_may_end_anywhere(place: str, seed: int) -> None:
    """A stream cut at arbitrary bytes, inside letters too, with either line ending, is the same stream."""
    text = "größer, 日本語, 👩‍👩‍👧‍👦"
    server = FakeOpenAI(lambda _: FakeTurn(text))
    server.chunk(seed=seed)
    server.let_pass()
    server.crlf()
    with anyio.fail_after(10):
        async with connected(server, place) as client:
            assert await read(client) == text
            assert await read(client) == text


async def test_request_that_failed_moves_nothing() -> None:
    """Neither the script nor what is stored moves by an answer that was not delivered to its end."""
    server = FakeOpenAI([FakeTurn(LONG), FakeTurn("Done.")])
    server.let_pass()
    server.cut(after=900)
    status, first = await post(server, request(store=True))
    assert (status, server.played) == (200, 1)
    async with server.client(max_retries=0) as client:
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
            await client.responses.create(**request(previous_response_id=first["id"]))
        again = await client.responses.create(**request(previous_response_id=first["id"]))
    assert (again.output_text, server.played) == ("Done.", 2)
