"""What Daytona's errors mean, one row each: those of its control plane, and those of the toolbox in a sandbox."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from pydantic_core import to_json

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    OutcomeUnknownError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers import ComputerSpec, ComputerStatus, Region
from deskhand.providers.daytona import DaytonaComputer
from tests.providers.daytona.parts import daytona


class Row(NamedTuple):
    """What Daytona answers with, and what that means: the class, its effect, whether to repeat it, a word of advice."""

    status: int
    said: str
    code: str
    kind: type[DeskhandError]
    effect: str
    again: bool
    advice: str


CONTROL = [
    Row(400, "no IP address found. Is the Sandbox started?", "", ConflictError, "no", True, "start it"),
    Row(400, "Sandbox is not started", "", ConflictError, "no", True, "start it"),
    Row(400, "Sandbox is not stopped", "", ConflictError, "no", False, "stop it"),
    Row(400, "Sandbox is not in valid state", "", ConflictError, "no", False, "refresh"),
    Row(400, "Total CPU quota exceeded", "", QuotaError, "no", False, "limits"),
    Row(400, "disk limit exceeded", "", QuotaError, "no", False, "limits"),
    Row(400, "ttl must be a number", "", InvalidInputError, "no", False, ""),
    Row(401, "Unauthorized", "", AuthError, "no", False, "DAYTONA_API_KEY"),
    Row(402, "pay first", "", QuotaError, "no", False, "limits"),
    Row(403, "Total memory limit exceeded", "", QuotaError, "no", False, "limits"),
    Row(403, "Organization is suspended: Depleted credits", "", QuotaError, "no", False, "billing"),
    Row(403, "Forbidden resource", "", PermissionDeniedError, "no", False, ""),
    Row(409, "a state change is in progress", "", ConflictError, "no", False, ""),
    Row(422, "unprocessable", "", InvalidInputError, "no", False, ""),
    Row(429, "slow down", "", RateLimitedError, "no", True, ""),
    Row(500, "internal", "", ProviderError, "unknown", True, ""),
    Row(502, "bad gateway", "", OverloadedError, "unknown", True, ""),
    Row(503, "unavailable", "", OverloadedError, "unknown", True, "again"),
    Row(504, "gateway timeout", "", DeadlineExceededError, "unknown", True, ""),
]
"""Of the control plane, when it is asked for what changes something and may be repeated."""

TOOLBOX = [
    Row(400, "no IP address found. Is the Sandbox started?", "", ConflictError, "no", True, "start it"),
    Row(400, "bad request", "INVALID_FILE_PATH", InvalidInputError, "no", False, ""),
    Row(403, "permission denied", "FILE_ACCESS_DENIED", PermissionDeniedError, "no", False, "owner"),
    Row(404, "file not found", "FILE_NOT_FOUND", FileMissingError, "no", False, ""),
    Row(404, "no such path", "", UnsupportedError, "no", False, "snapshot"),
    Row(408, "command execution timeout", "PROCESS_EXECUTION_TIMEOUT", DeadlineExceededError, "yes", False, "time"),
    Row(408, "request timeout", "", OutcomeUnknownError, "unknown", False, ""),
    Row(410, "PTY session is not active", "SESSION_ENDED", ComputerGoneError, "no", False, ""),
    Row(429, "slow down", "", RateLimitedError, "no", True, ""),
    Row(500, "panic", "", ProviderError, "unknown", False, "look whether"),
    Row(502, "bad gateway", "", OutcomeUnknownError, "unknown", False, ""),
    Row(503, "Computer-use functionality is not available", "", UnsupportedError, "no", False, "snapshot"),
    Row(503, "no room", "", OverloadedError, "unknown", False, "look whether"),
]
"""Of the toolbox, when it is asked for what must not arrive twice."""


def told(caught: DeskhandError, row: Row, key: str) -> None:
    """See that an error says what a row says, with the vendor's words and without the key."""
    assert (type(caught), caught.effect, caught.retryable) == (row.kind, row.effect, row.again)
    assert row.advice in (caught.hint or "")
    assert row.said in caught.message
    assert caught.provider == "daytona"
    assert key not in f"{caught}{caught!r}"


@pytest.mark.parametrize("row", CONTROL, ids=lambda row: f"{row.status} {row.said}"[:30])
async def test_errors_of_the_control_plane_have_their_class(row: Row) -> None:
    """What may be repeated is repeated where that may help, three times at most."""
    async with daytona() as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=600))
        extra = {"code": row.code} if row.code else {}
        hosted.simulator.fail(row.status, route="ttl", message=row.said, extra=extra, times=3)
        with pytest.raises(DeskhandError) as caught:
            await computer.extend(600)
        told(caught.value, row, hosted.simulator.key)
        assert len(hosted.simulator.asked("ttl")) == (3 if row.again else 1)
        assert computer.info.status is ComputerStatus.RUNNING


