"""The HTTP client of all hosted providers: bounds, errors, repetition, and what must not leave it."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
from pydantic import SecretStr

from deskhand.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers.http import Failure, FailureRow, HttpClient, Operation
from deskhand.retry import Clock

KEY = "sk_live_0123456789abcdef"
BASE = "https://vendor.test/api"
READ = Operation("look", "GET", "read")
CLICK = Operation("click")
DELETE = Operation("delete it", "DELETE", "repeatable")
Handler = Callable[[httpx2.Request], httpx2.Response]


class Script:
    """Answers requests in turn, the last answer again and again, and remembers them."""

    def __init__(self, *answers: httpx2.Response | Exception | Handler) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.waits: list[float] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else answer(request)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    @asynccontextmanager
    async def client(self, **more: object) -> AsyncIterator[HttpClient]:
        clock = Clock(wall=lambda: 1_000.0, sleep=self.sleep, random=lambda: 1.0)
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(self)) as own,
            HttpClient(
                provider="vendor",
                base_url=BASE,
                key=SecretStr(KEY),
                http_client=own,
                clock=clock,
                **more,  # type: ignore[arg-type]
            ) as client,
        ):
            yield client


def answer(status: int = 200, body: object = None, **headers: str) -> httpx2.Response:
    """Return a JSON answer."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json={} if body is None else body, headers=names)


async def failing(script: Script, operation: Operation = CLICK, **more: object) -> DeskhandError:
    """Ask, and return the error that it ends in."""
    async with script.client(**more) as client:
        with pytest.raises(DeskhandError) as caught:
            await client.call(operation, "/thing", {})
    return caught.value


async def test_call_sends_json_and_key_and_returns_the_object() -> None:
    """The key goes along as a bearer token, the body as JSON, below the base URL."""
    script = Script(answer(body={"a": [1]}))
    async with script.client() as client:
        assert await client.call(CLICK, "/thing", {"x": 1}) == {"a": [1]}
    request = script.requests[0]
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/thing")
    assert json.loads(request.content) == {"x": 1}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(client)


@pytest.mark.parametrize(
    ("status", "kind", "effect"),
    [
        (400, InvalidInputError, "no"),
        (401, AuthError, "no"),
        (402, QuotaError, "no"),
        (403, PermissionDeniedError, "no"),
        (404, NotFoundError, "no"),
        (405, UnsupportedError, "no"),
        (409, ConflictError, "no"),
        (413, PayloadTooLargeError, "no"),
        (418, ProviderError, "no"),
        (422, InvalidInputError, "no"),
        (429, RateLimitedError, "no"),
        (500, ProviderError, "unknown"),
        (502, OutcomeUnknownError, "unknown"),
        (503, OverloadedError, "unknown"),
        (504, OutcomeUnknownError, "unknown"),
        (599, ProviderError, "unknown"),
    ],
)
async def test_status_becomes_its_error(status: int, kind: type[DeskhandError], effect: str) -> None:
    """One table says what a status means, whether it took effect, and whose it was; what acts is sent once."""
    script = Script(answer(status, {"error": "It said so.", "request_id": "req-7"}))
    error = await failing(script)
    assert type(error) is kind
    assert (error.effect, error.provider, error.request_id) == (effect, "vendor", "req-7")
    assert "It said so." in error.message
    assert error.hint
    assert len(script.requests) == 1


async def test_vendors_rows_count_before_the_table() -> None:
    """A vendor's code or words give an error of its own; fields of the answer stand in the hint."""
    rows = [FailureRow(403, "wrong_place", Failure(ConflictError, hint="use {place}"))]
    error = await failing(Script(answer(403, {"error": "No.", "code": "wrong_place", "place": "the other"})), rows=rows)
    assert isinstance(error, ConflictError)
    assert error.hint == "use the other"


async def test_nested_errors_are_read() -> None:
    """Chat APIs put message and code one level deeper."""
    error = await failing(Script(answer(404, {"error": {"message": "gone", "code": "computer_not_found"}})))
    assert "gone" in error.message


@pytest.mark.parametrize("broken", [httpx2.ReadError("cut"), httpx2.RemoteProtocolError("cut"), OSError("cut")])
async def test_lost_answer_of_what_acts_is_unknown_and_never_sent_twice(broken: Exception) -> None:
    """Sent and not answered: nobody can tell."""
    script = Script(broken)
    error = await failing(script)
    assert isinstance(error, OutcomeUnknownError)
    assert error.effect == "unknown"
    assert len(script.requests) == 1


@pytest.mark.parametrize("broken", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("late")])
async def test_what_was_never_sent_had_no_effect(broken: Exception) -> None:
    """No connection, no name: nothing happened."""
    error = await failing(Script(broken))
    assert isinstance(error, ConnectionLostError)
    assert error.effect == "no"


@pytest.mark.parametrize("operation", [READ, DELETE], ids=["read", "repeatable"])
async def test_what_may_be_repeated_is(operation: Operation) -> None:
    """Cuts, overload and gateways' errors are outlasted, each wait longer than the last."""
    script = Script(httpx2.ReadError("cut"), answer(503), answer(body={"a": 1}))
    async with script.client() as client:
        assert await client.call(operation, "/thing") == {"a": 1}
    assert len(script.requests) == 3
    assert script.waits == [0.5, 1.0]


