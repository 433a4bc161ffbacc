"""Ctrl-C and its kin, at any moment of a run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import anyio
import pytest

from deskhand import Event, SqliteLog
from deskhand.cli.exits import Exit
from deskhand.harness.events import ActionFinished, RunFinished
from deskhand.testing import FakeComputer
from deskhand.testing.models import FakeTurn, ModelView, member, tool_use
from deskhand.testing.simulators import OrgoSimulator
from tests.cli.program import Program, Running
from tests.cli.test_run import served

pytestmark = pytest.mark.slow

MOMENTS = sorted(random.Random(20).sample(range(1, 70), 6))
"""After how many lines of output the signal comes: deltas, intents, outcomes, frames."""

RUN = ("run", "work on", "--computer", "testbed", "--json")


def works_on(view: ModelView) -> FakeTurn:
    """Never come to an end."""
    return FakeTurn([member("left_click", coordinate=[view.turn, 9]), tool_use("exec", command="sleep 0.02")])


def sleeps(view: ModelView) -> FakeTurn:
    """Run a command that never ends."""
    return FakeTurn([tool_use("exec", command="sleep 1000", timeout=600)])


async def events_of(program: Program) -> list[Event]:
    """Return the events of the only run; it has exactly one end, and that is the last."""
    async with SqliteLog(program.home / "events.db") as log:
        [run] = await log.runs()
        events = await log.read(run.run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [index for index, event in enumerate(events, 1) if event.type == "run.finished"] == [len(events)]
    return events


async def reaches(running: Running, words: str) -> None:
    """Read on until a line holds these words."""
    async for line in running.lines():
        if words in line:
            return
    raise AssertionError(f"the program ended without {words!r}")


async def appears(path: Path) -> None:
    """Wait until another process has made a file."""
    with anyio.fail_after(20):
        while not await anyio.Path(path).exists():  # noqa: ASYNC110 (another process makes it)
            await anyio.sleep(0.01)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_ctrl_c_at_any_moment_ends_a_run_cleanly(tmp_path: Path, moment: int) -> None:
    """The run stops before its next action; its log has one end; exit code 130; no process is left."""
    async with served(tmp_path, works_on) as program, program.start(*RUN) as running:
        async for _ in running.lines():
            if len(running.seen) == moment:
                break
        running.signal(signal.SIGINT)
        ended = await running.end()
        left = running.members()
    assert ended.code == Exit.INTERRUPTED
    assert left == []
    finished = (await events_of(program))[-1]
    assert isinstance(finished, RunFinished)
    assert (finished.data.outcome, finished.data.reason) == ("stopped", "signal")
    assert "stopping before the next action; Ctrl-C again stops now" in ended.err
    assert "Traceback" not in ended.err


async def test_ctrl_c_twice_ends_a_command_that_never_ends(tmp_path: Path) -> None:
    """The first lets the command go on, the second ends it: the action is cancelled, and its process is gone."""
    async with served(tmp_path, sleeps) as program, program.start(*RUN) as running:
        await reaches(running, '"action.started", ')
        await reaches(running, '"action.started", ')
        running.signal(signal.SIGINT)
        await running.says("stops now")
        assert running.process.returncode is None
        running.signal(signal.SIGINT)
        ended = await running.end()
        left = running.members()
    assert (ended.code, left) == (Exit.INTERRUPTED, [])
    [*_, action, _] = await events_of(program)
    assert isinstance(action, ActionFinished)
    assert (action.data.name, action.data.outcome, action.data.effect) == ("exec", "cancelled", "unknown")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_termination_signal_ends_a_run_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """A service manager's signal needs no second one; the exit code tells it from Ctrl-C."""
    async with served(tmp_path, sleeps) as program, program.start(*RUN) as running:
        await reaches(running, '"name": "exec"')
        running.signal(number)
        ended = await running.end()
        left = running.members()
    assert (ended.code, left) == (Exit.TERMINATED, [])
    assert (await events_of(program))[-1].summary == "run stopped (signal)"


