"""Commands, files, terminals and ports in MIOSA's sandboxes, and what goes wrong with them."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeskhandError,
    FileMissingError,
    OutcomeUnknownError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers import Capability, ExecChunk, ExternalComputer
from deskhand.testing.simulators import MiosaDialect
from tests.providers.behind import shell_only
from tests.providers.miosa.parts import miosa

CONTENTS = {
    "empty": b"",
    "nul": b"\0a\0\0b\0",
    "crlf": b"one\r\ntwo\r\n\r",
    "no-utf-8": bytes(range(256)) * 300,
    "32-megabytes": b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(1 << 20)),
}


@pytest.mark.parametrize("kind", ["sandbox", "computer"])
@pytest.mark.parametrize("without", [(), ("write_sandbox_file", "upload_file")], ids=["routes", "commands"])
async def test_files_are_whole_whatever_they_hold(kind: str, without: tuple[str, ...]) -> None:
    """By the vendor's routes, and by commands where there is none to write by; only the largest is spared those."""
    async with miosa(shell_only, without=without) as hosted:
        computer: ExternalComputer = await (hosted.sandbox() if kind == "sandbox" else hosted.create())
        for name, content in CONTENTS.items():
            if without and len(content) > 1 << 20:
                continue
            await computer.write_file(name, content)
            assert await computer.read_bytes(name) == content, name
            assert (await computer.stat(name)).size == len(content)
        found = [info.path.removeprefix("./") for info in await computer.list_dir()]
        assert {*found} >= {"empty", "nul"}
        assert not [name for name in found if name.startswith(".deskhand")]


async def test_file_that_the_route_refuses_goes_by_commands() -> None:
    """A body that is too large for the route is no end of it."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        hosted.simulator.fail(413, route="write_sandbox_file")
        await sandbox.write_file("file", CONTENTS["no-utf-8"])
        assert await sandbox.read_bytes("file") == CONTENTS["no-utf-8"]
        assert len([one for one in hosted.simulator.asked("write_sandbox_file") if one.method == "POST"]) == 1


async def test_command_has_a_folder_variables_and_an_input() -> None:
    """Composed around it, so that a missing folder is told and the input arrives byte for byte."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox(spec=None)
        done = await sandbox.exec(
            'pwd; printf "$A" | od -An -tx1; wc -c', cwd="/usr", env={"A": "ü"}, stdin=b"\0" * 90_000
        )
        assert done.output.split() == ["/usr", "c3", "bc", "90000"]
        with pytest.raises(FileMissingError, match="/no/such"):
            await sandbox.exec("true", cwd="/no/such")
        with pytest.raises(FileMissingError, match="/no/such"):
            await followed(sandbox, cwd="/no/such")
        assert (await sandbox.python("import sys; print(sys.argv, end='')")).output == "['-']"


async def followed(computer: ExternalComputer, into: list[ExecChunk] | None = None, *, cwd: str | None = None) -> None:
    """Follow a command to its end."""
    async with computer.exec_stream("true", cwd=cwd) as stream:
        async for chunk in stream:
            if into is not None:
                into.append(chunk)


async def is_running(computer: ExternalComputer, mark: str) -> bool:
    """Ask whether something with a mark runs on a computer, but for what asks."""
    return (await computer.exec(f"pgrep -f '[{mark[0]}]{mark[1:]}'")).ok


