"""Creating local computers, finding them again, and their ends."""

# ruff: noqa: ASYNC110 - the ends of foreign processes can only be looked for

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerSpec, ComputerStatus, Screen, attach, open_computer, provider
from deskhand.providers.local import LocalProvider, xserver
from tests.cancellation.injector import run_once
from tests.providers.local.machines import folders, own_folders, path_without, processes_with

__all__ = ["own_folders"]
pytestmark = pytest.mark.usefixtures("own_folders")

SCREENLESS = {
    Capability.EXEC,
    Capability.EXEC_STREAM,
    Capability.SHELL,
    Capability.TERMINAL,
    Capability.FILES,
    Capability.PORTS,
}


async def until_nothing_is_left(computer_id: str) -> None:
    """Wait until no process of this machine names a computer."""
    with anyio.fail_after(10):
        while processes_with(computer_id):
            await anyio.sleep(0.02)


@pytest.mark.parametrize(
    "desktop", [pytest.param(True, marks=pytest.mark.needs_x, id="desktop"), pytest.param(False, id="no-desktop")]
)
async def test_created_computer_is_owned_and_leaves_nothing(desktop: bool) -> None:
    """It is there under its id, and leaving the provider ends its processes and removes its folder."""
    async with LocalProvider() as local:
        computer = await local.create(name="mine", spec=ComputerSpec(metadata={"a": "b"}), desktop=desktop)
        info = computer.info
        assert info.id.startswith("cmp_")
        assert len(info.id) == 30
        assert (info.name, info.provider, info.source, info.status) == ("mine", "local", "local", "running")
        assert (info.metadata, info.screen) == ({"a": "b"}, Screen(1280, 800) if desktop else None)
        assert info.created_at is not None
        assert computer.capabilities - {Capability.ISOLATION} >= SCREENLESS
        assert (Capability.SCREENSHOT in computer.capabilities) is desktop
        assert await local.get(info.id) is computer
        assert info.id in [found.id for found in await local.list()]
        assert folders() == {info.id}
        await computer.exec("sleep 1000 & setsid sleep 1000 & true")
    assert computer.info.status is ComputerStatus.DESTROYED
    assert folders() == set()
    assert processes_with(info.id) == []
    with pytest.raises(ComputerGoneError):
        await computer.exec("true")


async def test_destroyed_computer_is_gone_and_destroying_it_again_is_no_error() -> None:
    """After ``destroy`` nothing of it is left, though the provider is still open."""
    async with LocalProvider() as local:
        computer = await local.create(name="x", desktop=False)
        other = await local.create(name="y", desktop=False)
        await computer.destroy()
        await computer.destroy()
        assert computer.info.id not in folders()
        assert [info.id for info in await local.list() if info.name in "xy"] == [other.info.id]
        with pytest.raises(NotFoundError):
            await local.get(computer.info.id)
        assert (await other.exec("echo on")).output == "on\n"


async def test_attached_computer_is_borrowed() -> None:
    """Whoever attaches uses it and leaves it alone, and its owner's destroying ends it for all."""
    async with open_computer("local", label="lent", desktop=False) as computer:
        name = f"local:{computer.info.id}"
        async with attach(name) as borrowed:
            assert (await borrowed.exec("echo hello")).output == "hello\n"
        assert computer.info.status == "running"
        async with provider("local") as local:
            assert ("lent", computer.info.id) in [(info.name, info.id) for info in await local.list()]
        async with attach(name) as borrowed:
            with anyio.fail_after(5):
                await borrowed.destroy()
        assert computer.info.status is ComputerStatus.DESTROYED
        with pytest.raises(NotFoundError):
            async with attach(name):
                pass


async def test_time_to_live_ends_the_computer() -> None:
    """A computer with a ``ttl`` ends by itself, and what waits for it is told."""
    async with LocalProvider() as local:
        computer = await local.create(name="short", spec=ComputerSpec(ttl=0.3), desktop=False)
        with anyio.fail_after(10), pytest.raises(ComputerGoneError):
            await computer.exec("sleep 1000")
        await until_nothing_is_left(computer.info.id)
        assert computer.info.status is ComputerStatus.DESTROYED


