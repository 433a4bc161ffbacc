# ruff: noqa: ASYNC240 - small files in temporary folders
"""A local computer used by other processes than the one that holds it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest

from deskhand.errors import (
    ComputerGoneError,
    ConfigError,
    ConflictError,
    FileMissingError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    PayloadTooLargeError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers import (
    Capability,
    Click,
    ComputerStatus,
    Drag,
    ExecResult,
    HoldKey,
    InputAction,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Region,
    Screen,
    Scroll,
    Type,
    Wait,
)
from deskhand.providers.local.attached import SharedComputer, attached_computer
from deskhand.providers.local.share import list_shared, share_computer
from tests.providers.local.held import HeldComputer


@pytest.fixture
def folder() -> Path:
    """Where the sockets of the test's computers are."""
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "deskhand"


@asynccontextmanager
async def held() -> AsyncIterator[tuple[HeldComputer, SharedComputer]]:
    """A computer and the same through its socket."""
    computer = HeldComputer()
    with anyio.fail_after(20):
        async with share_computer(computer), attached_computer("cmp_held") as attached:
            yield computer, attached


async def line_of(process: anyio.abc.Process) -> str:
    """Read the next line that a process says."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive(1)
    return line.decode().strip()


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[anyio.abc.Process]:
    """A second process running Python."""
    process = await anyio.open_process([sys.executable, *arguments], stderr=None, cwd=Path(__file__).parents[3])
    try:
        with anyio.fail_after(30):
            yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


@asynccontextmanager
async def owner_process() -> AsyncIterator[anyio.abc.Process]:
    """A second process that holds the computer ``cmp_far``."""
    async with program("-m", "tests.providers.local.held", "cmp_far") as process:
        assert await line_of(process) == "ready"
        yield process


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    with anyio.fail_after(10):
        while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():  # noqa: ASYNC110
            await anyio.sleep(0.01)


# What a shared computer can do


async def test_shared_computer_tells_what_its_owner_tells() -> None:
    """Information and capabilities come over, but for what the socket does not carry."""
    async with held() as (computer, attached):
        assert attached.info == computer.info
        assert attached.capabilities == computer.capabilities
        assert Capability.EXEC_STREAM in attached.capabilities
        assert "running" in repr(attached)


async def test_exec_passes_everything_on() -> None:
    """Command, folder, environment, input, output and exit code."""
    async with held() as (_, attached):
        result = await attached.exec('cat; echo "$A $PWD"; exit 7', cwd="/", env={"A": "ü"}, stdin=b"in\n")
        assert result == ExecResult("in\nü /\n", "in\nü /\n", None, 7, duration=0.5)
        assert (await attached.python("print(6 * 7)")).output == "42\n"


async def test_exec_stream_passes_output_on_as_it_comes() -> None:
    """Both streams, apart, and the exit code at the end."""
    async with held() as (_, attached):
        async with attached.exec_stream("echo one; echo two >&2; exit 5") as running:
            chunks = [(chunk.stream, chunk.data) async for chunk in running]
            assert running.exit_code == 5
        assert chunks == [("stdout", b"one\n"), ("stderr", b"two\n")]


async def test_exec_stream_of_much_output_waits_for_its_reader() -> None:
    """What nobody reads stays at the owner: the command is held up, and other calls go on."""
    async with held() as (_, attached), attached.exec_stream("head -c 20000000 /dev/zero; echo end") as running:
        size, last = 0, b""
        async for chunk in running:
            if size == 0:
                assert (await attached.exec("echo beside")).output == "beside\n"
            size += len(chunk.data)
            last = chunk.data
        assert size == 20_000_004
        assert last.endswith(b"end\n")


async def test_exec_stream_is_killed_by_kill_and_by_leaving() -> None:
    """Once either has returned, the process is gone."""
    async with held() as (_, attached):
        async with attached.exec_stream("echo $$; exec sleep 60") as running:
            pid = int((await anext(aiter(running))).data)
            await running.kill()
            assert not Path(f"/proc/{pid}").exists()
            assert running.exit_code == -signal.SIGKILL
        async with attached.exec_stream("echo $$; exec sleep 60") as running:
            pid = int((await anext(aiter(running))).data)
        assert not Path(f"/proc/{pid}").exists()


async def test_output_is_never_taken_for_a_message() -> None:
    """A command that prints what the owner could say only prints it."""
    forged = '{"type": "failed", "id": 1, "failure": {}}'
    async with held() as (_, attached):
        async with attached.exec_stream(f"printf '%s' '{forged}'") as running:
            assert b"".join([chunk.data async for chunk in running]).decode() == forged
        assert (await attached.exec(f"printf '%s' '{forged}'")).output == forged


async def test_terminal_takes_input_and_shows_output() -> None:
    """Any bytes both ways, a change of size, the shell's own end."""
    async with held() as (_, attached), attached.terminal(columns=80, rows=24) as terminal:
        shown = aiter(terminal)
        assert await anext(shown) == b"80x24"
        await terminal.send(bytes(range(256)))
        assert await anext(shown) == bytes(range(256))
        await terminal.resize(100, 50)
        assert await anext(shown) == b"100x50"
        assert terminal.exit_code is None
        await terminal.send(b"exit")
        assert [data async for data in shown] == []
        assert terminal.exit_code == 3


