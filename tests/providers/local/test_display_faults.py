"""What happens to a display when the server, the launcher or the owner comes to harm."""

# ruff: noqa: ASYNC110, ASYNC240 - the ends of foreign processes can only be looked for

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import anyio
import pytest

from deskhand.errors import ComputerGoneError, ConfigError, DeadlineExceededError
from deskhand.providers.actions import Click, HoldKey, Type
from deskhand.providers.contract import Screen
from deskhand.providers.local import xserver
from deskhand.providers.local.display import Display, open_display
from tests.providers.local.screens import a_display

pytestmark = pytest.mark.needs_x

OWNER = """
import anyio, pathlib, sys
from deskhand.providers.contract import Screen
from deskhand.providers.local.display import open_display
async def main():
    async with open_display(Screen(640, 480), pathlib.Path(sys.argv[1])) as display:
        print(display.name, flush=True)
        await anyio.sleep(60)
anyio.run(main)
"""


def processes_of(display: str) -> list[int]:
    """Return the processes of a display's server."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[:1] in ([b"Xvnc"], [b"Xvfb"]) and display.encode() in arguments:
            found.append(int(entry.name))
    return found


async def until_gone(display: str) -> None:
    """Wait until a display's server, socket and lock are gone."""
    traces = (f"/tmp/.X11-unix/X{display[1:]}", f"/tmp/.X{display[1:]}-lock")
    with anyio.fail_after(5):
        while processes_of(display) or any(map(os.path.lexists, traces)):
            await anyio.sleep(0.01)


async def test_killed_server_makes_every_call_say_that_the_computer_is_gone() -> None:
    """After the server was killed, waiting and later calls raise instead of hanging."""
    async with a_display() as display:
        caught: list[BaseException] = []

        async def hold() -> None:
            try:
                await display.perform(HoldKey("a", 1.0))
            except ComputerGoneError as error:
                caught.append(error)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold)
                await anyio.sleep(0.05)
                os.kill(processes_of(display.name)[0], signal.SIGKILL)
            assert len(caught) == 1
            for call in (
                display.capture,
                lambda: display.perform(Click(1, 1)),
                lambda: display.perform(Type("x")),
                display.cursor_position,
                display.settle,
            ):
                with pytest.raises(ComputerGoneError):
                    await call()
        await until_gone(display.name)


async def test_stopped_server_meets_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer costs a deadline, not for ever, and does not block the loop."""
    monkeypatch.setattr("deskhand.providers.local.xconnection.REPLY_DEADLINE", 0.5)
    async with a_display() as display:
        server = processes_of(display.name)[0]
        os.kill(server, signal.SIGSTOP)
        try:
            with anyio.fail_after(5):
                for call in (display.capture, lambda: display.perform(Click(1, 1))):
                    with pytest.raises(DeadlineExceededError, match="did not answer"):
                        await call()
        finally:
            os.kill(server, signal.SIGCONT)
        with anyio.fail_after(5):
            await display.perform(Click(1, 1))
            assert await display.cursor_position() == (1, 1)
            assert (await display.capture()).startswith(b"\x89PNG")


async def test_display_closed_in_the_midst_of_captures_ends_them_cleanly() -> None:
    """Who captures while the display is closed gets an error, and nobody reads memory that is gone."""
    ended = 0

    async def capture(display: Display) -> None:
        nonlocal ended
        try:
            while True:
                await display.capture()
        except ComputerGoneError:
            ended += 1

    async with anyio.create_task_group() as tasks, a_display() as display:
        for _ in range(3):
            tasks.start_soon(capture, display)
        await anyio.sleep(0.05)
    assert ended == 3


async def test_stopped_server_is_ended_all_the_same() -> None:
    """Leaving the block ends a stopped server too, within a bounded time."""
    with anyio.fail_after(8):
        async with a_display() as display:
            os.kill(processes_of(display.name)[0], signal.SIGSTOP)
        await until_gone(display.name)


@pytest.mark.parametrize("victim", ["owner", "launcher"])
async def test_sigkill_of_the_owner_or_launcher_ends_the_server(victim: str) -> None:
    """Whoever is killed without a chance to clean up, no server is left."""
    with tempfile.TemporaryDirectory() as directory:
        async with await anyio.open_process([sys.executable, "-c", OWNER, directory], stderr=None) as process:
            assert process.stdout is not None
            with anyio.fail_after(20):
                name = (await process.stdout.receive()).decode().strip()
            server = processes_of(name)[0]
            launcher = int(Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[1])
            os.kill(process.pid if victim == "owner" else launcher, signal.SIGKILL)
            with anyio.fail_after(5):
                while processes_of(name):
                    await anyio.sleep(0.01)
            if victim == "owner":
                await until_gone(name)
            else:
                process.kill()
    Path(f"/tmp/.X{name[1:]}-lock").unlink(missing_ok=True)
    Path(f"/tmp/.X11-unix/X{name[1:]}").unlink(missing_ok=True)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.05, 0.08], ids=str)
async def test_cancelled_opening_leaves_no_server(delay: float, tmp_path: Path) -> None:
    """Cancelled at any point of its start, a server ends."""
    opened: list[Display] = []
    with anyio.move_on_after(delay):
        async with open_display(Screen(640, 480), tmp_path) as display:
            opened.append(display)
            await anyio.sleep(5)
    with anyio.fail_after(5):
        while any(str(tmp_path).encode() in entry for entry in command_lines()):
            await anyio.sleep(0.01)


def command_lines() -> list[bytes]:
    """Return the command line of every process."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes())
        except OSError:
            continue
    return lines


async def test_server_that_fails_to_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the server's own last words and what to do."""
    monkeypatch.setattr(xserver, "_COMMON_ARGUMENTS", (":?", "-nosuchoption"))
    with pytest.raises(ConfigError, match="nosuchoption") as caught:
        async with open_display(Screen(640, 480), tmp_path):
            pass
    assert caught.value.hint


async def test_no_server_installed_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Xvnc and Xvfb the error names the packages."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert xserver.available_server() is None
    with pytest.raises(ConfigError, match="neither Xvnc nor Xvfb"):
        async with open_display(Screen(640, 480), tmp_path):
            pass


async def test_xvfb_takes_the_place_of_xvnc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only Xvfb is installed, the display works with it."""
    monkeypatch.setattr(xserver, "available_server", lambda: "Xvfb")
    async with open_display(Screen(640, 480), tmp_path) as display:
        assert (display.server, display.vnc_socket) == ("Xvfb", None)
        await display.perform(Click(639, 479))
        assert await display.cursor_position() == (639, 479)
        assert (await display.capture()).startswith(b"\x89PNG")


async def test_displays_side_by_side_do_not_share_anything() -> None:
    """Displays opened at once get numbers of their own, and none loses a reply in the crowd."""
    names: list[str] = []

    async def one() -> None:
        async with a_display(Screen(640, 480)) as display:
            names.append(display.name)
            for _ in range(20):
                await display.perform(Click(len(names), 5))
                await display.capture()

    with anyio.fail_after(9):  # less than the deadline of a reply
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(one)
    assert len(set(names)) == 12
