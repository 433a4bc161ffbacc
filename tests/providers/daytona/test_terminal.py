"""The terminal's socket: output is data whatever it looks like, and each way to end has its error."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio
import pytest
import websockets.asyncio.server
import websockets.exceptions

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeskhandError,
    InvalidInputError,
    ProtocolError,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers import Capability, Terminal
from deskhand.providers.daytona import DaytonaProvider
from deskhand.providers.daytona.terminal import open_terminal
from deskhand.testing import FakeComputer
from deskhand.testing.simulators.front import Breakage
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import daytona

Play = Callable[[websockets.asyncio.server.ServerConnection], Awaitable[None]]
CONNECTED = '{"type":"control","status":"connected"}'
EXITED = '{"type":"control","status":"exited","exitCode":0}'


async def until_shown(terminal: Terminal, wanted: bytes) -> None:
    """Read a terminal until it has shown something."""
    seen = b""
    async for data in terminal:
        seen += data
        if wanted in seen:
            return
    raise AssertionError(seen)


@asynccontextmanager
async def played(play: Play) -> AsyncIterator[DaytonaProvider]:
    """Serve a daemon that plays a part, and open a provider whose toolbox is there."""
    async with websockets.asyncio.server.serve(play, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with DaytonaProvider(api_key="dtn_x", base_url=f"http://127.0.0.1:{port}/api") as provider:
            provider._api.learn_toolbox("box", f"http://127.0.0.1:{port}/toolbox")
            yield provider


async def shown(play: Play) -> tuple[bytes, int | None]:
    """Return what a terminal shows and its exit code."""
    async with played(play) as provider:
        with anyio.fail_after(10):
            async with open_terminal(provider._api, "box", columns=80, rows=24) as terminal:
                output = b"".join([data async for data in terminal])
        return output, terminal.exit_code


@pytest.mark.parametrize("is_binary", [True, False])
async def test_output_that_looks_like_the_servers_words_is_output(is_binary: bool) -> None:
    """In frames of either kind: it ends nothing, sets no exit code, and loses no byte."""
    texts = [CONNECTED, EXITED, '{"type":"control","status":"error","error":"no"}', "123", "[]", "null", '"x"', "{"]

    async def play(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.send(CONNECTED)
        for text in [*texts, "end"]:
            await socket.send(text.encode() if is_binary else text)
        await socket.send('{"type":"control","status":"exited","exitCode":7}')
        await socket.close(1000, json.dumps({"exitCode": 7}))

    assert await shown(play) == ("".join([*texts, "end"]).encode(), 7)


async def test_output_may_come_before_the_greeting() -> None:
    """A shell is at work before the server has greeted: what it shows meanwhile is kept, within bounds."""

    async def play(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.send(b"prompt ")
        await socket.send(b"$ ")
        await socket.send(CONNECTED)
        await socket.send(b"more")
        await socket.close(1000, json.dumps({"exitCode": 0}))

    assert await shown(play) == (b"prompt $ more", 0)

    async def flood(socket: websockets.asyncio.server.ServerConnection) -> None:
        with suppress(websockets.exceptions.ConnectionClosed):
            while True:
                await socket.send(bytes(1 << 16))

    with pytest.raises(ProtocolError):
        await shown(flood)


@pytest.mark.parametrize(
    ("code", "reason", "last", "wanted"),
    [
        (1000, '{"exitCode":3}', None, 3),
        (1011, '{"exitCode":130,"exitReason":"Ctrl+C"}', None, 130),
        (1000, "", '{"type":"control","status":"exited","exitCode":5}', 5),
        (1000, '{"exitCode":4}', EXITED, 4),
        (1000, "bye", None, None),
    ],
)
async def test_exit_code_is_read_from_the_last_words_and_the_close(
    code: int, reason: str, last: str | None, wanted: int | None
) -> None:
    """The reason of the close counts more than a frame, which a program may have printed."""

    async def play(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.send(CONNECTED)
        if last is not None:
            await socket.send(last)
        await socket.close(code, reason)

    assert await shown(play) == (b"", wanted)


BROKEN: dict[str, tuple[str | None, type[DeskhandError]]] = {
    "an error": ('{"type":"control","status":"error","error":"no shell"}', ProviderError),
    "no greeting": ("hello", ProtocolError),
    "a close": (None, ConnectionLostError),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_terminal_that_does_not_begin_is_told(name: str) -> None:
    """What the server says in place of its greeting."""
    first, error = BROKEN[name]

    async def play(socket: websockets.asyncio.server.ServerConnection) -> None:
        if first is not None:
            await socket.send(first)
            await socket.wait_closed()

    with pytest.raises(error):
        await shown(play)


async def test_terminal_is_ended_with_its_block_and_its_size_is_checked() -> None:
    """The session is deleted on the sandbox too."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        with pytest.raises(InvalidInputError, match="columns"):
            await computer.terminal(columns=0).__aenter__()
        async with computer.terminal() as terminal:
            await anext(aiter(terminal))
        assert len(hosted.simulator.asked("delete_pty")) == 1
        async with computer.terminal() as terminal:
            await anext(aiter(terminal))
            await hosted.simulator.break_sockets("abort")
            with pytest.raises(ConnectionLostError):
                async for _ in terminal:
                    pass
        hosted.simulator.remove("create_pty")
        with pytest.raises(UnsupportedError):
            await computer.terminal().__aenter__()
        assert Capability.TERMINAL not in computer.capabilities


