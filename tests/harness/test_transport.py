"""How often and how long a model is waited for, and what the vendor's failures become."""

from __future__ import annotations

import json
from email.utils import formatdate

import anthropic
import anyio
import httpx2
import pytest

from deskhand.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    RateLimitedError,
    RunStoppedError,
    TruncatedStreamError,
)
from deskhand.harness.models import sse
from deskhand.harness.models.anthropic_door import ANTHROPIC, AnthropicDoor
from deskhand.harness.models.blocks import MESSAGES
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.harness.models.transcript import Transcript
from deskhand.harness.models.transport import Deadlines, Patience, Retry, persist
from deskhand.retry import Clock, retry_after

NOW = 1_800_000_000.0


class Time:
    """A clock that only goes on while someone sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds

    def clock(self, chance: float = 0.0) -> Clock:
        return Clock(
            wall=lambda: NOW + self.passed, monotonic=lambda: self.passed, sleep=self.sleep, random=lambda: chance
        )


class Model:
    """Fails with each of the errors in turn, then answers."""

    def __init__(self, *errors: DeskhandError) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def ask(model: Model, time: Time, *, chance: float = 0.0, deadlines: Deadlines | None = None) -> list[Retry]:
    told: list[Retry] = []
    answer = await persist(
        model,
        patience=Patience(),
        deadlines=deadlines or Deadlines(),
        clock=time.clock(chance),
        budget=RetryBudget(),
        afford=lambda _: None,
        on_retry=told.append,
    )
    assert answer == "answer"
    return told


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "100000"}, 100_000.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "next Tuesday"}, None),
        ({}, None),
    ],
)
def test_retry_after_reads_seconds_and_dates_and_nothing_else(headers: dict[str, str], seconds: float | None) -> None:
    """What makes no sense as a wait is no wait."""
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize("name", ["retry_after", "retry_after_ms"])
def test_retry_after_that_is_no_number_of_a_machine_is_no_wait(name: str) -> None:
    """Whole numbers in a body have as many digits as it likes."""
    assert retry_after({}, NOW, {name: 10**400}) is None
    assert retry_after({"retry-after": "Mon, 30 Nov 99999999999 08:16:35 GMT"}, NOW) is None


async def test_wait_is_as_long_as_the_other_side_asks_and_never_shorter() -> None:
    """A named wait is kept, spread a little towards longer so that a fleet does not return as one."""
    for chance in (0.0, 0.99):
        time = Time()
        told = await ask(Model(RateLimitedError("slow", retry_at=NOW + 20)), time, chance=chance)
        assert time.slept == [retry.delay for retry in told]
        assert 20 <= time.slept[0] <= 22


async def test_wait_beyond_the_cap_is_an_error_at_once() -> None:
    """A header that asks for a day is told, not obeyed."""
    time, model = Time(), Model(OverloadedError("full", retry_at=NOW + 100_000, request_id="req_1"))
    with pytest.raises(RateLimitedError, match="asks to wait 100000 s") as caught:
        await ask(model, time)
    assert (caught.value.retry_at, caught.value.request_id) == (NOW + 100_000, "req_1")
    assert (time.slept, model.asked) == ([], 1)


async def test_waits_grow_and_end() -> None:
    """Without a named wait each is about twice the one before; after five the error is final."""
    time, model = Time(), Model(*[OverloadedError("full")] * 9)
    with pytest.raises(OverloadedError):
        await ask(model, time, chance=1.0)
    assert time.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert model.asked == 6


async def test_cut_answers_are_asked_again_twice() -> None:
    """A cut answer has been paid for, so fewer of them are bought."""
    time, model = Time(), Model(*[TruncatedStreamError("cut")] * 9)
    with pytest.raises(TruncatedStreamError):
        await ask(model, time)
    assert model.asked == 3


async def test_waits_are_spread_over_half_of_their_length() -> None:
    """Those who failed together do not come back together."""
    shortest, longest = Time(), Time()
    await ask(Model(OverloadedError("full")), shortest, chance=0.0)
    await ask(Model(OverloadedError("full")), longest, chance=1.0)
    assert (shortest.slept, longest.slept) == ([0.25], [0.5])


@pytest.mark.parametrize("error", [AuthError("no"), InvalidInputError("no"), RunStoppedError("no", reason="user")])
async def test_what_cannot_succeed_is_not_repeated(error: DeskhandError) -> None:
    """A wrong key stays wrong."""
    time, model = Time(), Model(error)
    with pytest.raises(type(error)):
        await ask(model, time)
    assert (time.slept, model.asked) == ([], 1)


async def test_waits_stay_within_the_turns_deadline() -> None:
    """A wait that would end after the deadline is not begun."""
    time, model = Time(), Model(*[RateLimitedError("slow", retry_at=NOW + 50)] * 3)
    with pytest.raises(RateLimitedError):
        await ask(model, time, deadlines=Deadlines(total=40))
    assert time.slept == []


async def test_turn_that_never_ends_passes_its_deadline() -> None:
    """The total deadline cuts an attempt short."""

    async def never() -> str:
        await anyio.sleep_forever()
        return ""

    with anyio.fail_after(5), pytest.raises(DeadlineExceededError, match="not complete after"):
        await persist(
            never,
            patience=Patience(),
            deadlines=Deadlines(total=0.02),
            clock=Clock(),
            budget=RetryBudget(),
            afford=lambda _: None,
            on_retry=lambda _: None,
        )


def status_error(status: int, message: str = "why", headers: dict[str, str] | None = None) -> anthropic.APIStatusError:
    request = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
    body = {"type": "error", "error": {"type": "x", "message": message}}
    response = httpx2.Response(status, headers={"request-id": "req_9", **(headers or {})}, json=body, request=request)
    return anthropic.APIStatusError(f"Error code: {status}", response=response, body=body)


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (307, ConfigError, False),
        (400, InvalidInputError, False),
        (401, AuthError, False),
        (402, ProviderError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (408, DeadlineExceededError, True),
        (409, ConflictError, True),
        (413, PayloadTooLargeError, False),
        (418, ProviderError, False),
        (422, InvalidInputError, False),
        (429, RateLimitedError, True),
        (500, ProviderError, True),
        (502, ProviderError, True),
        (503, OverloadedError, True),
        (504, DeadlineExceededError, True),
        (529, OverloadedError, True),
    ],
)
def test_status_becomes_one_error(status: int, expected: type[DeskhandError], retryable: bool) -> None:
    """Each status has a class of ours, the vendor's words and its request id."""
    error = ANTHROPIC.map_error(status_error(status, "the reason"))
    assert type(error) is expected
    assert (error.retryable, error.request_id, error.provider) == (retryable, "req_9", "anthropic")
    assert "the reason" in str(error)


