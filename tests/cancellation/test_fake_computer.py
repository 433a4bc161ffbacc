"""The fake computer cancelled at every suspension, once and twice: nothing held, nothing running, nothing left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from deskhand.providers import Click, Drag, HoldKey, Region, Scroll, Type, Wait
from deskhand.testing import FakeComputer, ScriptedModel, call, capture_events
from tests.cancellation.injector import Mode, explore, explore_pairs, open_descriptors, pairs_of

pytestmark = pytest.mark.slow

Use = Callable[[FakeComputer], Awaitable[object]]


async def follow(computer: FakeComputer) -> None:
    async with computer.exec_stream("echo a; sleep 0.001; (echo b; echo c) | cat") as stream:
        async for _ in stream:
            pass


async def kill(computer: FakeComputer) -> None:
    async with computer.exec_stream("echo a; sleep 60") as stream:
        await anext(aiter(stream))
        await stream.kill()
        async for _ in stream:
            pass


async def keep_a_shell(computer: FakeComputer) -> None:
    async with computer.shell() as shell:
        await shell.run("cd /; A=1")
        await shell.run("pwd", timeout=5)


async def use_a_terminal(computer: FakeComputer) -> None:
    async with computer.terminal() as terminal:
        await terminal.send(b"echo a\r")
        await terminal.resize(80, 25)
        await terminal.send(b"exit 3\r")
        async for _ in terminal:
            pass


async def use_files(computer: FakeComputer) -> None:
    await computer.write_file("folder/file", "content")
    await computer.read_bytes("folder/file")
    await computer.stat("folder")
    await computer.list_dir("folder")
    await computer.delete("folder", recursive=True)


async def see(computer: FakeComputer) -> None:
    await computer.screenshot()
    await computer.screenshot(region=Region(1, 1, 9, 9), format="jpeg")
    await computer.cursor_position()
    await computer.resize(640, 400)
    await computer.preview_url(80)


async def act(computer: FakeComputer) -> None:
    await computer.perform(Click(5, 5, count=2, modifiers=("ctrl",)))
    await computer.perform(Drag(((1, 1), (9, 9)), modifiers=("shift",)))
    await computer.perform(Scroll(5, 5, dy=3))
    await computer.perform(Type("aé"))
    await computer.perform(HoldKey("ctrl+a", 0.001))
    await computer.perform(Wait(0.001))


async def execute(computer: FakeComputer) -> None:
    await computer.exec("echo a > f; cat f | cat; sleep 0.001", stdin=b"x")
    await computer.python("print(1)")


async def run_a_script(computer: FakeComputer) -> None:
    model = ScriptedModel([[call("left_click", x=1, y=1), call("cursor_position")], "done"])
    async with model.start(computer, "goal") as run, capture_events(run) as events:
        await events.until("action.started")
        await run.result()


USES: dict[str, Use] = {
    use.__name__: use
    for use in (follow, kill, keep_a_shell, use_a_terminal, use_files, see, act, execute, run_a_script)
}


class Bench:
    """Uses a fresh computer, and sees what was left of it."""

    def __init__(self, use: Use) -> None:
        self._use = use
        self._descriptors = open_descriptors()
        self.computer: FakeComputer | None = None

    async def scenario(self) -> None:
        """Use the computer to its end."""
        async with FakeComputer(size=(320, 200)) as self.computer:
            await self._use(self.computer)

    def check(self) -> None:
        """Find nothing pressed and nothing running; a run that was left gives the computer back."""
        if self.computer is None:
            return
        down = [event.name for event in self.computer.received if event.kind.endswith("_down")]
        up = [event.name for event in self.computer.received if event.kind.endswith("_up")]
        assert sorted(down) == sorted(up)
        assert not self.computer._working
        assert self.computer._leased_to is None
        assert self.computer.info.status == "destroyed"
        assert open_descriptors() == self._descriptors


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_fake_computer_cancelled_anywhere_leaves_nothing(use: Use) -> None:
    """One cancellation, by a scope or by the task, at each suspension."""
    bench = Bench(use)
    assert explore(bench.scenario, bench.check) > 2


@pytest.mark.parametrize(("mode", "most"), [("native", 600), ("mixed", 60)], ids=["native", "mixed"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_fake_computer_cancelled_twice_anywhere_leaves_nothing(use: Use, mode: Mode, most: int) -> None:
    """Every pair of suspensions by the task twice; some first by a scope."""
    bench = Bench(use)
    explore_pairs(bench.scenario, bench.check, pairs_of(bench.scenario, most=most), mode=mode)