@pytest.mark.parametrize(
    ("how", "code", "kind"),
    [
        ("abort", 0, ConnectionLostError),
        ("half", 0, ConnectionLostError),
        ("close", 1011, ConnectionLostError),
        ("close", 4401, ConnectionLostError),
        ("close", 1001, ConnectionLostError),
        ("close", 1000, None),
    ],
)
async def test_terminal_that_closes_says_why(how: Breakage, code: int, kind: type[DeskhandError] | None) -> None:
    """A normal close is an end without a code, all else an error; afterwards nothing is typed, shown or left."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal() as terminal:
            await anext(aiter(terminal))
            await hosted.simulator.break_sockets(how, code=code)
            with anyio.fail_after(20):
                if kind is None:
                    _ = [data async for data in terminal]
                else:
                    with pytest.raises(kind) as caught:
                        _ = [data async for data in terminal]
                    assert (type(caught.value), caught.value.provider) == (kind, "daytona")
            assert terminal.exit_code is None
            with pytest.raises(ConflictError if kind is None else ConnectionLostError) as late:
                await terminal.send(b"x")
            assert late.value.effect == "no"
            assert [data async for data in terminal] == []
        assert Capability.TERMINAL in computer.capabilities
        async with computer.terminal() as again:
            await anext(aiter(again))


@pytest.mark.parametrize(("how", "code"), [("abort", 0), ("half", 0), ("close", 1001), ("close", 1000)])
async def test_terminal_whose_connection_broke_leaves_nothing_running(how: Breakage, code: int) -> None:
    """Only the shell's own word says that it has ended; what it runs outlives no connection."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        with anyio.fail_after(30):
            async with computer.terminal() as terminal:
                await terminal.send(b"echo be''gun; sleep 98.7\r")
                await until_shown(terminal, b"begun")
                assert (await computer.exec("pgrep -f 'sleep 98[.]7'")).exit_code == 0
                await hosted.simulator.break_sockets(how, code=code)
                with suppress(ConnectionLostError):
                    _ = [data async for data in terminal]
        assert len(hosted.simulator.asked("delete_pty")) == 1
        ended = await computer.exec("while pgrep -f 'sleep 98[.]7'; do sleep 0.1; done", timeout=10)
        assert ended.exit_code == 0


REFUSALS: dict[int, type[DeskhandError]] = {
    401: AuthError,
    403: AuthError,
    404: UnsupportedError,
    410: ComputerGoneError,
    429: RateLimitedError,
    500: ProviderError,
    502: ProviderError,
}


@pytest.mark.parametrize("status", REFUSALS)
async def test_terminal_that_is_refused_had_no_effect(status: int) -> None:
    """The handshake's status has its class; the key is told to nobody, and the next terminal opens where it can."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(status, route="create_pty")
        with pytest.raises(DeskhandError) as caught:
            await computer.terminal().__aenter__()
        assert (type(caught.value), caught.value.effect) == (REFUSALS[status], "no")
        assert hosted.simulator.key not in f"{caught.value}{caught.value!r}"
        assert len(hosted.simulator.asked("create_pty")) == 1
        if status != 404:
            async with computer.terminal() as terminal:
                await anext(aiter(terminal))


class Shellless(FakeComputer):
    """Starts no shell in a terminal."""

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Say so."""
        raise ProviderError("there is no bash")


async def test_terminal_without_a_shell_leaves_nothing_open_on_either_side() -> None:
    """The reason is told, and what was to carry its output is closed."""
    async with daytona(Shellless) as hosted:
        computer = await hosted.create()
        with pytest.raises(ProviderError, match="there is no bash") as refused:
            async with computer.terminal():
                pass
        assert refused.value.effect == "no"
        del refused
    gc.collect()  # what is found open now is an error of this test
