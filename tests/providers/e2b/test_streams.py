"""What a command and a terminal write is data and nothing else, however its stream is cut into pieces."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from deskhand.errors import (
    ConflictError,
    DeskhandError,
    InvalidInputError,
    OutcomeUnknownError,
    ProtocolError,
    ProviderError,
)
from deskhand.providers.e2b import E2BComputer, E2BProvider
from tests.providers.behind import shell_only
from tests.providers.e2b.parts import e2b, simulated
from tests.providers.terminals import until
from tests.providers.test_http_stream import Pieces

MARKED = b"a marked command"


def envelope(message: object, flags: int = 0) -> bytes:
    """Pack a message of a stream."""
    data = json.dumps(message).encode()
    return struct.pack(">BI", flags, len(data)) + data


def output(**streams: bytes) -> bytes:
    """Pack a piece of output."""
    return envelope({"event": {"data": {name: base64.b64encode(data).decode() for name, data in streams.items()}}})


STARTED = envelope({"event": {"start": {"pid": 5}}})
ENDED = envelope({"event": {"end": {"exitCode": 3, "exited": True, "status": "exit status 3"}}})
WHOLE = STARTED + output(stdout="grüß".encode()) + output(stderr=b"\xff\x00") + ENDED
"""A command's whole stream, but for the envelope that ends it, which may be missing."""


class Scripted(httpx2.AsyncHTTPTransport):
    """Answers the marked command itself, and passes on everything else.

    Attributes:
        body: What the next answer to it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = Pieces()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/Start") and MARKED in await request.aread():
            return httpx2.Response(200, headers={"content-type": "application/connect+json"}, stream=self.body)
        return await super().handle_async_request(request)


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[E2BComputer, Scripted]]:
    """Create a sandbox whose daemon answers the marked command as a test says."""
    transport = Scripted()
    async with (
        simulated(shell_only) as simulator,
        httpx2.AsyncClient(transport=transport, timeout=20) as own,
        E2BProvider(**simulator.options(), http_client=own) as provider,  # type: ignore[arg-type]
    ):
        yield await provider.create(name="box"), transport


@pytest.mark.slow
async def test_stream_may_be_cut_into_pieces_anywhere() -> None:
    """In two at every byte, and into single bytes: what is read is the same."""
    cuts = [(WHOLE[:at], WHOLE[at:]) for at in range(len(WHOLE) + 1)]
    async with scripted() as (computer, daemon):
        for pieces in [*cuts, tuple(bytes([byte]) for byte in WHOLE)]:
            daemon.body = Pieces(*pieces)
            result = await computer.exec(MARKED.decode())
            assert (result.stdout, result.stderr, result.exit_code) == ("grüß", "\ufffd\0", 3), pieces
            assert daemon.body.is_closed


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ends", "breaks"])
async def test_stream_that_is_cut_off_anywhere_is_no_result(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every byte before the command's end is whole: its outcome is unknown, whatever was read before."""
    monkeypatch.setattr("deskhand.providers.e2b.processes._LOOKS", 0)
    kinds = (ProtocolError,) if how == "ends" else (OutcomeUnknownError,)
    async with scripted() as (computer, daemon):
        for at in range(len(WHOLE)):
            broken = () if how == "ends" else (httpx2.RemoteProtocolError("cut"),)
            daemon.body = Pieces(WHOLE[:at], *broken)
            with pytest.raises(DeskhandError) as caught:
                await computer.exec(MARKED.decode())
            assert (type(caught.value) in kinds, caught.value.effect) == (True, "unknown"), at
        daemon.body = Pieces(WHOLE)
        assert (await computer.exec(MARKED.decode())).exit_code == 3


async def test_output_is_read_no_faster_than_it_is_taken() -> None:
    """A command that writes without end waits for its reader; leaving it closes the stream."""
    flood = [output(stdout=b"x" * 1000) for _ in range(500)]
    async with scripted() as (computer, daemon):
        daemon.body = body = Pieces(STARTED, *flood, ENDED)
        async with computer.exec_stream(MARKED.decode()) as stream:
            await anext(aiter(stream))
            await anyio.wait_all_tasks_blocked()
            assert body.sent < 30
        assert body.is_closed


LOOKALIKES = (
    json.dumps({"event": {"end": {"exitCode": 9, "exited": True}}}),
    json.dumps({"error": {"code": "unauthenticated", "message": "no"}}),
    "123",
    "null",
    "[]",
)
"""What a program may print that looks like the daemon's own words."""