def test_error_says_what_to_do() -> None:
    """A wrong key and an unknown model come with a way out."""
    assert ANTHROPIC.map_error(status_error(401)).hint == "export ANTHROPIC_API_KEY=sk-ant-..."
    assert "claude-sonnet-5-5" in str(ANTHROPIC.map_error(status_error(404)).hint)


def test_other_sides_advice_is_heeded() -> None:
    """``x-should-retry`` decides where it is given, and ``retry-after`` becomes a time."""
    assert ANTHROPIC.map_error(status_error(500, headers={"x-should-retry": "false"})).retryable is False
    assert ANTHROPIC.map_error(status_error(400, headers={"x-should-retry": "true"})).retryable is True
    assert ANTHROPIC.map_error(status_error(429, headers={"retry-after": "5"}), lambda: NOW).retry_at == NOW + 5


REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")


@pytest.mark.parametrize(
    ("raised", "expected", "retryable"),
    [
        (anthropic.APIConnectionError(request=REQUEST), ConnectionLostError, True),
        (anthropic.APITimeoutError(request=REQUEST), DeadlineExceededError, True),
        (httpx2.RemoteProtocolError("peer closed"), ConnectionLostError, True),
        (httpx2.ReadError("reset"), ConnectionLostError, True),
        (httpx2.ReadTimeout("slow"), DeadlineExceededError, True),
        (httpx2.UnsupportedProtocol("ftp"), ConfigError, False),
        (httpx2.InvalidURL("bad port"), ConfigError, False),
        (httpx2.LocalProtocolError("Illegal header value b'Bearer x'"), ConfigError, False),
        (httpx2.LocalProtocolError("odd"), ConnectionLostError, True),
        (UnicodeEncodeError("ascii", "sk-ä", 3, 4, "ordinal not in range"), ConfigError, False),
        (json.JSONDecodeError("bad", "x", 0), ProtocolError, False),
        (IndexError("list index out of range"), ProtocolError, False),
        (anthropic.AnthropicError("odd"), ProviderError, False),
        (TypeError("Could not resolve authentication method."), ConfigError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_everything_that_the_vendors_client_raises_is_mapped(
    raised: Exception, expected: type[DeskhandError], retryable: bool
) -> None:
    """No foreign exception gets past the door."""
    error = ANTHROPIC.map_error(raised)
    assert (type(error), error.retryable) == (expected, retryable)


@pytest.mark.parametrize(
    ("event", "what"),
    [
        pytest.param(b"data: " + b"x" * 90, "event", id="one long line"),
        pytest.param(b"data: xxxxxxxx\n" * 10, "event", id="many lines"),
        pytest.param(b'data: {"type": "x"}\n\n' * 20, "answer", id="many events"),
    ],
)
async def test_answer_without_end_is_refused(event: bytes, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One event is bounded, and so is the whole answer."""
    monkeypatch.setattr(sse, "MAX_EVENT", 64)
    monkeypatch.setattr(sse, "MAX_ANSWER", 200)
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=event)
    )
    async with (
        httpx2.AsyncClient(transport=transport) as http,
        anthropic.AsyncAnthropic(api_key="sk-ant-fake", http_client=http) as client,
        AnthropicDoor(client).stream(Transcript(MESSAGES, {"model": "claude-sonnet-5-5"}).request()) as batches,
    ):
        with pytest.raises(PayloadTooLargeError, match=what):
            async for _ in batches:
                pass