async def test_shell_is_kept_from_command_to_command() -> None:
    """Two commands of one shell, another shell beside it."""
    async with held() as (_, attached), attached.shell() as shell, attached.shell() as other:
        assert (await shell.run("a", timeout=2.5)).output == "1 a 2.5"
        assert (await shell.run("b")).output == "2 b None"
        assert (await other.run("c")).output == "1 c None"


@pytest.mark.parametrize(
    "action",
    [
        Click(1, 2, "right", 2, ("ctrl", "shift")),
        Click(),
        Move(3, 4),
        MouseDown("middle"),
        MouseUp("back"),
        Drag(((1, 2), (3, 4), (5, 6)), "left", ("alt",)),
        Scroll(1, 2, -3, 4),
        Key("ctrl+shift+t", 3),
        HoldKey("a", 0.25),
        Type("naïve \u202ework\u202c 👩‍👩‍👧 e\u0301\n\t$(rm)"),
        Wait(0.5),
    ],
    ids=lambda action: type(action).__name__,
)
async def test_perform_passes_every_action_on(action: InputAction) -> None:
    """The owner performs exactly what was asked for."""
    async with held() as (computer, attached):
        await attached.perform(action)
        assert computer.performed == [action]


async def test_perform_keeps_the_order_in_which_it_was_asked() -> None:
    """Also when nobody waits for one before asking for the next."""
    async with held() as (computer, attached):
        async with anyio.create_task_group() as tasks:
            for x in range(50):
                tasks.start_soon(attached.move, x, 0)
        assert computer.performed == [Move(x, 0) for x in range(50)]


async def test_screen_is_captured_and_measured() -> None:
    """Screenshots byte for byte, regions, the pointer, settling, what was drawn, resizing."""
    async with held() as (computer, attached):
        assert await attached.screenshot() == computer.image
        assert await attached.screenshot(region=Region(1, 2, 3, 4), cursor=False, format="jpeg") == computer.image
        assert computer.regions == [None, Region(1, 2, 3, 4)]
        assert await attached.cursor_position() == (3, 4)
        assert await attached.settle(quiet=0.25, limit=1.5) == 1.75
        assert await attached.changed(Region(0, 2, 3, 4), within=6) is True
        assert await attached.changed(Region(0, 2, 3, 4), within=4) is False
        assert await attached.changed(Region(1, 2, 3, 4), within=6) is None
        await attached.resize(1024, 768)
        assert attached.info.screen == Screen(1024, 768)


async def test_files_come_over_byte_for_byte() -> None:
    """Empty, binary and larger than any frame; names that are not UTF-8."""
    async with held() as (computer, attached):
        large = bytes(range(256)) * 100_000
        await attached.write_file("large", large)
        await attached.write_file("empty", b"")
        await attached.write_file("text", "ü")
        await attached.write_file("odd\udcff", b"x")
        assert computer.files == {"large": large, "empty": b"", "text": "ü".encode(), "odd\udcff": b"x"}
        assert await attached.read_bytes("large") == large
        assert await attached.read_bytes("empty") == b""
        assert await attached.read_file("text") == "ü"
        assert await attached.list_dir() == await computer.list_dir()
        assert await attached.stat("text") == await computer.stat("text")
        await attached.delete("large", recursive=True)
        assert "large" not in computer.files


