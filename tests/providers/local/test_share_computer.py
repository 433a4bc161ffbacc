"""A real local computer used by a process that did not create it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest

from deskhand import open_run
from deskhand.errors import ComputerGoneError, ConfigError, ConflictError, NotFoundError
from deskhand.providers import Capability, ComputerStatus, attach, open_computer, provider

pytestmark = pytest.mark.slow

HOLD = """
import anyio, sys
from deskhand.providers import provider
async def main():
    async with provider("local") as local:
        computer = await local.create(name="far", desktop=sys.argv[1] == "screen")
        print(computer.info.id, flush=True)
        while computer.info.status == "running":
            await anyio.sleep(0.05)
    print("left", flush=True)
anyio.run(main)
"""


@asynccontextmanager
async def holder(kind: str = "shell") -> AsyncIterator[tuple[anyio.abc.Process, str]]:
    """A second process that holds a local computer, and the name by which others reach it."""
    process = await anyio.open_process([sys.executable, "-c", HOLD, kind], stderr=None)
    try:
        with anyio.fail_after(60):
            yield process, f"local:{await line_of(process)}"
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def line_of(process: anyio.abc.Process) -> str:
    """Read the next line that a process says."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive(1)
    return line.decode().strip()


async def test_attached_computer_does_what_its_owner_can() -> None:
    """Commands, files, terminal and shell of a computer that another process created."""
    async with holder() as (process, name), attach(name) as computer:
        assert computer.info.name == "far"
        assert {Capability.EXEC, Capability.FILES, Capability.TERMINAL} <= computer.capabilities
        assert Capability.SCREENSHOT not in computer.capabilities
        result = await computer.exec("cat; exit 3", stdin="grüße".encode())
        assert (result.stdout, result.exit_code) == ("grüße", 3)
        assert (await computer.exec("sleep 60", timeout=0.2)).error is not None
        await computer.write_file("a/b.bin", bytes(range(256)) * 5000)
        assert await computer.read_bytes("a/b.bin") == bytes(range(256)) * 5000
        assert [found.size for found in await computer.list_dir("a")] == [1_280_000]
        async with computer.shell() as shell:
            await shell.run("cd /tmp; export WHO=me")
            assert (await shell.run("echo $PWD $WHO")).output == "/tmp me\n"
        async with computer.terminal() as terminal:
            await terminal.send(b"echo $((6 * 7)); exit 4\n")
            assert b"42" in b"".join([data async for data in terminal])
            assert terminal.exit_code == 4
        await computer.destroy()
        assert await line_of(process) == "left"


@pytest.mark.needs_x
async def test_attached_computer_has_its_screen() -> None:
    """Captured, clicked and typed on from another process."""
    async with holder("screen") as (_, name), attach(name) as computer:
        assert computer.info.screen is not None
        await computer.move(321, 123)
        assert await computer.cursor_position() == (321, 123)
        assert (await computer.screenshot()).startswith(b"\x89PNG")
        assert await computer.settle() >= 0
        with pytest.raises(Exception, match="xyzzy"):
            await computer.key("xyzzy")


async def test_destroyed_computer_has_gone_for_all() -> None:
    """When destroy has returned nothing of it is listed, and its owner knows."""
    async with holder() as (process, name), provider("local") as local:
        assert [f"local:{info.id}" for info in await local.list()] == [name]
        async with attach(name) as first, attach(name) as second:
            await first.destroy()
            assert await local.list() == []
            with pytest.raises(ComputerGoneError):
                await second.exec("true")
            assert second.info.status is ComputerStatus.DESTROYED
        assert await line_of(process) == "left"
        assert await process.wait() == 0
        with pytest.raises(NotFoundError, match="deskhand ls"):
            async with attach(name):
                pytest.fail("it is gone")


async def test_killed_owner_takes_its_computer_along() -> None:
    """It is not listed any more, and what is attached says that it is gone."""
    async with holder() as (process, name), provider("local") as local:
        computer = await local.get(name.removeprefix("local:"))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        with pytest.raises(ComputerGoneError):
            await computer.list_dir()
        assert await local.list() == []


async def test_runs_of_two_processes_on_one_computer_conflict() -> None:
    """The second is refused while the first lasts."""
    async with holder() as (_, name), attach(name) as mine, attach(name) as theirs:
        async with open_run(mine, goal="mine") as run:
            with pytest.raises(ConflictError, match=f"in use by {run.run_id}"):
                async with open_run(theirs, goal="theirs"):
                    pytest.fail("both had it")
        async with open_run(theirs, goal="theirs") as run:
            assert (await run.act("exec", command="echo on")).ok


async def test_own_computers_are_listed_once() -> None:
    """Those of this provider, as they are now, and those of others."""
    async with holder() as (_, name), open_computer("local", desktop=False) as mine, provider("local") as local:
        assert {f"local:{info.id}" for info in await local.list()} == {name, f"local:{mine.info.id}"}
        other = await local.create(name="other", desktop=False)
        assert await local.get(other.info.id) is other
        assert [info.name for info in await local.list()].count("other") == 1


async def test_folder_that_is_not_ours_is_told_on_creating() -> None:
    """Nothing is left of the computer that could not be shared."""
    Path(os.environ["XDG_RUNTIME_DIR"], "deskhand").touch()  # noqa: ASYNC240 - a small file
    async with provider("local") as local:
        with pytest.raises(ConfigError, match="is no folder"):
            await local.create(name="mine", desktop=False)


async def test_error_of_the_block_is_raised_as_it_is() -> None:
    """No group around it."""
    with pytest.raises(json.JSONDecodeError):
        async with open_computer("local", desktop=False):
            json.loads("no")