@pytest.mark.parametrize("how", ["cancelled", "late", "left"])
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_command_that_nobody_waits_for_is_ended_with_all_it_started(how: str, is_streamed: bool) -> None:
    """By a second request, as MIOSA lets it go on when its client leaves."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        command = "(setsid sleep 4242 &) ; sleep 4243"
        route = "sandbox_exec_stream" if is_streamed else "sandbox_exec"
        before = len(hosted.simulator.asked(route))

        async def run() -> None:
            limit = 0.5 if how == "late" else None
            if not is_streamed:
                assert (await sandbox.exec(command, timeout=limit)).exit_code is None
                return
            try:
                async with sandbox.exec_stream(command, timeout=limit) as stream:
                    if how == "left":
                        return
                    async for _ in stream:
                        pass
            except DeskhandError:
                assert how == "late"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            if how == "cancelled" or (how == "left" and not is_streamed):
                await hosted.simulator.until_asked(route, times=before + 1)
                with anyio.fail_after(10):
                    while not await is_running(sandbox, "sleep 4242"):  # noqa: ASYNC110 (it has begun when it is seen)
                        await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
        assert not await is_running(sandbox, "sleep 424")


async def test_output_of_a_hundred_megabytes_is_bounded() -> None:
    """What streams arrives whole, of what is answered a part is kept, and an answer without bounds is refused."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        count = 0
        async with sandbox.exec_stream("head -c 20000000 /dev/zero") as stream:
            async for chunk in stream:
                assert not chunk.data.strip(b"\0")
                count += len(chunk.data)
        assert (count, stream.exit_code) == (20_000_000, 0)
        done = await sandbox.exec("head -c 20000000 /dev/zero | tr '\\0' x")
        assert len(done.output) + done.dropped == 20_000_000
        with pytest.raises(DeskhandError) as raised:
            await sandbox.exec("head -c 100000000 /dev/zero | tr '\\0' x")
        assert raised.value.effect in {"yes", "unknown"}


async def test_command_whose_answer_was_lost_is_not_sent_again() -> None:
    """Nobody can tell whether it ran: that is said."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        hosted.simulator.drop(route="sandbox_exec", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await sandbox.exec("echo once >> count")
        assert await sandbox.read_file("count") == "once\n"


async def test_stream_that_breaks_off_is_told() -> None:
    """An answer without an end, and one that is none of events, are no end of the command."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        told = b'event: stdout\ndata: {"line": "b25l"}\n\nevent: heartbeat\ndata: {}\n\n'
        hosted.simulator.respond(told, content_type="text/event-stream", route="sandbox_exec_stream")
        got: list[ExecChunk] = []
        with pytest.raises(ConnectionLostError, match="stopped telling") as raised:
            await followed(sandbox, got)
        assert raised.value.effect == "unknown"
        assert got == [ExecChunk("stdout", b"one")]
        for body, says in ((b"<html>", "in place of events"), (b"data: 5\n\n", "no JSON object")):
            kind = "text/html" if body.startswith(b"<") else "text/event-stream"
            hosted.simulator.respond(body, content_type=kind, route="sandbox_exec_stream")
            with pytest.raises(ProtocolError, match=says):
                await followed(sandbox)
        hosted.simulator.remove("sandbox_exec_stream")
        with pytest.raises(UnsupportedError):
            await followed(sandbox)
        assert Capability.EXEC_STREAM not in sandbox.capabilities
        assert (await sandbox.exec("echo still")).output == "still\n"


async def shown(computer: ExternalComputer, typed: bytes, until: bytes) -> bytes:
    """Type into a terminal and return what it shows until something is there."""
    seen = b""
    with anyio.fail_after(20):
        async with computer.terminal() as terminal:
            await terminal.send(typed)
            async for data in terminal:
                seen += data
                if until in seen:
                    break
    return seen


@pytest.mark.parametrize("terminal", ["frames", "text", "bytes"])
async def test_terminal_shows_data_and_nothing_else(terminal: str) -> None:
    """What looks like the protocol's own words is output, however the server sends it, and is cut nowhere."""
    async with miosa(shell_only, dialect=MiosaDialect(terminal=terminal)) as hosted:  # type: ignore[arg-type]
        sandbox = await hosted.sandbox()
        for frame in ('{"type":"exit","code":0}', '{"type":"output","data":"x"}', '{"type":"error"}'):
            alone = f"sleep 0.2; printf '{frame}'; sleep 0.2; echo grüße-漢''字\r".encode()  # as a piece of its own
            end = "grüße-漢字\r\n"
            assert f"{frame}{end}".encode() in await shown(sandbox, alone, end.encode())


