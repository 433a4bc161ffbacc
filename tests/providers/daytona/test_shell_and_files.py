"""Commands, followed commands and files: large ones, broken ones, and what is left behind of them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand.errors import (
    ConnectionLostError,
    DeskhandError,
    FileMissingError,
    ProtocolError,
    ProviderError,
    QuotaError,
)
from deskhand.providers.daytona import DaytonaComputer
from deskhand.providers.daytona.streams import Demultiplexer
from deskhand.testing.simulators import DaytonaDialect
from deskhand.testing.simulators.front import Breakage
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import daytona

LARGE = 32 << 20


async def followed(
    computer: DaytonaComputer,
    command: str,
    *,
    cwd: str | None = None,
    then: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Follow a command to its end; do something whenever there is output."""
    async with computer.exec_stream(command, cwd=cwd) as stream:
        async for _ in stream:
            if then is not None:
                await then()


@given(
    pieces=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=20)), max_size=8),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=40),
)
def test_streams_come_apart_wherever_the_log_is_cut(pieces: list[tuple[str, bytes]], cuts: list[int]) -> None:
    """Every byte, in its stream, whatever the frames are."""
    marks = {"stdout": b"\x01\x01\x01", "stderr": b"\x02\x02\x02"}
    clean = [(name, data.replace(b"\x01", b"a").replace(b"\x02", b"b")) for name, data in pieces]
    log = b"".join(marks[name] + data for name, data in clean)
    apart, got, at = Demultiplexer(), [], 0
    for cut in cuts * (len(log) + 1):
        got += apart.take(log[at : at + cut])
        at += cut
        if at >= len(log):
            break
    got += apart.take(b"", is_last=True)
    for name in marks:
        wanted = b"".join(data for stream, data in clean if stream == name)
        assert b"".join(chunk.data for chunk in got if chunk.stream == name) == wanted


@pytest.mark.slow
async def test_large_files_arrive_whole() -> None:
    """32 MiB, by the toolbox's own way, both ways; a part that fails leaves the old file and nothing beside it."""
    content = os.urandom(LARGE)
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("folder/file", content)
        assert await computer.read_bytes("folder/file") == content
        assert [len(hosted.simulator.asked(route)) for route in ("upload", "download")] == [1, 1]
        hosted.simulator.fail(402, route="upload")
        with pytest.raises(QuotaError):
            await computer.write_file("folder/file", b"n" * 600_000)
        failed = b'{"files": [], "errors": ["no space left"]}'
        hosted.simulator.respond(failed, route="upload", content_type="application/json")
        with pytest.raises(ProviderError, match="no space left"):
            await computer.write_file("folder/file", b"n" * 600_000)
        hosted.simulator.respond(b"{}", route="download", content_type="application/json", times=2)
        with pytest.raises(DeskhandError):
            await computer.read_bytes("folder/file")
        assert await computer.read_bytes("folder/file") == content
        assert (await computer.exec("ls -A folder; ls -A /tmp | grep -c '^.deskhand'")).output == "file\n0\n"


async def test_names_of_files_are_any_bytes() -> None:
    """What a form could be broken by among them."""
    name = 'a"; filename="b\r\nc: d%00 ü'
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file(name, b"\r\n--x--\r\n" * 20_000)
        assert await computer.read_bytes(name) == b"\r\n--x--\r\n" * 20_000


@pytest.mark.parametrize("log_end", ["closed", "open"])
async def test_followed_command_leaves_no_session(log_end: str) -> None:
    """Nor its processes, when it is left early; a folder that is not there is told."""
    async with daytona(shell_only, dialect=DaytonaDialect(log_end="open" if log_end == "open" else "closed")) as hosted:
        computer = await hosted.create()
        with anyio.fail_after(30):
            async with computer.exec_stream("echo out; echo err >&2; exit 3") as stream:
                got = [(chunk.stream, chunk.data) async for chunk in stream]
            assert (sorted(got), stream.exit_code) == ([("stderr", b"err\n"), ("stdout", b"out\n")], 3)
            async with computer.exec_stream("echo begun; sleep 61") as stream:
                await anext(aiter(stream))
            with pytest.raises(FileMissingError, match="nowhere"):
                await followed(computer, "true", cwd="nowhere")
        assert len(hosted.simulator.asked("delete_session")) == 3
        assert (await computer.exec("pgrep -f 'sleep 6[1]'")).exit_code == 1


async def test_broken_log_is_told_and_the_command_ended() -> None:
    """Nobody knows how far it came; it does not go on unseen."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(500, route="delete_session", times=3)  # nor does its session end it
        with pytest.raises(ConnectionLostError) as caught:
            await followed(computer, "echo begun; sleep 62", then=hosted.simulator.break_sockets)
        assert caught.value.effect == "unknown"
        assert (await computer.exec("pgrep -f 'sleep 6[2]'")).exit_code == 1


@pytest.mark.parametrize(
    ("how", "code", "kind"),
    [
        ("abort", 0, ConnectionLostError),
        ("half", 0, ConnectionLostError),
        ("close", 1011, ConnectionLostError),
        ("close", 4500, ConnectionLostError),
        ("close", 1000, ProtocolError),
    ],
)
async def test_log_that_closes_before_the_command_has_ended_is_no_end(
    how: Breakage, code: int, kind: type[DeskhandError]
) -> None:
    """What closes it is told, whatever was read; a close by the rules tells no exit code; nothing runs on."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        with anyio.fail_after(30), pytest.raises(kind) as caught:
            await followed(
                computer, "echo begun; sleep 64", then=lambda: hosted.simulator.break_sockets(how, code=code)
            )
        assert (type(caught.value), caught.value.effect in {"yes", "unknown"}) == (kind, True)
        assert (await computer.exec("pgrep -f 'sleep 6[4]'")).exit_code == 1
        assert len(hosted.simulator.asked("session_exec")) == 1
        assert len(hosted.simulator.asked("delete_session")) == 1


async def test_command_that_did_not_exit_by_itself_is_no_success() -> None:
    """The vendor's exit code for one that was killed, or was never there, is negative, and tells no more."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        answer = b'{"exitCode": -1, "result": ""}'
        hosted.simulator.respond(answer, route="execute", content_type="application/json")
        result = await computer.exec("true")
        assert not result.ok
        assert result.error == "the command did not exit by itself"
        killed = await computer.exec("kill -9 $$")
        assert (killed.ok, killed.error) == (False, "the command did not exit by itself")


@pytest.mark.parametrize(("told", "code"), [('"code": 3', 3), ('"exitCode": 4, "code": 0', 4), ('"exitCode": 0', 0)])
async def test_exit_code_of_an_older_daemon_is_read(told: str, code: int) -> None:
    """It has another name there, which the vendor's package reads too; it is no 0."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        answer = f'{{{told}, "result": "out"}}'.encode()
        hosted.simulator.respond(answer, route="execute", content_type="application/json")
        assert (await computer.exec("true")).exit_code == code


async def test_output_without_an_exit_code_is_no_result() -> None:
    """Every daemon tells one: none is made up, and the command may have run."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(b'{"result": "out"}', route="execute", content_type="application/json")
        with pytest.raises(ProtocolError) as caught:
            await computer.exec("true")
        assert caught.value.effect == "unknown"


async def test_command_whose_end_cannot_be_asked_for_is_no_success() -> None:
    """It may have run: that the question is unknown is no refusal of the command."""
    async with daytona(shell_only, without=("session_command",)) as hosted:
        computer = await hosted.create()
        with pytest.raises(ProtocolError) as caught:
            await followed(computer, "true")
        assert caught.value.effect == "unknown"
