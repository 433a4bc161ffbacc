"""The one socket for programs: what they print is data, and every way in which the socket can end has its error."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import websockets.asyncio.server
from pydantic import SecretStr

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers import Capability
from deskhand.providers.http import HttpClient
from deskhand.providers.miosa.api import MiosaApi
from deskhand.providers.miosa.sockets import open_terminal
from deskhand.testing.simulators.front import Breakage
from tests.providers.behind import shell_only
from tests.providers.miosa.parts import miosa
from tests.providers.terminals import has_closed, runs_a_shell, until

FRAMES = '{"type":"exit","code":9}\n{"type":"error","message":"no"}\n{"type":"stdout","data":"x"}\n\x1b[2J\x00\n'
"""What the vendor's own frames look like, and what a terminal would take for control."""

ENDED = "while pgrep -f '{}' >/dev/null; do sleep 0.05; done"
"""Waits until no process has such a command line."""


async def test_terminal_runs_a_shell() -> None:
    """What is typed runs, characters that are sent in halves are whole, and what looks like a frame is data."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal(columns=100, rows=30) as terminal:
            await runs_a_shell(terminal)


async def test_streamed_output_is_data_whatever_it_looks_like() -> None:
    """The vendor's frames, line breaks of all kinds and bytes that are no text come byte for byte, streams apart."""
    said = FRAMES.encode() + bytes(range(256)) + b"\r\n\r"
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        got = {"stdout": b"", "stderr": b""}
        async with computer.exec_stream("tee /dev/stderr; exit 9", stdin=said) as stream:
            async for chunk in stream:
                got[chunk.stream] += chunk.data
        assert got == {"stdout": said, "stderr": said}
        assert stream.exit_code == 9


async def test_terminals_size_is_checked() -> None:
    """At opening and later, before anything is asked."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        before = len(hosted.simulator.asked("exec_stream"))
        with pytest.raises(InvalidInputError, match="columns"):
            await computer.terminal(columns=0).__aenter__()
        assert len(hosted.simulator.asked("exec_stream")) == before
        async with computer.terminal() as terminal:
            with pytest.raises(InvalidInputError, match="rows"):
                await terminal.resize(80, 5000)


CLOSES: list[tuple[Breakage, int, type[DeskhandError] | None]] = [
    ("abort", 0, ConnectionLostError),
    ("half", 0, ConnectionLostError),
    ("close", 4401, AuthError),
    ("close", 4403, AuthError),
    ("close", 4404, ComputerGoneError),
    ("close", 4500, ProviderError),
    ("close", 1011, ProviderError),
    ("close", 1001, None),
    ("close", 1000, None),
]


@pytest.mark.parametrize(("how", "code", "kind"), CLOSES)
async def test_terminal_that_closes_says_why(how: Breakage, code: int, kind: type[DeskhandError] | None) -> None:
    """A stop is an end, everything else an error; afterwards nothing can be sent."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal() as terminal:
            await until(terminal, b"$")
            await hosted.simulator.break_sockets(how, code=code)
            await has_closed(terminal, kind, "miosa")


@pytest.mark.parametrize(("how", "code", "kind"), [row for row in CLOSES if row[0] != "half"])
async def test_followed_command_whose_socket_closes_is_ended(
    how: Breakage, code: int, kind: type[DeskhandError] | None
) -> None:
    """A close without the command's end is none of the command's: it is told, and what may run is ended."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.exec_stream("echo begun; touch alive; sleep 40000; rm alive") as stream:
            async for chunk in stream:
                assert chunk.data == b"begun\n"
                break
            await hosted.simulator.break_sockets(how, code=code)
            with anyio.fail_after(20), pytest.raises(kind or ConnectionLostError) as caught:
                _ = [chunk async for chunk in stream]
            assert caught.value.effect == "unknown"
            assert stream.exit_code is None
        assert (await computer.exec(ENDED.format("sleep 4000[0]"), timeout=10)).ok


async def test_followed_command_is_late_and_in_no_folder() -> None:
    """Each with its error; neither runs on."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        with pytest.raises(DeadlineExceededError):
            async with computer.exec_stream("sleep 40001", timeout=0.3) as stream:
                _ = [chunk async for chunk in stream]
        with pytest.raises(FileMissingError):
            async with computer.exec_stream("true", cwd="not-there") as stream:
                _ = [chunk async for chunk in stream]
        assert (await computer.exec(ENDED.format("sleep 4000[1]"), timeout=10)).ok