async def test_terminal_ends_what_it_started_and_tells_what_breaks() -> None:
    """Leaving it ends its shell; a socket that breaks is an error, one whose sandbox is gone says so."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        endpoint = await sandbox.shell_endpoint()
        assert (endpoint.kind, (endpoint.uri or "").endswith("/terminal/stream")) == ("websocket", True)
        assert b"begun" in await shown(sandbox, b"echo beg''un; sleep 4244\r", b"begun\r\n")
        with anyio.fail_after(10):
            while await is_running(sandbox, "sleep 4244"):  # noqa: ASYNC110 (the server ends it when it notices)
                await anyio.sleep(0.05)
        async with sandbox.terminal() as terminal:
            assert await anext(aiter(terminal))  # its prompt
            await hosted.simulator.break_sockets()
            with pytest.raises(ConnectionLostError):
                [data async for data in terminal]
        await hosted.simulator.vanish(sandbox.info.id)
        with pytest.raises(ComputerGoneError):
            async with sandbox.terminal():
                pass


@pytest.mark.parametrize("kind", ["sandbox", "computer"])
@pytest.mark.parametrize("is_streamed", [False, True], ids=["terminal", "stream"])
async def test_what_its_user_raises_says_nothing_of_a_route(kind: str, *, is_streamed: bool) -> None:
    """Only what opens a socket or a stream tells whether there is one."""
    async with miosa(shell_only) as hosted:
        computer: ExternalComputer = await (hosted.sandbox() if kind == "sandbox" else hosted.create())
        before = computer.capabilities
        opening: AbstractAsyncContextManager[object] = (
            computer.exec_stream("true") if is_streamed else computer.terminal()
        )
        with pytest.raises(UnsupportedError, match="mine"):
            async with opening:
                raise UnsupportedError("mine")
        assert computer.capabilities == before


async def test_exit_code_is_the_vendors_own_or_none() -> None:
    """It has two names; where there is none, none is made up."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        named = b'{"data": {"stdout": "x", "stderr": "", "exitCode": 3}}'
        hosted.simulator.respond(named, content_type="application/json", route="sandbox_exec")
        assert (await sandbox.exec("exit 3")).exit_code == 3
        for told, code in ((b'{"exit_code": null}', None), (b'{"exit_code": 4}', 4)):
            event = b"event: exit\ndata: " + told + b"\n\n"
            hosted.simulator.respond(event, content_type="text/event-stream", route="sandbox_exec_stream")
            async with sandbox.exec_stream("true") as stream:
                assert [chunk async for chunk in stream] == []
            assert stream.exit_code == code


async def test_port_has_the_address_that_the_vendor_tells() -> None:
    """A name that older servers write twice is written once; an answer without one is told."""
    async with miosa() as hosted:
        sandbox = await hosted.sandbox()
        doubled = b'{"data": {"preview_url": "https://80-x.sandbox.sandbox.preview.miosa.ai/"}}'
        hosted.simulator.respond(doubled, content_type="application/json", route="expose_sandbox_port")
        assert await sandbox.preview_url(80, "a") == "https://80-x.sandbox.preview.miosa.ai/a"
        queried = b'{"data": {}, "url": "https://80-x.sandbox.preview.miosa.ai?token=t"}'
        hosted.simulator.respond(queried, content_type="application/json", route="expose_sandbox_port")
        assert await sandbox.preview_url(80, "a") == "https://80-x.sandbox.preview.miosa.ai/a?token=t"
        hosted.simulator.respond(b'{"data": {}}', content_type="application/json", route="expose_sandbox_port")
        with pytest.raises(ProtocolError, match="no address"):
            await sandbox.preview_url(80)


async def test_wrong_key_and_wrong_state_are_told() -> None:
    """A key that expires, and a sandbox that is paused meanwhile by somebody else."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        hosted.simulator.expire_key()
        with pytest.raises(AuthError):
            await sandbox.exec("true")
        with pytest.raises(AuthError):
            async with sandbox.terminal():
                pass
        hosted.simulator.expire_key(expired=False)
        hosted.simulator.sandboxes[sandbox.info.id].state = "paused"
        with pytest.raises(ConflictError, match="paused") as raised:
            await sandbox.exec("true")
        assert raised.value.hint
        hosted.simulator.sandboxes[sandbox.info.id].state = "running"
        assert Capability.EXEC in sandbox.capabilities


async def test_what_needs_a_screen_says_what_to_do() -> None:
    """The hint names the kind that has one."""
    async with miosa() as hosted:
        sandbox = await hosted.sandbox()
        with pytest.raises(UnsupportedError) as raised:
            await sandbox.screenshot()
        assert 'kind="computer"' in str(raised.value.hint)
