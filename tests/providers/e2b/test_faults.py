"""What E2B's errors mean, one row each: those of its API, of the daemon in a sandbox, and at the end of a stream."""

from __future__ import annotations

import json
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers import ComputerStatus
from deskhand.providers.e2b import E2BComputer
from tests.providers.behind import shell_only
from tests.providers.e2b.parts import e2b

Kind = type[DeskhandError]


class Row(NamedTuple):
    """What the API answers with, and what that means: the class, its effect, whether to repeat it, a word of advice."""

    status: int
    said: str
    code: str
    kind: Kind
    effect: str
    again: bool
    advice: str


API: list[tuple[int, str, str, Kind, str, bool, str]] = [
    (400, "timeout cannot be greater than 1 hours", "", InvalidInputError, "no", False, "shorter ttl"),
    (400, "bad request", "", InvalidInputError, "no", False, ""),
    (401, "Invalid API key", "", AuthError, "no", False, "E2B_API_KEY"),
    (402, "no balance", "", QuotaError, "no", False, "billing"),
    (403, "team limit reached", "", QuotaError, "no", False, "destroy one"),
    (403, "forbidden", "", PermissionDeniedError, "no", False, ""),
    (404, "template 'x' not found", "", NotFoundError, "no", False, "template list"),
    (404, "no such route", "", UnsupportedError, "no", False, "capabilities"),
    (409, "no", "sandbox_snapshot_guest_agent_unresponsive", ConflictError, "no", False, "from_disk"),
    (409, "no", "idempotency_in_progress", OverloadedError, "unknown", True, "again"),
    (409, "no", "idempotency_outcome_unknown", ProviderError, "unknown", False, ""),
    (429, "you have reached the maximum number of concurrent sandboxes", "", QuotaError, "no", False, "pause one"),
    (429, "slow down", "", RateLimitedError, "no", True, ""),
    (500, "internal", "", ProviderError, "unknown", True, ""),
    (500, "not this time", "sandbox_create_failed", OverloadedError, "no", True, "again"),
    (500, "never", "sandbox_create_refused", ProviderError, "no", False, "template"),
    (502, "bad gateway", "", OverloadedError, "unknown", True, ""),
    (503, "no room", "sandbox_capacity_unavailable", OverloadedError, "no", True, "again"),
    (503, "no place", "sandbox_placement_timeout", OverloadedError, "unknown", True, "again"),
    (503, "the node is busy", "", OverloadedError, "no", True, "again"),
    (504, "gateway timeout", "", DeadlineExceededError, "unknown", True, ""),
]


@pytest.mark.parametrize("row", [Row(*row) for row in API], ids=lambda row: f"{row.status} {row.code or row.said}"[:30])
async def test_errors_of_the_api_have_their_class(row: Row) -> None:
    """For what changes something and may be repeated; its request's id and the vendor's words are there."""
    async with e2b() as hosted:
        computer = await hosted.create()
        extra = {"error_code": row.code} if row.code else {}
        hosted.simulator.fail(row.status, route="set_timeout", message=row.said, extra=extra, times=3)
        with pytest.raises(DeskhandError) as caught:
            await computer.extend(60)
        error = caught.value
        assert (type(error), error.effect, error.retryable) == (row.kind, row.effect, row.again)
        assert row.advice in (error.hint or "")
        assert row.said in error.message
        assert error.provider == "e2b"
        assert hosted.simulator.key not in f"{error}{error!r}"
        assert len(hosted.simulator.asked("set_timeout")) == (3 if row.again else 1)
        assert computer.info.status is ComputerStatus.RUNNING


FILES: list[tuple[int, str, Kind, bool]] = [
    (400, "path is not valid", InvalidInputError, False),
    (401, "access token is wrong", AuthError, False),
    (403, "permission denied", PermissionDeniedError, False),
    (404, "path '/x' does not exist", FileMissingError, False),
    (429, "slow down", RateLimitedError, True),
    (500, "cannot be read", ProviderError, True),
    (502, "The sandbox is running but port is not open", OverloadedError, True),
    (507, "not enough disk space", ProviderError, False),
]