async def test_what_cannot_be_honoured_is_refused() -> None:
    """Sizes, images, unknown options, bad names, screens and times are refused with what is allowed."""
    async with LocalProvider() as local:
        for spec in (ComputerSpec(cpus=1), ComputerSpec(memory=1), ComputerSpec(disk=1), ComputerSpec(image="x")):
            with pytest.raises(InvalidInputError, match="cannot be honoured"):
                await local.create(name="x", spec=spec)
        with pytest.raises(InvalidInputError, match="did you mean 'desktop'"):
            await local.create(name="x", destkop=False)
        with pytest.raises(InvalidInputError, match="True or False"):
            await local.create(name="x", desktop=0)
        for name in ("", "a\nb", "x" * 201):
            with pytest.raises(InvalidInputError, match="name"):
                await local.create(name=name)
        for screen in ((0, 0), (100, 100), (100_000, 100)):
            with pytest.raises(InvalidInputError, match="out of bounds"):
                await local.create(name="x", spec=ComputerSpec(screen=screen))
        for ttl in (0, -1, float("inf")):
            with pytest.raises(InvalidInputError, match="ttl"):
                await local.create(name="x", spec=ComputerSpec(ttl=ttl))
        with pytest.raises(InvalidInputError, match="environment variable"):
            await local.create(name="x", spec=ComputerSpec(env={"a=b": "c"}))
        computer = await local.create(name="x", desktop=False)
        with pytest.raises(UnsupportedError, match="cannot be kept"):
            computer.keep()
        for port, path in ((0, "/"), (65_536, "/"), (80, "x"), (80, "/a b"), (80, "/\n")):
            with pytest.raises(InvalidInputError):
                await computer.preview_url(port, path)
        assert await computer.preview_url(8000, "/a?b=c#d") == "http://127.0.0.1:8000/a?b=c#d"
    with pytest.raises(ConflictError, match="not open"):
        await local.create(name="x")
    with pytest.raises(InvalidInputError, match="pool"):
        LocalProvider(pool=-1)


async def test_server_on_the_computer_is_reached_by_its_preview_url() -> None:
    """What listens on a port of the computer answers at the URL."""
    async with open_computer("local", desktop=False) as computer:
        await computer.write_file("site/index.html", "hello from inside")
        async with computer.exec_stream(
            'python3 -u -c \'import http.server as h; s = h.HTTPServer(("127.0.0.1", 0), h.SimpleHTTPRequestHandler);'
            " print(s.server_port); s.serve_forever()'",
            cwd="site",
        ) as server:
            with anyio.fail_after(10):
                port = int((await anext(aiter(server))).data)
                url = await computer.preview_url(port, "/index.html")
                assert (await computer.exec(f"curl -s {url} || wget -qO- {url}")).output == "hello from inside"
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    await stream.send(b"GET /index.html HTTP/1.0\r\n\r\n")
                    received = b""
                    while b"hello from inside" not in received:
                        received += await stream.receive()


async def test_error_in_the_block_comes_out_as_it_is() -> None:
    """What the block raises is neither wrapped nor hidden by the ends of the computers."""
    with pytest.raises(ZeroDivisionError):
        async with open_computer("local", desktop=False):
            raise ZeroDivisionError