async def test_addresses_and_life_are_passed_on() -> None:
    """Ports, shells elsewhere, stopping and starting."""
    async with held() as (computer, attached):
        assert await attached.preview_url(80, "/x") == "http://127.0.0.1:80/x"
        endpoint = await attached.shell_endpoint()
        assert endpoint.token is not None
        assert endpoint.token.get_secret_value() == "hush"
        assert "hush" not in repr(endpoint)
        await attached.stop()
        assert computer.stopped
        await attached.start()
        assert not computer.stopped


# Errors


async def test_error_comes_out_as_it_went_in() -> None:
    """Its class, text, hint and data."""
    async with held() as (computer, attached):
        with pytest.raises(FileMissingError, match="nowhere is not there — list_dir shows what is") as caught:
            await attached.read_bytes("nowhere")
        assert (caught.value.effect, caught.value.retryable, caught.value.provider) == ("no", False, "local")
        assert isinstance(caught.value, FileNotFoundError)
        with pytest.raises(UnsupportedError):
            await attached.live_view_url()
        computer.files.clear()
        with pytest.raises(ProviderError, match="KeyError"):
            await attached.delete("nowhere")
        assert (await attached.exec("echo on")).output == "on\n"


async def test_wrong_arguments_are_refused_here() -> None:
    """Nothing is sent for them."""
    async with held() as (_, attached):
        with pytest.raises(InvalidInputError, match="timeout"):
            await attached.exec("x", timeout=float("inf"))
        with pytest.raises(InvalidInputError, match="width"):
            await attached.resize("wide", 1)  # type: ignore[arg-type]


async def test_too_much_at_once_is_refused() -> None:
    """A file, and a command too long for a message; the connection goes on."""
    async with held() as (_, attached):
        with pytest.raises(PayloadTooLargeError, match="104857601 bytes"):
            await attached.write_file("x", bytes(100 * 1024 * 1024 + 1))
        with pytest.raises(PayloadTooLargeError):
            await attached.exec("x" * (17 * 1024 * 1024))
        with pytest.raises(PayloadTooLargeError):
            async with attached.exec_stream("x" * (17 * 1024 * 1024)):
                pytest.fail("it is too long")
        assert (await attached.exec("echo on")).output == "on\n"


async def test_too_many_calls_at_once_are_refused() -> None:
    """The 257th is; once the others are closed it is done."""
    async with held() as (_, attached):
        async with AsyncExitStack() as stack:
            for _ in range(256):
                await stack.enter_async_context(attached.shell())
            with pytest.raises(OverloadedError, match="256 calls are open already"):
                await attached.screenshot()
        assert await attached.screenshot()