async def test_repetition_is_bounded() -> None:
    """Three times and no more."""
    script = Script(answer(503))
    error = await failing(script, READ)
    assert (type(error), error.effect, len(script.requests)) == (OverloadedError, "no", 3)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("2", 2.2), ("0", 0.0), ("-1", 0.5), ("nan", 0.5), ("inf", 0.5), ("1e400", 0.5), ("0.5", 0.55)],
)
async def test_retry_after_is_honoured_where_it_makes_sense(asked: str, waited: float) -> None:
    """A number of seconds counts; nonsense does not."""
    script = Script(answer(429, retry_after=asked), answer())
    async with script.client() as client:
        await client.call(READ, "/thing")
    assert script.waits == [pytest.approx(waited)]


async def test_one_request_that_is_to_slow_down_slows_all_of_the_provider() -> None:
    """A limit is the key's: what is asked later waits as long, but for what ends something; nothing waits in vain."""
    script = Script(answer(429, retry_after="20"), answer())
    async with script.client() as client:
        with pytest.raises(RateLimitedError):
            await client.call(CLICK, "/thing", {})
        await client.call(DELETE, "/thing", is_urgent=True)
        assert script.waits == []
        await client.call(CLICK, "/thing", {})
        assert [round(wait) for wait in script.waits] == [22]
        with pytest.raises(RateLimitedError, match="has asked to slow down") as caught:
            await client.call(CLICK, "/thing", {}, deadline=5)
    assert caught.value.effect == "no"
    assert caught.value.retry_at == pytest.approx(1_020, abs=1)
    assert len(script.requests) == 3


async def test_retry_after_beyond_the_cap_is_told_at_once() -> None:
    """Nobody waits for days because a header says so."""
    script = Script(answer(429, retry_after="100000"))
    error = await failing(script, READ)
    assert isinstance(error, RateLimitedError)
    assert error.retry_at == 101_000.0
    assert script.waits == []


@pytest.mark.parametrize(
    "body", [b"<!doctype html><title>Sign in</title>", b"", b"[1]", b'{"a": ', b'{"a": NaN}', b'{"a":' * 5_000]
)
async def test_success_that_is_no_api_answer_is_a_protocol_error(body: bytes) -> None:
    """A login page, nothing, or half an object with status 200: said as such, with the request's id."""
    page = httpx2.Response(200, content=body, headers={"content-type": "text/html", "x-request-id": "req-1"})
    error = await failing(Script(page))
    assert isinstance(error, ProtocolError)
    assert (error.effect, error.request_id, error.provider) == ("unknown", "req-1", "vendor")
    error = await failing(Script(page), READ)
    assert error.effect == "no"