@pytest.mark.parametrize("row", TOOLBOX, ids=lambda row: f"{row.status} {row.code or row.said}"[:30])
async def test_errors_of_the_toolbox_have_their_class(row: Row) -> None:
    """What must not arrive twice is sent once; a sandbox that the control plane knows is not gone."""
    async with daytona() as hosted:
        computer = await hosted.create()
        extra = {"code": row.code} if row.code else {}
        hosted.simulator.fail(row.status, route="execute", message=row.said, extra=extra)
        before = len(hosted.simulator.asked("execute"))
        with pytest.raises(DeskhandError) as caught:
            await computer.exec("echo hi")
        told(caught.value, row, hosted.simulator.key)
        assert len(hosted.simulator.asked("execute")) == before + 1
        assert computer.info.status is ComputerStatus.RUNNING


async def test_toolbox_that_cannot_be_reached_had_no_effect() -> None:
    """The control plane answers, the toolbox's address does not: nothing was done, which is told."""
    uses: list[Callable[[DaytonaComputer], Awaitable[object]]] = [
        lambda computer: computer.exec("true"),
        lambda computer: computer.left_click(1, 1),
        lambda computer: computer.exec_stream("true").__aenter__(),
        lambda computer: computer.terminal().__aenter__(),
    ]
    async with daytona() as hosted:
        computer = await hosted.create()
        hosted.simulator.toolbox_origin = "http://127.0.0.1:9"
        await computer.refresh()
        for use in uses:
            with pytest.raises(ConnectionLostError) as caught:
                await use(computer)
            assert caught.value.effect == "no"
        hosted.simulator.toolbox_origin = None
        await computer.refresh()
        await computer.left_click(1, 1)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/toolbox", "http://user:word@127.0.0.1/toolbox", "nonsense", 7])
async def test_toolbox_address_that_is_none_is_refused(address: object) -> None:
    """The key goes nowhere because an answer says so."""
    async with daytona() as hosted:
        computer = await hosted.create()
        fields = {"id": computer.info.id, "state": "started", "toolboxProxyUrl": address}
        hosted.simulator.respond(to_json(fields), route="get", content_type="application/json")
        if isinstance(address, str):
            with pytest.raises(DeskhandError) as caught:
                await computer.refresh()
            assert caught.value.effect == "no"
            assert "word" not in str(caught.value)
        else:
            await computer.refresh()
        await computer.left_click(1, 1)


async def test_answers_about_a_sandbox_that_make_no_sense_are_told() -> None:
    """A page, nothing, half an object, no id, a list without items: nothing is made up, and what there is stays."""
    async with daytona() as hosted:
        computer = await hosted.create()
        for body in (b"<html>", b"", b'{"id": ', b"[]", b"null", b'{"id": NaN}'):
            hosted.simulator.respond(body, route="get")
            with pytest.raises(ProtocolError) as caught:
                await computer.refresh()
            assert caught.value.effect == "no"
            hosted.simulator.respond(body, route="list")
            with pytest.raises(ProtocolError):
                await hosted.provider.list()
        hosted.simulator.respond(b'{"items": {}}', route="list", content_type="application/json")
        with pytest.raises(ProtocolError, match="lists no sandboxes"):
            await hosted.provider.list()
        hosted.simulator.respond(b'{"state": "started"}', route="get", content_type="application/json")
        with pytest.raises(ProtocolError, match="no id"):
            await hosted.provider.get("another")
        hosted.simulator.respond(b'{"id": "another", "state": "destroyed"}', route="get")
        await computer.refresh()
        assert computer.info.status is ComputerStatus.RUNNING


async def test_redirect_of_the_toolbox_is_not_followed_with_the_key() -> None:
    """Nor one of the control plane; what acts is not sent again elsewhere."""
    async with daytona() as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(b"", status=307, route="click")
        with pytest.raises(DeskhandError, match="redirects") as caught:
            await computer.left_click(1, 1)
        assert (caught.value.code, caught.value.effect) == ("config", "no")
        hosted.simulator.respond(b"", status=308, route="get")
        with pytest.raises(DeskhandError, match="redirects"):
            await computer.refresh()


async def test_screenshot_that_is_none_is_refused() -> None:
    """No base64, no picture, or one of another size than was asked for."""
    async with daytona() as hosted:
        computer = await hosted.create()
        for body in (b"{}", b'{"screenshot": "%%%"}', b'{"screenshot": "aGVsbG8="}'):
            hosted.simulator.respond(body, route="screenshot", content_type="application/json")
            with pytest.raises(ProtocolError):
                await computer.screenshot()
        whole = await computer.screenshot()
        wrong = b'{"screenshot": "%s"}' % base64.b64encode(whole)
        hosted.simulator.respond(wrong, route="region", content_type="application/json")
        with pytest.raises(ProtocolError, match="another size"):
            await computer.screenshot(region=Region(0, 0, 8, 8))