async def test_cancelled_call_is_ended_at_the_owner() -> None:
    """The command has ended when the cancelled caller goes on."""
    async with held() as (_, attached), attached.exec_stream("echo ready; cat") as beside:
        assert (await anext(aiter(beside))).data == b"ready\n"
        with tempfile.TemporaryDirectory() as name:
            mark = Path(name) / "pid"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(attached.exec, f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 60")
                while not mark.exists():  # noqa: ASYNC110
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            assert not Path(f"/proc/{mark.read_text().strip()}").exists()


# Leases


async def test_lease_holds_between_guests_and_owner() -> None:
    """Whoever has the computer has it before all."""
    async with held() as (computer, attached), attached_computer("cmp_held") as other:
        async with attached.lease("run_a"):
            for rival in (other, computer, attached):
                with pytest.raises(ConflictError, match="in use by run_a"):
                    async with rival.lease("run_b"):
                        pytest.fail("it was leased twice")
        async with computer.lease("run_c"):
            with pytest.raises(ConflictError, match="in use by run_c"):
                async with other.lease("run_d"):
                    pytest.fail("it was leased twice")
        async with other.lease("run_e"):
            pass


async def test_lease_ends_with_the_process_that_has_it() -> None:
    """Killed in the middle of its run, it does not keep the computer."""
    code = (
        "import anyio\n"
        "from deskhand.providers.local.attached import attached_computer\n"
        "async def main():\n"
        "    async with attached_computer('cmp_held') as c, c.lease('run_far'):\n"
        "        print('leased', flush=True)\n"
        "        await anyio.sleep(60)\n"
        "anyio.run(main)\n"
    )
    async with held() as (computer, _), program("-c", code) as process:
        assert await line_of(process) == "leased"
        with pytest.raises(ConflictError, match="in use by run_far"):
            async with computer.lease("run_near"):
                pytest.fail("it was leased twice")
        process.kill()
        await process.wait()
        while computer._leased_to is not None:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        async with computer.lease("run_near"):
            pass


# Destroying, and other ends


async def test_destroy_is_done_by_the_owner() -> None:
    """The other process ends what it holds; destroying twice is no error."""
    async with owner_process() as process:
        assert [info.id for info in await list_shared()] == ["cmp_far"]
        async with attached_computer("cmp_far") as attached:
            await attached.destroy()
            assert attached.info.status is ComputerStatus.DESTROYED
            await attached.destroy()
        assert await line_of(process) == "destroyed"
        assert await process.wait() == 0
    assert await list_shared() == []


async def test_killed_owner_in_the_middle_of_a_call() -> None:
    """An effect may have happened; a look cannot have; nothing further is sent."""
    async with owner_process() as process, attached_computer("cmp_far") as attached:
        caught: list[Exception] = []

        async def act() -> None:
            try:
                await attached.exec("kill -9 $PPID; sleep 2")
            except Exception as error:
                caught.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(act)
        assert await process.wait() == -signal.SIGKILL
        (error,) = caught
        assert isinstance(error, OutcomeUnknownError)
        assert error.effect == "unknown"
        assert "its owner has ended" in error.message
        with pytest.raises(ComputerGoneError) as gone_error:
            await attached.screenshot()
        assert gone_error.value.effect == "no"
        assert attached.info.status is ComputerStatus.DESTROYED
        await attached.destroy()
    assert await list_shared() == []


async def test_killed_owner_ends_what_is_followed() -> None:
    """A stream and a look that were under way."""
    async with owner_process() as process, attached_computer("cmp_far") as attached:
        async with attached.exec_stream("echo $$; exec sleep 60") as running:
            chunks = aiter(running)
            pid = int((await anext(chunks)).data)
            process.kill()
            with pytest.raises(OutcomeUnknownError):
                await anext(chunks)
        os.killpg(pid, signal.SIGKILL)  # the test's computer has no sandbox that would end with its owner
        await process.wait()
        with pytest.raises(NotFoundError):
            async with attached_computer("cmp_far"):
                pytest.fail("it is gone")


async def test_killed_guest_takes_its_commands_along() -> None:
    """What a vanished process had running is killed; the computer stays."""
    code = (
        "import anyio\n"
        "from deskhand.providers.local.attached import attached_computer\n"
        "async def main():\n"
        "    async with attached_computer('cmp_held') as c, c.exec_stream('echo $$; exec sleep 60') as s:\n"
        "        async for chunk in s:\n"
        "            print(chunk.data.decode(), flush=True)\n"
        "anyio.run(main)\n"
    )
    async with held() as (_, attached), program("-c", code) as process:
        pid = int(await line_of(process))
        assert Path(f"/proc/{pid}").exists()
        process.kill()
        await gone(pid)
        assert (await attached.exec("echo on")).output == "on\n"


async def test_owner_that_stops_sharing_lets_guests_know() -> None:
    """Their calls end, their commands too."""
    computer = HeldComputer()
    left = anyio.Event()
    caught: list[Exception] = []

    async def guest(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with attached_computer("cmp_held") as attached:
            task_status.started()
            try:
                await attached.exec("sleep 60")
            except Exception as error:
                caught.append(error)
            await left.wait()
            with pytest.raises(ComputerGoneError):
                await attached.exec("true")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            async with share_computer(computer):
                await tasks.start(guest)
                await anyio.sleep(0.1)
            left.set()
    assert isinstance(caught[0], OutcomeUnknownError)


# The folder and the socket


async def test_list_shared_tells_what_there_is() -> None:
    """Name, screen, age and holder, oldest first; nothing where nothing is."""
    assert await list_shared() == []
    first, second = HeldComputer("cmp_a"), HeldComputer("cmp_b")
    async with share_computer(second), share_computer(first):
        found = await list_shared()
        assert [info.id for info in found] == ["cmp_a", "cmp_b"]
        assert found[0].created_at == first.info.created_at
        assert (found[0].name, found[0].screen, found[0].status) == ("held", Screen(1280, 800), ComputerStatus.RUNNING)
        assert found[0].metadata == {"pid": str(os.getpid())}
    assert await list_shared() == []


async def test_folder_and_socket_are_private(folder: Path) -> None:
    """Nobody else may enter, read or connect."""
    async with share_computer(HeldComputer()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        with pytest.raises(ConflictError):
            async with share_computer(HeldComputer()):
                pytest.fail("there were two of one id")
    assert list(folder.iterdir()) == []


async def test_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """Somebody could have laid it there."""
    folder.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        await list_shared()
    with pytest.raises(ConfigError, match="XDG_RUNTIME_DIR"):
        async with share_computer(HeldComputer()):
            pytest.fail("it was shared")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
async def test_folder_of_another_user_is_refused(folder: Path) -> None:
    """They could read what goes through it."""
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, -1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        await list_shared()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
async def test_runtime_folder_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After sudo it may still be named by the environment."""
    os.chown(folder.parent, 65534, -1)
    with tempfile.TemporaryDirectory(prefix="dh-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        async with share_computer(HeldComputer()):
            assert [path.name for path in Path(name).iterdir()] == [f"deskhand-{os.geteuid()}"]
    os.chown(folder.parent, os.geteuid(), -1)
    assert not folder.exists()


async def test_entries_of_the_dead_are_removed(folder: Path) -> None:
    """Whoever lists or attaches next removes them, and leaves what is not theirs."""
    async with owner_process() as process:
        process.kill()
        await process.wait()
    (folder / "cmp_new.json").touch()
    (folder / "note.txt").touch()
    assert {path.name for path in folder.iterdir()} == {"cmp_far.json", "cmp_far.sock", "cmp_new.json", "note.txt"}
    assert await list_shared() == []
    assert {path.name for path in folder.iterdir()} == {"cmp_new.json", "note.txt"}


@pytest.mark.parametrize("name", ["cmp_nowhere", "../cmp_held", "", "a" * 100])
async def test_attaching_to_what_is_not_there_says_so(name: str) -> None:
    """Whatever is asked for."""
    async with share_computer(HeldComputer()):
        with pytest.raises(NotFoundError, match="no local computer is called"):
            async with attached_computer(name):
                pytest.fail("it is not there")


async def test_attaching_to_a_stopped_owner_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel accepts, nobody answers."""
    monkeypatch.setattr("deskhand.providers.local.connect.OPEN_DEADLINE", 0.3)
    async with owner_process() as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ComputerGoneError, match="does not answer"):
            async with attached_computer("cmp_far"):
                pytest.fail("it is stopped")
        process.send_signal(signal.SIGCONT)
        monkeypatch.setattr("deskhand.providers.local.connect.OPEN_DEADLINE", 10.0)
        async with attached_computer("cmp_far") as attached:
            assert (await attached.exec("echo on")).output == "on\n"


def _upgrade(path: Path) -> socket.socket:
    """Connect as a WebSocket client would, by hand."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    reply = client.recv(65536)
    assert reply.startswith(b"HTTP/1.1 101"), reply
    return client


def _rest(client: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = b""
    with client:
        while data := client.recv(65536):
            received += data
    return received


def _frame(opcode: int, data: bytes) -> bytes:
    """A masked frame whose mask is zero."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xff" + len(data).to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + bytes(4) + data


async def test_garbage_on_the_socket_harms_nobody_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no request, and half a request; the owner and its guests go on."""
    monkeypatch.setattr("deskhand.providers.local.share.HANDSHAKE_DEADLINE", 0.3)
    async with held() as (_, attached):

        def send(data: bytes) -> bytes:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(10)
            client.connect(str(folder / "cmp_held.sock"))
            client.sendall(data)
            return _rest(client)

        for garbage in (b"\x00" * 1000, b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", os.urandom(5000) + b"\n\n"):
            await anyio.to_thread.run_sync(send, garbage)
        assert (await attached.exec("echo on")).output == "on\n"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (_frame(1, b"nonsense"), 1002),
        (_frame(1, b"[]"), 1002),
        (_frame(1, b'{"type": "call"}'), 1002),
        (_frame(1, b'{"type": "call", "id": -1, "operation": "exec"}'), 1002),
        (_frame(1, b'{"type": "hello"}'), 1002),
        (_frame(1, b"[" * 100_000), 1002),
        (_frame(1, b"\xff\xfe"), 1007),
        (_frame(2, b"short"), 1002),
        (_frame(1, b'{"type":"call","id":1,"operation":"write_file","arguments":{"path":"x"},"payload":2}')
         + _frame(2, bytes(7) + b"\x01\x00" + b"too much"), 1002),
        (_frame(1, b'{"type":"call","id":1,"operation":"shell"}') * 2, 1002),
        (_frame(1, b"")[:1] + bytes([0x80 | 127]) + (17 * 1024 * 1024).to_bytes(8, "big") + bytes(4), 1009),
    ],
)  # fmt: skip
async def test_messages_that_are_none_close_their_connection(frame: bytes, code: int, folder: Path) -> None:
    """With a reason, and only that one."""
    async with held() as (_, attached):

        def send() -> bytes:
            client = _upgrade(folder / "cmp_held.sock")
            client.sendall(frame)
            received = b""
            while b"\x88" not in received:
                received += client.recv(65536)
            client.close()
            return received

        received = await anyio.to_thread.run_sync(send)
        assert b"\x88" in received
        assert code.to_bytes(2, "big") in received
        assert (await attached.exec("echo on")).output == "on\n"


async def test_calls_that_ask_for_nonsense_are_answered(folder: Path) -> None:
    """Unknown operations, arguments of the wrong kind, calls on what is closed, cancels of nothing."""
    calls = (
        b'{"type":"cancel","id":77}',
        b'{"type":"credit","id":77,"size":5}',
        b'{"type":"call","id":1,"operation":"__class__"}',
        b'{"type":"call","id":2,"operation":"exec","arguments":{"command":5}}',
        b'{"type":"call","id":3,"operation":"exec","arguments":{"command":"x","more":1}}',
        b'{"type":"call","id":4,"operation":"kill","on":9}',
        b'{"type":"call","id":5,"operation":"perform","arguments":{"action":{"kind":"Click","count":99}}}',
        b'{"type":"call","id":6,"operation":"perform","arguments":{"action":{"kind":"Explode"}}}',
        b'{"type":"call","id":7,"operation":"write_file","arguments":{"path":"x"},"payload":999999999999}',
        b'{"type":"call","id":8,"operation":"write_file","arguments":{"path":"x"}}',
    )
    async with held() as (_, attached):

        def send() -> bytes:
            client = _upgrade(folder / "cmp_held.sock")
            for call in calls:
                client.sendall(_frame(1, call))
            received = b""
            while received.count(b'"failed"') < 8:
                received += client.recv(65536)
            client.sendall(_frame(8, (1000).to_bytes(2, "big")))
            return received + _rest(client)

        received = await anyio.to_thread.run_sync(send)
        kinds = [received.count(name) for name in (b'"InvalidInputError"', b'"UnsupportedError"', b'"ConflictError"')]
        assert kinds == [5, 1, 1]
        assert received.count(b'"PayloadTooLargeError"') == 1
        assert (await attached.exec("echo on")).output == "on\n"


async def test_owner_that_speaks_otherwise_is_refused(folder: Path) -> None:
    """Another version of this program may hold the computer."""
    from websockets.asyncio.server import ServerConnection, unix_serve

    from deskhand.providers.local.register import registered

    async def talk(guest: ServerConnection) -> None:
        await guest.send('{"type": "hello", "version": 99, "capabilities": [], "info": {}}')
        await guest.wait_closed()

    with anyio.fail_after(10), registered(HeldComputer().info) as path:
        async with unix_serve(talk, str(path)):
            with pytest.raises(ProtocolError):
                async with attached_computer("cmp_held"):
                    pytest.fail("it speaks otherwise")