async def test_output_that_looks_like_the_daemons_words_is_output() -> None:
    """Events, ends, envelopes byte for byte, and what moves a terminal's cursor: no byte is lost, nothing happens."""
    raw = b"".join([*(text.encode() for text in LOOKALIKES), envelope({}, 2), STARTED, ENDED, b"\x1b[2J\x1b]0;x\x07\0"])
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("words", raw)
        async with computer.exec_stream("cat words; cat words >&2; exit 4") as stream:
            got = [(chunk.stream, chunk.data) async for chunk in stream]
        assert stream.exit_code == 4
        for name in ("stdout", "stderr"):
            assert b"".join(data for where, data in got if where == name) == raw
        result = await computer.exec("cat words; exit 4")
        assert (result.exit_code, result.stdout) == (4, raw.decode(errors="replace"))
        async with computer.terminal() as terminal:
            await terminal.send(b"stty raw -echo; cat words; echo en''d; exit 5\r")
            shown = b"".join([data async for data in terminal])
        assert raw in shown
        assert terminal.exit_code == 5


async def test_terminal_runs_a_shell_of_the_size_that_is_asked_for() -> None:
    """What is typed in halves arrives whole, what is long in parts; its size is checked here, at opening and later."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        with pytest.raises(InvalidInputError, match="columns"):
            await computer.terminal(columns=0).__aenter__()
        assert not [one for one in hosted.simulator.asked("start") if "pty" in str(one.body)]
        async with computer.terminal(columns=100, rows=30) as terminal:
            await terminal.send(b"stty size\r")
            await until(terminal, b"30 100")
            for half in (b"echo \xc3", b"\xbc-e''nd\r"):
                await terminal.send(half)
            await until(terminal, b"\xc3\xbc-end")
            with pytest.raises(InvalidInputError, match="rows"):
                await terminal.resize(80, 0)
            await terminal.resize(90, 20)
            await terminal.send(b"stty size\r")
            await until(terminal, b"20 90")
            before = len(hosted.simulator.asked("send_input"))
            await terminal.send(b"#" * 200_000 + b"\x15")
            assert len(hosted.simulator.asked("send_input")) == before + 4
            await terminal.send(b"exit 3\r")
            async for _ in terminal:
                pass
            assert terminal.exit_code == 3
            uses: list[Callable[[], Awaitable[None]]] = [lambda: terminal.send(b"x"), lambda: terminal.resize(80, 24)]
            for use in uses:
                with pytest.raises(ConflictError, match="shell has ended") as caught:
                    await use()
                assert (caught.value.effect, caught.value.retryable) == ("no", False)


async def test_terminal_is_ended_with_its_block_however_that_is_left() -> None:
    """Its shell and what that has started, by a request of its own; one that has ended is ended no more."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        box = hosted.simulator.computers[computer.info.id]
        async with computer.terminal() as terminal:
            await terminal.send(b"sleep 4321 & echo on''ce\r")
            await until(terminal, b"once")
            await terminal.kill()
            assert [data async for data in terminal] == []
        assert not box.processes.running
        assert (await computer.exec("pgrep -f 'sleep 432[1]'")).exit_code == 1
        before = len(hosted.simulator.asked("send_signal"))
        async with computer.terminal() as terminal:
            await terminal.send(b"exit\r")
            async for _ in terminal:
                pass
        assert len(hosted.simulator.asked("send_signal")) == before


async def test_input_whose_answer_is_lost_is_not_typed_again() -> None:
    """Whether it was typed nobody can tell."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        async with computer.terminal() as terminal:
            await until(terminal, b"$")
            hosted.simulator.drop(route="send_input", after_effect=True)
            with pytest.raises(OutcomeUnknownError):
                await terminal.send(b"echo ty''ped\r")
            await until(terminal, b"typed")
            assert len(hosted.simulator.asked("send_input")) == 1


async def test_a_command_that_does_not_begin_is_not_waited_for_longer_than_it_may_take() -> None:
    """Whoever gives a command half a second hears soon that nobody can tell whether it began; it is ended."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.stall(route="start")
        with pytest.raises(OutcomeUnknownError, match=r"within 5\.05 s"):
            await computer.exec("true", timeout=0.05)
        assert hosted.simulator.asked("send_signal")
        assert (await computer.exec("echo on")).output == "on\n"


async def test_file_whose_mode_cannot_be_kept_is_left_as_it_is() -> None:
    """What only its owner may read does not become readable to all."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        assert (await computer.exec("umask 077; printf old > private")).ok
        hosted.simulator.respond(STARTED + ENDED, route="start", content_type="application/connect+json")
        with pytest.raises(ProviderError, match="mode 600") as caught:
            await computer.write_file("private", "new")
        assert caught.value.effect == "no"
        assert await computer.read_bytes("private") == b"old"
        assert (await computer.exec("ls -A | grep -c deskhand-")).output == "0\n"
        await computer.write_file("private", "new")
        assert (await computer.exec("stat -c %a private; cat private")).output == "600\nnew"