@pytest.mark.parametrize(("status", "said", "kind", "again"), FILES)
async def test_errors_of_the_file_route_have_their_class(status: int, said: str, kind: Kind, again: bool) -> None:
    """Of a question nothing took effect, and it is asked again where that may help."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(status, route="read_file", message=said, times=3)
        with pytest.raises(DeskhandError) as caught:
            await computer.read_bytes("x")
        assert (type(caught.value), caught.value.effect, caught.value.retryable) == (kind, "no", again)
        assert said in caught.value.message
        assert len(hosted.simulator.asked("read_file")) == (3 if again else 1)
        assert computer.info.status is ComputerStatus.RUNNING
        hosted.simulator.clear_faults()
        with pytest.raises(FileMissingError):
            await computer.read_bytes("x")


async def test_sandbox_that_the_proxy_does_not_find_is_asked_about() -> None:
    """The API says whether it is gone: then nothing is asked of it any more; if it runs, the next use may go well."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(502, route="stat", message="The sandbox was not found")
        with pytest.raises(ComputerGoneError) as caught:
            await computer.stat("x")
        assert (caught.value.effect, computer.info.status) == ("no", ComputerStatus.RUNNING)
        await computer.write_file("x", b"")
        await hosted.simulator.vanish(computer.info.id)
        with pytest.raises(ComputerGoneError):
            await computer.stat("x")
        before = len(hosted.simulator.requests)
        with pytest.raises(ComputerGoneError):
            await computer.stat("x")
        assert len(hosted.simulator.requests) == before


CODES: dict[str, tuple[Kind, bool]] = {
    "canceled": (OutcomeUnknownError, False),
    "unknown": (ProviderError, False),
    "invalid_argument": (InvalidInputError, False),
    "deadline_exceeded": (OutcomeUnknownError, False),
    "not_found": (FileMissingError, False),
    "already_exists": (ConflictError, False),
    "permission_denied": (PermissionDeniedError, False),
    "resource_exhausted": (RateLimitedError, True),
    "failed_precondition": (ConflictError, False),
    "aborted": (ConflictError, False),
    "out_of_range": (InvalidInputError, False),
    "unimplemented": (UnsupportedError, False),
    "internal": (ProviderError, False),
    "unavailable": (OverloadedError, False),
    "data_loss": (ProviderError, False),
    "unauthenticated": (AuthError, False),
    "of tomorrow": (ProviderError, False),
}
"""Every code that a stream of the daemon may end with."""
DOUBTS = {"canceled", "unknown", "deadline_exceeded", "internal", "unavailable", "data_loss", "of tomorrow"}
"""Those that do not say whether anything was done."""


def envelope(message: object, flags: int = 0) -> bytes:
    """Pack a message of a stream."""
    data = json.dumps(message).encode()
    return struct.pack(">BI", flags, len(data)) + data


def ended(code: str) -> bytes:
    """Pack the end of a stream that has failed."""
    return envelope({"error": {"code": code, "message": "so it is"}}, 2)


STARTED = envelope({"event": {"start": {"pid": 5}}})
STREAM = "application/connect+json"


@pytest.mark.parametrize("code", CODES)
async def test_codes_at_the_end_of_a_stream_have_their_class(code: str) -> None:
    """Before the command has begun they say what became of it; afterwards it has run, whatever they say."""
    kind, again = CODES[code]
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(ended(code), route="start", content_type=STREAM)
        with pytest.raises(DeskhandError, match="so it is") as caught:
            await computer.exec("true")
        effect = "unknown" if code in DOUBTS else "no"
        assert (type(caught.value), caught.value.effect, caught.value.retryable) == (kind, effect, again)
        hosted.simulator.respond(STARTED + ended(code), route="start", content_type=STREAM)
        with pytest.raises(DeskhandError, match="so it is") as caught:
            await computer.exec("true")
        assert (type(caught.value), caught.value.effect) == (kind, "unknown")
        assert not caught.value.retryable
        assert (await computer.exec("echo still there")).ok


async def test_refused_command_ends_nothing_and_one_that_began_is_ended() -> None:
    """What certainly did not start needs no end; what may run on is looked for, with a stream that broke or without."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(429, route="start", message="slow down")
        with pytest.raises(RateLimitedError):
            await computer.exec("true")
        assert not hosted.simulator.asked("send_signal")
        for body in (STARTED, STARTED + STARTED[:-1], STARTED + ended("resource_exhausted")):
            before = len(hosted.simulator.asked("send_signal"))
            hosted.simulator.respond(body, route="start", content_type=STREAM)
            with pytest.raises(DeskhandError) as caught:
                await computer.exec("true")
            assert caught.value.effect == "unknown"
            assert len(hosted.simulator.asked("send_signal")) == before + 1


async def answered_with(body: bytes, content_type: str = STREAM) -> DeskhandError:
    """Return the error of a command that is answered like this."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(body, route="start", content_type=content_type)
        with pytest.raises(DeskhandError) as caught, anyio.fail_after(20):
            await computer.exec("true")
        return caught.value


