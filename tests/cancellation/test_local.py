"""Local computers cancelled at every suspension: nothing of them is left, and those that live go on working."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import combinations
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from deskhand.providers import Click, Drag, HoldKey, Type
from deskhand.providers.local import LocalProvider
from deskhand.providers.local.computer import LocalComputer
from deskhand.providers.local.folder import folders_root
from tests.cancellation.injector import Mode, explore, explore_pairs, inject, open_descriptors, pairs_of

pytestmark = [pytest.mark.needs_x, pytest.mark.slow]

Act = Callable[[LocalComputer], Coroutine[object, object, object]]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the computers of these tests apart from all others of this machine; sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="c-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def children() -> set[int]:
    """Return the processes that descend from this one and are alive."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(") ")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def folders() -> set[str]:
    """Return the folders of computers."""
    root = folders_root()
    return {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()


class Bench:
    """Makes a computer and uses it; what was there before is all that may be there afterwards."""

    def __init__(self, *, desktop: bool) -> None:
        self.desktop = desktop
        self.before = (children(), folders(), len(open_descriptors()))

    async def life(self) -> None:
        """A provider, a computer, a command, the end of both."""
        async with LocalProvider() as provider:
            computer = await provider.create(name="short", desktop=self.desktop)
            await computer.exec("true")
            if self.desktop:
                await computer.screenshot()
            await computer.destroy()

    def check(self) -> None:
        """Hold that nothing was left behind."""
        processes, places, descriptors = self.before
        assert children() <= processes, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children() - processes]
        assert folders() <= places
        assert len(open_descriptors()) <= descriptors, open_descriptors()


@pytest.mark.parametrize("desktop", [False, True], ids=["shell", "desktop"])
def test_making_and_ending_a_computer_cancelled_once_leaves_nothing(desktop: bool) -> None:
    """At every suspension, by a scope and natively."""
    bench = Bench(desktop=desktop)
    assert explore(bench.life, bench.check) > 5


@pytest.mark.parametrize("mode", ["native", "mixed"])
def test_making_and_ending_a_computer_cancelled_twice_leaves_nothing(mode: Mode) -> None:
    """At fifty pairs of suspensions, drawn by a seed."""
    bench = Bench(desktop=True)
    explore_pairs(bench.life, bench.check, pairs_of(bench.life, most=25, seed=2026), mode=mode)


async def use_stream(computer: LocalComputer) -> None:
    """Follow a command that would never end."""
    async with computer.exec_stream("yes") as stream:
        count = 0
        async for chunk in stream:
            count += len(chunk.data)
            if count > 200_000:
                break


async def use_shell(computer: LocalComputer) -> None:
    """Run commands in a kept shell."""
    async with computer.shell() as shell:
        await shell.run("cd /; sleep 0.01")
        await shell.run("pwd")


async def use_terminal(computer: LocalComputer) -> None:
    """Type into a terminal and read the answer."""
    async with computer.terminal() as terminal:
        await terminal.send(b"echo an''swer\n")
        said = b""
        async for data in terminal:
            said += data
            if b"answer" in said:
                break
        await terminal.resize(80, 20)


async def use_files(computer: LocalComputer) -> None:
    """Write, read, list and delete."""
    await computer.write_file("folder/file", b"x" * 100_000)
    await computer.read_bytes("folder/file")
    await computer.list_dir("folder")
    await computer.stat("folder/file")
    await computer.delete("folder", recursive=True)


async def use_input(computer: LocalComputer) -> None:
    """Everything that presses something."""
    await computer.perform(Click(5, 5, count=2, modifiers=("ctrl",)))
    await computer.perform(Drag(((1, 1), (300, 200)), modifiers=("shift",)))
    await computer.perform(HoldKey("ctrl+shift+a", 0.02))
    await computer.perform(Type("naïve ☕ 你好"))


async def use_screen(computer: LocalComputer) -> None:
    """Everything that looks."""
    await computer.screenshot()
    await computer.settle(quiet=0.01, limit=0.05)
    await computer.cursor_position()


ACTS: dict[str, Act] = {
    "exec": lambda computer: computer.exec("sleep 0.01; echo done"),
    "python": lambda computer: computer.python("print(1)"),
    "stream": use_stream,
    "shell": use_shell,
    "terminal": use_terminal,
    "files": use_files,
    "input": use_input,
    "screen": use_screen,
}


async def pressed(computer: LocalComputer) -> int:
    """Ask the X server, over a connection of one's own, how many keys and buttons are down."""
    assert computer.x_access is not None
    name, authority = computer.x_access
    asked = (
        "import xcffib.xproto; c = xcffib.connect(); r = c.get_setup().roots[0].root;"
        "k = sum(bin(b).count('1') for b in c.core.QueryKeymap().reply().keys);"
        "print(k + bin(c.core.QueryPointer(r).reply().mask >> 8 & 31).count('1'))"
    )
    done = await anyio.run_process(
        [sys.executable, "-c", asked], env={**os.environ, "DISPLAY": name, "XAUTHORITY": str(authority)}
    )
    return int(done.stdout)


@asynccontextmanager
async def a_computer() -> AsyncIterator[LocalComputer]:
    """Have a computer with a desktop."""
    async with LocalProvider() as provider:
        yield await provider.create(name="used")


async def left_running(computer: LocalComputer) -> str:
    """Ask the computer which of the acts' commands it still runs."""
    return (await computer.exec("cat /proc/[0-9]*/comm 2>/dev/null | grep -xE 'yes|sleep'")).output


async def check_works(computer: LocalComputer) -> None:
    """Hold that a computer still does what it should, holds nothing and runs nothing that was cancelled."""
    assert (await computer.exec("echo works")).output == "works\n"
    assert await left_running(computer) == ""
    assert await pressed(computer) == 0


async def test_what_is_left_would_be_seen() -> None:
    """The checks below are no use if they see nothing."""
    async with a_computer() as computer:
        async with computer.exec_stream("yes & sleep 60"):
            await computer.mouse_down()
            with anyio.fail_after(10):
                while sorted((await left_running(computer)).split()) != ["sleep", "yes"]:
                    await anyio.lowlevel.checkpoint()
            assert await pressed(computer) == 1
        await computer.mouse_up()
        await check_works(computer)


@pytest.mark.parametrize("name", list(ACTS))
async def test_act_cancelled_at_any_suspension_leaves_a_working_computer(name: str) -> None:
    """Once, by a scope and natively: its processes are gone, nothing is held down, the next act works."""
    act = ACTS[name]
    async with a_computer() as computer:
        await check_works(computer)
        total = (await inject(partial(act, computer), frozenset(), "scope")).seen
        modes: tuple[Mode, ...] = ("scope", "native")
        for mode in modes:
            for n in range(1, total + 1):
                await inject(partial(act, computer), frozenset({n}), mode)
                assert (await computer.exec("echo works")).output == "works\n"
            await check_works(computer)


async def test_acts_cancelled_twice_leave_a_working_computer() -> None:
    """Fifty pairs over all acts, drawn by a seed; the second comes during the clean-up after the first."""
    chance = random.Random(50)
    async with a_computer() as computer:
        await check_works(computer)
        totals = {name: (await inject(partial(act, computer), frozenset(), "scope")).seen for name, act in ACTS.items()}
        pairs = [(name, pair) for name, total in totals.items() for pair in combinations(range(1, total + 4), 2)]
        for name, pair in chance.sample(pairs, 50):
            mode: Mode = chance.choice(["native", "mixed"])
            await inject(partial(ACTS[name], computer), frozenset(pair), mode)
        await check_works(computer)
