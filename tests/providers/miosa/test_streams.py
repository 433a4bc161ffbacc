"""The output of a followed command: whole lines of base64, held in bounds, or an error."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import anyio
import pytest
import websockets.asyncio.server
from pydantic_core import to_json

from deskhand.errors import ProtocolError
from deskhand.providers.miosa.commands import line_to
from deskhand.providers.miosa.sockets import _opened
from deskhand.providers.miosa.streams import MiosaExecStream
from deskhand.providers.shell_commands import Marked, ShellCommands
from tests.providers.miosa.test_terminal import an_api

PRECIOUS = base64.b64encode(b"precious").decode()


async def followed(pieces: Sequence[str], *, times: int = 1) -> tuple[bytes, int | None]:
    """Follow a command whose socket sends pieces, over and over, and then tells of its end."""

    async def serve(socket: websockets.asyncio.server.ServerConnection) -> None:
        for _ in range(times):
            for piece in pieces:
                await socket.send(to_json({"type": "stdout", "data": piece}).decode())
        await socket.send('{"type": "exit", "code": 0}')
        await socket.wait_closed()

    async with (
        websockets.asyncio.server.serve(serve, "127.0.0.1", 0) as server,
        an_api(next(iter(server.sockets)).getsockname()[1]) as api,
        _opened(api, "c", {"command": "bash"}) as frames,
    ):
        commands = ShellCommands("miosa", line_to(api, "c"), api.in_background)
        stream = MiosaExecStream(frames, commands, Marked.of("miosa", "true"), 60.0, None)
        with anyio.fail_after(20):
            return b"".join([chunk.data async for chunk in stream]), stream.exit_code


async def test_output_comes_in_any_pieces() -> None:
    """Cut anywhere, and with carriage returns, it is the same."""
    assert await followed([*PRECIOUS, "\r", "\n"], times=3) == (b"precious" * 3, 0)
    assert await followed([f"{PRECIOUS}\n{PRECIOUS}\n"]) == (b"precious" * 2, 0)


async def test_output_that_breaks_off_in_a_line_is_no_success() -> None:
    """The last line is not passed over as if it had not been."""
    with pytest.raises(ProtocolError, match="not arrive whole") as raised:
        await followed([f"{PRECIOUS}\n", PRECIOUS[:4]])
    assert raised.value.effect == "yes"


async def test_line_without_end_is_held_in_bounds() -> None:
    """It is an error long before it fills the memory."""
    with pytest.raises(ProtocolError, match="not arrive whole"):
        await followed(["A" * 40_000], times=4)