NO_STREAMS: dict[str, tuple[bytes, str]] = {
    "a page": (b"<html>Sign in</html>", "text/html"),
    "plain JSON": (b'{"event": {"start": {"pid": 5}}}', "application/json"),
    "another codec": (STARTED, "application/connect+proto"),
    "no envelope": (b"<html>Sign in</html>", STREAM),
    "a packed message": (b"\x01" + STARTED[1:], STREAM),
    "flags of tomorrow": (b"\x40" + STARTED[1:], STREAM),
    "a message without end": (struct.pack(">BI", 0, 0xFFFF_FFFF) + b"x" * 100, STREAM),
    "no JSON": (struct.pack(">BI", 0, 3) + b"{x}", STREAM),
    "a list": (envelope([]), STREAM),
    "NaN": (struct.pack(">BI", 0, 9) + b'{"a":NaN}', STREAM),
    "half a message": (STARTED[:-1], STREAM),
    "no end": (STARTED, STREAM),
    "an end of nothing": (envelope({}, 2), STREAM),
    "output that is no base64": (STARTED + envelope({"event": {"data": {"stdout": "%%%"}}}), STREAM),
    "nothing": (b"", STREAM),
}


@pytest.mark.parametrize("what", NO_STREAMS)
async def test_answer_that_is_no_stream_is_told(what: str) -> None:
    """Whatever came in its place, the command's outcome is unknown, and nothing is made up."""
    error = await answered_with(*NO_STREAMS[what])
    assert (type(error), error.effect) == (ProtocolError, "unknown")


async def test_events_of_tomorrow_are_passed_over() -> None:
    """As are those that say that it is still there; a code of 0 is left out by the daemon, one that is none is none."""
    end: dict[str, object] = {"exited": True, "status": "exit status 0"}
    others: list[object] = [{}, {"event": 7}, {"event": {"keepalive": {}}}, {"event": {"new": {}}}]
    more = b"".join(envelope(one) for one in others)
    data = envelope({"event": {"data": {"stdout": "aGk=", "video": "x", "stderr": 7}}})
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        for fields, code, said in (
            (end, 0, None),
            (end | {"exitCode": 3}, 3, None),
            (end | {"exitCode": "3"}, None, "exit status"),
            ({"status": "signal: killed", "exitCode": -1}, None, "signal: killed"),
            ({}, None, "killed"),
        ):
            body = more + STARTED + more + data + envelope({"event": {"end": fields}})
            hosted.simulator.respond(body, route="start", content_type=STREAM)
            result = await computer.exec("true")
            assert (result.output, result.exit_code) == ("hi", code)
            assert (said in (result.error or "")) if said else result.error is None


async def test_command_that_does_not_begin_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without a head, and a head alone, end at their deadlines; the outcome is unknown."""
    monkeypatch.setattr("deskhand.providers.e2b.processes._HEAD", 0.5)
    monkeypatch.setattr("deskhand.providers.e2b.connect._SILENCE", 0.5)
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        for after in (None, 3):
            hosted.simulator.stall(after=after, route="start")
            with anyio.fail_after(20), pytest.raises(OutcomeUnknownError):
                await computer.exec("echo hi")


async def test_daemon_that_cannot_be_reached_had_no_effect() -> None:
    """The API answers, the daemon's address does not: nothing was done, which is told, and nothing was lost."""
    uses: list[Callable[[E2BComputer], Awaitable[object]]] = [
        lambda computer: computer.exec("true"),
        lambda computer: computer.write_file("file", b"x"),
        lambda computer: computer.delete("file"),
        lambda computer: computer.terminal().__aenter__(),
    ]
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        computer._processes.daemon._base = "http://127.0.0.1:9"
        for use in uses:
            with pytest.raises(ConnectionLostError) as caught:
                await use(computer)
            assert (caught.value.effect, caught.value.retryable) == ("no", True)
        assert computer.info.status is ComputerStatus.RUNNING


async def test_errors_and_logs_hold_no_token_of_a_sandbox(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy may repeat what was sent to it: neither of two sandboxes' tokens is told on."""
    caplog.set_level("DEBUG")
    async with e2b(shell_only) as hosted:
        computers = [await hosted.create(), await hosted.create()]
        tokens = [one.token.get_secret_value() for one in hosted.simulator.computers.values()]
        for computer in computers:
            for route, use in (("stat", computer.stat), ("read_file", computer.read_bytes)):
                hosted.simulator.fail(403, route=route, message=f"x-access-token: {' '.join(tokens)}")
                with pytest.raises(DeskhandError, match="redacted") as caught:
                    await use("x")
                assert not any(token in f"{caught.value}{caught.value!r}" for token in tokens)
            assert not any(token in f"{computer!r}{computer.info!r}" for token in tokens)
        assert not any(token in caplog.text for token in tokens)