async def test_without_x_server_there_is_a_shell_and_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no X server is installed the capabilities say so, and what needs one names the package."""
    monkeypatch.setenv("PATH", path_without(tmp_path, "Xvnc", "Xvfb"))
    async with open_computer("local") as computer:
        assert computer.capabilities - {Capability.ISOLATION} == SCREENLESS
        assert computer.info.screen is None
        assert (await computer.exec("echo $DISPLAY.")).output == ".\n"
        for call in (computer.screenshot, computer.cursor_position, lambda: computer.type("x")):
            with pytest.raises(UnsupportedError) as caught:
                await call()
            assert caught.value.hint == xserver.INSTALL_HINT
        assert await computer.settle() == 0


@pytest.mark.parametrize("mark", [pytest.param(None, marks=pytest.mark.needs_x, id="x")])
async def test_three_desktops_side_by_side_are_apart(mark: None) -> None:
    """Each has its own screen, pointer and home folder, and none sees another's."""
    del mark
    sizes = [Screen(800, 600), Screen(1024, 768), Screen(1280, 800)]
    async with LocalProvider() as local:
        computers = [
            await local.create(name=f"c{index}", spec=ComputerSpec(screen=size)) for index, size in enumerate(sizes)
        ]
        for index, computer in enumerate(computers):
            await computer.move(100 + index, 200 + index)
            await computer.write_file("who", str(index))
        for index, computer in enumerate(computers):
            assert computer.info.screen == sizes[index]
            assert await computer.cursor_position() == (100 + index, 200 + index)
            assert await computer.read_file("who") == str(index)
        displays = [(await computer.exec("echo $DISPLAY")).output for computer in computers]
        assert len(set(displays)) == 3
        await computers[0].destroy()
        assert (await computers[1].screenshot())[:4] == b"\x89PNG"


OWNER = """
import anyio, sys
from deskhand.providers.local import LocalProvider
async def main():
    async with LocalProvider(pool=1) as local:
        computer = await local.create(name="x", desktop=sys.argv[1] == "desktop")
        await computer.exec("sleep 100000 & setsid sleep 100000 & (setsid sleep 100000 &)")
        print(computer.info.id, (await computer.exec("echo $DISPLAY")).output.strip()[1:] or "-", flush=True)
        async with computer.exec_stream("sleep 100000"), computer.terminal():
            await anyio.sleep(1000)
anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["sandbox", "no-sandbox"])
@pytest.mark.parametrize("desktop", [pytest.param("desktop", marks=pytest.mark.needs_x), "no-desktop"])
async def test_owner_killed_leaves_no_process_and_the_next_start_cleans_up(
    sandbox: str, desktop: str, tmp_path: Path
) -> None:
    """SIGKILL of the owner ends all processes of its computers; the next provider removes their folders."""
    env = dict(os.environ)
    if sandbox == "no-sandbox":
        env["PATH"] = path_without(tmp_path, "bwrap")
    async with await anyio.open_process([sys.executable, "-c", OWNER, desktop], env=env, stderr=None) as owner:
        assert owner.stdout is not None
        with anyio.fail_after(30):
            line = await BufferedByteReceiveStream(owner.stdout).receive_until(b"\n", 1000)
            computer_id, display = line.decode().split()
        owned = folders()
        assert computer_id in owned
        os.kill(owner.pid, signal.SIGKILL)
        await owner.wait()
    for name in owned:
        await until_nothing_is_left(name)
    if display != "-":
        with anyio.fail_after(10):
            while any(map(os.path.lexists, (f"/tmp/.X{display}-lock", f"/tmp/.X11-unix/X{display}"))):
                await anyio.sleep(0.02)
    async with LocalProvider() as local:
        assert folders() == set()
        assert computer_id not in [info.id for info in await local.list()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["scope", "native"])
def test_cancelled_at_any_await_nothing_is_left(mode: str) -> None:
    """Wherever creation, use or end is cancelled, no process and no folder is left."""

    async def scenario() -> None:
        async with LocalProvider() as local:
            computer = await local.create(name="x", desktop=False)
            await computer.exec("sleep 0.01")
            await computer.write_file("a", "b")
            await computer.read_bytes("a")
            async with computer.shell() as shell:
                await shell.run("true")
            await computer.destroy()

    at = 0
    while True:
        at += 1
        schedule = run_once(scenario, frozenset({at}), "scope" if mode == "scope" else "native")
        assert folders() == set(), schedule.where
        if not schedule.where:
            break
    assert at > 10