async def test_large_answers_are_refused_as_they_come() -> None:
    """The bound holds for what is announced and for what comes without an announcement."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    error = await failing(Script(httpx2.Response(200, content=endless())))
    assert isinstance(error, PayloadTooLargeError)
    assert error.effect == "unknown"  # a login page too may have any length
    announced = httpx2.Response(200, headers={"content-length": "999999999999"}, content=endless())
    assert isinstance(await failing(Script(announced), READ), PayloadTooLargeError)


async def test_packed_answers_are_refused() -> None:
    """Nothing is unpacked that nobody asked to have packed: it may be a bomb."""
    bomb = httpx2.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b"0" * 1_000_000))
    assert isinstance(await failing(Script(bomb)), ProtocolError)


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """Neither key nor body goes to where an answer points."""
    script = Script(httpx2.Response(status, headers={"location": "https://elsewhere.test/api"}))
    error = await failing(script)
    assert isinstance(error, ConfigError)
    assert "elsewhere.test" in error.message
    assert len(script.requests) == 1


async def test_key_goes_to_the_own_origin_alone() -> None:
    """A file on another host, port or scheme is fetched without it."""
    script = Script(httpx2.Response(200, content=b"x"))
    urls = {
        f"{BASE}/x": True,
        "https://vendor.test:443/y": True,
        "https://VENDOR.test/y": True,
        "http://vendor.test/y": False,
        "https://vendor.test:8443/y": False,
        "https://vendor.test.evil.test/y": False,
        "https://storage.test/y": False,
    }
    async with script.client() as client:
        for url in urls:
            assert await client.fetch(READ, url) == b"x"
    assert ["authorization" in request.headers for request in script.requests] == [*urls.values()]


async def test_further_headers_go_to_the_own_origin_alone() -> None:
    """What says whose account it is concerns nobody else."""
    script = Script(httpx2.Response(200, content=b"x"))
    async with script.client(headers=[("x-tenant", "ours")]) as client:
        await client.fetch(READ, f"{BASE}/x")
        await client.fetch(READ, "https://storage.test/y")
    assert [request.headers.get("x-tenant") for request in script.requests] == ["ours", None]


async def test_header_that_a_request_names_stands_in_place_of_the_usual_one() -> None:
    """A server that reads the first of two would see another one than whoever reads the last."""
    script = Script(answer(200))
    async with script.client() as client:
        await client.ask(READ, "/thing", headers=[("accept", "text/event-stream")])
        await client.ask(READ, "/thing")
    assert [request.headers.get_list("accept") for request in script.requests] == [
        ["text/event-stream"],
        ["application/json"],
    ]


async def test_probe_tells_what_a_path_answers_with() -> None:
    """Whatever that is, once, without an error; only where there is no answer, there is one."""
    script = Script(answer(405, allow="GET, POST"), answer(503), httpx2.ReadError("cut"))
    async with script.client() as client:
        status, headers = await client.probe(READ, "/thing")
        assert (status, headers["allow"]) == (405, "GET, POST")
        assert (await client.probe(CLICK, "/thing", {}))[0] == 503
        with pytest.raises(ConnectionLostError):
            await client.probe(READ, "/thing")
    assert [request.content for request in script.requests] == [b"", b"{}", b""]


async def test_paths_of_the_origin_are_not_below_the_base() -> None:
    """What an answer points to begins at the host; a host of its own stays that."""
    async with Script(answer()).client() as client:
        assert client.below_origin("/storage/x") == "https://vendor.test/storage/x"
        assert client.below_origin("//other.test/x") == "https://other.test/x"
        assert client.url("/x") == f"{BASE}/x"


async def test_deadline_ends_a_trickle() -> None:
    """Bytes that come one by one do not put off the end."""

    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(0.01)
            yield b"x"

    for operation, kind in ((CLICK, OutcomeUnknownError), (READ, DeadlineExceededError)):
        script = Script(httpx2.Response(200, content=trickle()))
        with anyio.fail_after(5):
            assert type(await failing(script, operation, timeout=0.1)) is kind


async def test_cancellation_passes_through() -> None:
    """Whoever stops waiting gets no error instead."""

    async def hang(request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        return httpx2.Response(200)

    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(hang)) as own,
        HttpClient(provider="vendor", base_url=BASE, key=SecretStr(KEY), http_client=own) as client,
    ):
        with anyio.move_on_after(0.05) as scope:
            await client.call(CLICK, "/thing", {})
    assert scope.cancelled_caught


async def test_log_lines_and_errors_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor a token of a URL is told, while other clients' lines stay as they are."""
    caplog.set_level(logging.DEBUG)
    script = Script(answer(400, {"error": f"bad key {KEY} in https://x.test/?token=t0ps3cret&a=1"}))
    async with script.client() as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.call(CLICK, "/thing?token=hush-hush-hush", {})
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(Script(answer()))) as other:
            await other.get("https://other.test/?token=theirs")
    told = f"{caplog.text}{caught.value}"
    assert "HTTP Request: POST https://vendor.test/api/thing?token=[redacted]" in caplog.text
    assert not [secret for secret in (KEY, "t0ps3cret", "hush-hush") if secret in told]
    assert "token=theirs" in caplog.text
    assert not logging.getLogger("httpx2").filters


@pytest.mark.parametrize(
    "base_url",
    [
        "vendor.test/api",
        "ftp://vendor.test",
        "https://",
        "https://h:x/",
        "https://me:t0ps3cret@vendor.test",
        "me:t0ps3cret@vendor.test",
        "https://me:t0ps3cret/x@vendor.test",
        "https://vendor.test/api?token=t0ps3cret",
        "https://vendor.test/api#t0ps3cret",
    ],
)
def test_address_that_is_none_is_refused(base_url: str) -> None:
    """Scheme and host are needed, no name or password belongs in it, and none that stands there is repeated."""
    with pytest.raises(ConfigError) as caught:
        HttpClient(provider="vendor", base_url=base_url, key=SecretStr(KEY))
    assert caught.value.hint
    assert "t0ps3cret" not in str(caught.value)


def test_key_that_no_key_can_be_is_refused() -> None:
    """A line break or an umlaut comes from copying; it would break the request's header."""
    for key in ("sk live", "sk\nlive", "schlüssel"):
        with pytest.raises(ConfigError, match="copy it again"):
            HttpClient(provider="vendor", base_url=BASE, key=SecretStr(key))


async def test_client_that_is_not_open_says_so() -> None:
    """It is a context manager."""
    client = HttpClient(provider="vendor", base_url=BASE, key=SecretStr(KEY))
    with pytest.raises(ConflictError, match="not open"):
        await client.call(READ, "/thing")


@pytest.mark.parametrize(
    ("status", "word", "asked"),
    [(503, "false", 1), (503, "", 3), (409, "true", 3), (409, "TRUE ", 3), (409, "", 1), (409, "perhaps", 1)],
)
async def test_header_tells_whether_to_try_again(status: int, word: str, asked: int) -> None:
    """What E2B's API says of a request counts, whatever its status is; what must not arrive twice is sent once."""
    script = Script(answer(status, should_retry=word))
    error = await failing(script, READ)
    assert (len(script.requests), error.retryable) == (asked, asked > 1)
    script = Script(answer(status, should_retry=word))
    await failing(script, CLICK)
    assert len(script.requests) == 1