async def test_ctrl_c_while_a_computer_is_created(tmp_path: Path) -> None:
    """Before there is a run there is nothing to finish: the command ends, and no run is in the log."""
    async with served(tmp_path, works_on, TESTBED="slow") as program, program.start(*RUN) as running:
        await appears(tmp_path / "creating")
        running.signal(signal.SIGINT)
        ended = await running.end()
    assert (ended.code, ended.out, ended.err) == (Exit.INTERRUPTED, "", "")
    async with SqliteLog(program.home / "events.db") as log:
        assert await log.runs() == []


async def test_ctrl_c_on_a_terminal_says_what_it_does(tmp_path: Path) -> None:
    """The key itself, pressed twice: each press is answered with a line."""
    keys = (("sleep 1000", b"\x03"), ("Ctrl-C again stops now", b"\x03"))
    async with served(tmp_path, [FakeTurn([tool_use("exec", command="trap '' INT; sleep 1000")])]) as program:
        words = ("run", "work on", "--computer", "testbed", "--approve", "never")
        code, shown = await program.on_terminal(*words, keys=keys)
    assert code == Exit.INTERRUPTED
    assert "stopping before the next action; Ctrl-C again stops now" in shown
    assert "stopping now" in shown
    assert "stopped (signal): 1 turn" in shown
    assert "Traceback" not in shown


async def test_ctrl_c_ends_what_only_waits(tmp_path: Path) -> None:
    """A held computer, and a run that is followed, end with one signal."""
    program = Program(tmp_path)
    async with program.start("create", "testbed") as running:
        await reaches(running, "testbed:box")
        running.signal(signal.SIGINT)
        assert (await running.end()).code == Exit.INTERRUPTED


@pytest.mark.long
@pytest.mark.parametrize("how", ["stuck", "blocked"])
async def test_the_second_ctrl_c_ends_a_program_that_hangs(tmp_path: Path, how: str) -> None:
    """A shielded wait, or a held event loop: the process is gone within 12 s of the second signal."""
    async with served(tmp_path, sleeps, TESTBED=how) as program, program.start(*RUN) as running:
        await appears(tmp_path / "hanging")
        running.signal(signal.SIGINT)
        await anyio.sleep(0.5)
        running.signal(signal.SIGINT)
        began = time.monotonic()
        ended = await running.end()
    assert ended.code == Exit.INTERRUPTED
    assert time.monotonic() - began < 12


DRIVERS = """
from pathlib import Path

import anyio

from deskhand import Harness, RunContext


class Ends(Harness[str]):
    async def drive(self, run: RunContext) -> str:
        return "done"


class Waits(Harness[str]):
    async def drive(self, run: RunContext) -> str:
        Path("began").touch()
        await anyio.sleep_forever()
"""


async def test_run_whose_computer_cannot_be_destroyed_names_it(tmp_path: Path) -> None:
    """How the run ended is told all the same, by Ctrl-C twice too, and which computer may have been left behind."""
    (tmp_path / "mine.py").write_text(DRIVERS)
    async with OrgoSimulator(behind=FakeComputer) as simulator:
        program = Program(tmp_path, {"ORGO_API_KEY": simulator.key, "ORGO_API_BASE": simulator.base_url})
        simulator.fail(401, route="delete", times=2)
        ended = await program.run("run", "go", "--harness", "mine:Ends", "--computer", "orgo")
        assert (ended.code, "completed: " in ended.out) == (Exit.CONFIGURATION, True)
        [first] = simulator.computers
        assert f"the orgo computer {first} may have been left behind" in ended.err
        async with program.start("run", "go", "--harness", "mine:Waits", "--computer", "orgo") as running:
            await appears(tmp_path / "began")
            running.signal(signal.SIGINT)
            await running.says("stops now")
            running.signal(signal.SIGINT)
            stopped = await running.end()
        assert stopped.code == Exit.INTERRUPTED
        [second] = [one for one in simulator.computers if one != first]
        assert f"the orgo computer {second} may have been left behind" in stopped.err