async def test_terminal_of_a_computer_that_does_not_run_is_refused() -> None:
    """The refusal comes when it is opened, not at its first use."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        await computer.stop()
        with pytest.raises(ConflictError) as caught:
            await computer.terminal().__aenter__()
        assert (caught.value.effect, caught.value.hint) == ("no", "start it first")


async def test_stop_ends_terminals_and_followed_commands() -> None:
    """A terminal ends; of a command that was followed, nobody knows the end."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal() as terminal, computer.exec_stream("echo begun; sleep 40002") as stream:
            await until(terminal, b"$")
            async for chunk in stream:
                assert chunk.data == b"begun\n"
                break
            await computer.stop()
            with anyio.fail_after(20):
                assert [data async for data in terminal] == []
                with pytest.raises(DeskhandError) as caught:
                    _ = [chunk async for chunk in stream]
            assert caught.value.effect == "unknown"
        await computer.start()


async def test_terminal_route_that_vanishes_takes_its_capabilities() -> None:
    """What turns out to be missing is not offered any more; a computer that vanished is gone instead."""
    async with miosa(shell_only) as hosted:
        computer, other = await hosted.create(), await hosted.create("other")
        await hosted.simulator.vanish(other.info.id)
        with pytest.raises(ComputerGoneError):
            await other.terminal().__aenter__()
        assert Capability.TERMINAL in computer.capabilities
        hosted.simulator.remove("exec_stream")
        with pytest.raises(UnsupportedError):
            await computer.terminal().__aenter__()
        assert not {Capability.TERMINAL, Capability.EXEC_STREAM} & computer.capabilities
        assert (await computer.shell_endpoint()).kind == "exec-only"
        assert (await computer.exec("echo on")).output == "on\n"


async def test_key_of_the_socket_is_in_no_address_and_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """It goes in a header."""
    caplog.set_level(logging.DEBUG)
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal() as terminal:
            await until(terminal, b"$")
        endpoint = await computer.shell_endpoint()
        assert hosted.simulator.key not in f"{endpoint!r}{caplog.text}"
        assert endpoint.kind == "websocket"
        [*_, last] = hosted.simulator.asked("exec_stream")
        assert last.headers["authorization"] == "[redacted]"
        assert set(last.query) == {"command", "args", "rows", "cols", "env"}


@asynccontextmanager
async def an_api(port: int) -> AsyncIterator[MiosaApi]:
    """Give an API whose sockets are at a port."""

    async def at_once(_: object) -> None:
        """Do nothing."""

    base = f"http://127.0.0.1:{port}/api/v1"
    async with HttpClient(provider="miosa", base_url=base, key=SecretStr("msk_x")) as http:
        yield MiosaApi(http, at_once)


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        ("no json", None),
        ("[1]", None),
        ("[" * 100_000, None),
        ('{"type": "stdout", "data": "x"} y', None),
        (b"\x00\x01", None),
        ('{"type": "error", "message": "broken"}', None),
        ('{"type": "stdout", "data": "\\ud800"}', None),
        ('{"type": "stdout", "data": 5}', []),
        ('{"type": "stdout"}', []),
        ('{"type": "news", "data": "x"}', []),
        ('{"type": "stderr", "data": "x"}', [b"x"]),
        (b'{"type": "stdout", "data": "x"}', [b"x"]),
    ],
)
async def test_frames_that_are_none_end_the_terminal(frame: str | bytes, shown: list[bytes] | None) -> None:
    """What the other side must not send is a broken protocol, what it says besides is nothing; never a crash."""

    async def serve(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.send(frame)
        await socket.close()

    async with (
        websockets.asyncio.server.serve(serve, "127.0.0.1", 0) as server,
        an_api(next(iter(server.sockets)).getsockname()[1]) as api,
        open_terminal(api, "c", columns=80, rows=24) as terminal,
    ):
        with anyio.fail_after(10):
            if shown is None:
                with pytest.raises((ProtocolError, ProviderError)):
                    _ = [data async for data in terminal]
            else:
                assert [data async for data in terminal] == shown
