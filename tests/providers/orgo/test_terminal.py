"""The terminal's socket: what the shell shows is data, and every way in which it can end has its error."""

from __future__ import annotations

import logging

import anyio
import pytest
import websockets.asyncio.server
from pydantic import SecretStr

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConnectionLostError,
    DeskhandError,
    InvalidInputError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers import Capability
from deskhand.providers.orgo.terminal import open_terminal
from deskhand.testing.simulators import OrgoDialect
from deskhand.testing.simulators.front import Breakage
from tests.providers.behind import shell_only
from tests.providers.orgo.parts import orgo
from tests.providers.terminals import has_closed, runs_a_shell, until


@pytest.mark.parametrize("auth", ["query", "header"])
async def test_terminal_runs_a_shell(auth: str) -> None:
    """What is typed runs, characters that are sent in halves are whole, and what looks like a frame is data."""
    dialect = OrgoDialect(terminal_auth="header" if auth == "header" else "query", id_field="neither")
    async with orgo(shell_only, dialect=dialect) as hosted:
        computer = await hosted.create()
        async with computer.terminal(columns=100, rows=30) as terminal:
            await runs_a_shell(terminal)


async def test_terminals_size_is_checked() -> None:
    """At opening and later."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        with pytest.raises(InvalidInputError, match="columns"):
            await computer.terminal(columns=0).__aenter__()
        async with computer.terminal() as terminal:
            with pytest.raises(InvalidInputError, match="rows"):
                await terminal.resize(80, 5000)


async def test_token_is_asked_for_each_time_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A restart changes it; it is in no log line, and the endpoint holds it as a secret."""
    caplog.set_level(logging.DEBUG)
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        box = hosted.simulator.computers[computer.info.id]
        async with computer.terminal() as terminal:
            await until(terminal, b"$")
        old = box.vnc_password
        await computer.restart()
        assert box.vnc_password != old
        async with computer.terminal() as terminal:
            await until(terminal, b"$")
        endpoint = await computer.shell_endpoint()
        assert (endpoint.kind, endpoint.token) == ("websocket", SecretStr(box.vnc_password))
        assert endpoint.uri == f"ws://127.0.0.1:{hosted.simulator.port}/desktops/{box.instance_id}/ws/terminal"
        assert old not in f"{caplog.text}{endpoint!r}"
        assert box.vnc_password not in f"{caplog.text}{endpoint!r}"


@pytest.mark.parametrize(
    ("how", "code", "kind"),
    [
        ("abort", 0, ConnectionLostError),
        ("half", 0, ConnectionLostError),
        ("close", 4500, ProviderError),
        ("close", 4401, AuthError),
        ("close", 4404, ComputerGoneError),
        ("close", 1011, ProviderError),
        ("close", 1001, None),
        ("close", 1000, None),
    ],
)
async def test_terminal_that_closes_says_why(how: Breakage, code: int, kind: type[DeskhandError] | None) -> None:
    """A stop is an end, everything else an error; afterwards nothing can be sent."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal() as terminal:
            await until(terminal, b"$")
            await hosted.simulator.break_sockets(how, code=code)
            await has_closed(terminal, kind, "orgo")


async def test_terminal_of_a_computer_that_does_not_run_is_refused() -> None:
    """The refusal comes when it is opened, not at its first use."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.stop()
        with pytest.raises(ComputerGoneError) as caught:
            await computer.terminal().__aenter__()
        assert caught.value.hint == "start it first"


async def test_terminal_route_that_vanishes_takes_its_capability() -> None:
    """What turns out to be missing is not offered any more."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        assert Capability.TERMINAL in computer.capabilities
        hosted.simulator.remove("terminal")
        with pytest.raises(UnsupportedError):
            await computer.terminal().__aenter__()
        assert Capability.TERMINAL not in computer.capabilities
        assert (await computer.shell_endpoint()).kind == "exec-only"


@pytest.mark.parametrize(
    "frame",
    ["no json", "[1]", "[" * 100_000, '{"type": "output"} x', b"\x00\x01", '{"type": "output", "data": "\\ud800"}'],
)
async def test_frames_that_are_none_end_the_terminal(frame: str | bytes) -> None:
    """What the other side must not send is a broken protocol, or is shown as it came: never a crash."""

    async def serve(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.send(frame)
        await socket.wait_closed()

    async with websockets.asyncio.server.serve(serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        uri = f"ws://127.0.0.1:{port}/desktops/x/ws/terminal"
        async with open_terminal(uri, SecretStr("t"), columns=80, rows=24) as terminal:
            with anyio.fail_after(10), pytest.raises(ProtocolError):
                _ = [data async for data in terminal]


async def test_what_is_raised_while_a_terminal_is_open_says_nothing_of_its_route() -> None:
    """Whoever uses it may find something else missing."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        with pytest.raises(UnsupportedError):
            async with computer.terminal():
                computer.require(Capability.PORTS)
        assert Capability.TERMINAL in computer.capabilities
