"""``deskhand run --harness``: loops by name and drivers of one's own, and what a person at the terminal is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.cli.exits import Exit
from tests.cli.program import Program

pytestmark = pytest.mark.slow

MODULE = '''
from deskhand import Harness, RunContext, ToolCall
from deskhand.tools import SafetyCheck


class Presses(Harness[str]):
    """Strikes a key."""

    async def drive(self, run: RunContext) -> str:
        pressed = await run.act("key", key="enter")
        return f"{run.goal}: {pressed.outcome}"


class Asks(Harness[str]):
    """Clicks where a person must have agreed."""

    def __init__(self, model: str = "none") -> None:
        self.asks = model

    async def drive(self, run: RunContext) -> str:
        checks = (SafetyCheck("sc_1", "malicious_instructions", "the page asks for a password"),)
        clicked = await run.act(ToolCall("left_click", {"x": 1, "y": 2}, checks=checks))
        return f"{self.asks}: {clicked.outcome}"


class Needs(Harness[str]):
    def __init__(self, something: int) -> None:
        pass

    async def drive(self, run: RunContext) -> None:
        pass


nothing = 1
'''


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "mine.py").write_text(MODULE)
    return Program(tmp_path)


async def test_driver_of_ones_own_runs_from_the_current_folder(program: Program) -> None:
    """``module:Class`` is found where one stands, and needs no key."""
    ended = await program.run("run", "say yes", "--harness", "mine:Presses", "--computer", "testbed")
    assert (ended.code, ended.err) == (0, "")
    assert "say yes: ok" in ended.out
    assert "key key='enter' repeat=1 → ok" in ended.out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clod", "no harness is called 'clod'"),
        ("mine:nothing", "mine:nothing is no harness"),
        ("mine:Absent", "the module mine has no Absent"),
        ("no_such:Thing", "the module no_such cannot be imported"),
        ("mine:Needs", "mine:Needs cannot be made"),
    ],
)
async def test_harness_that_cannot_be_had_is_named(program: Program, name: str, said: str) -> None:
    """Nothing is started, and the error says what to do."""
    ended = await program.run("run", "go", "--harness", name, "--computer", "testbed")
    assert (ended.code, ended.out) == (Exit.CONFIGURATION, "")
    assert said in ended.err
    assert "  try: " in ended.err


async def test_setting_that_a_harness_does_not_take_is_refused(program: Program) -> None:
    """A setting is never dropped silently."""
    ended = await program.run("run", "go", "--harness", "mine:Presses", "--computer", "testbed", "--model", "m")
    assert ended.code == Exit.USAGE
    assert "mine:Presses takes no model" in ended.err
    taken = await program.run("run", "go", "--harness", "mine:Asks", "--computer", "testbed", "--model", "m")
    assert "m: denied" in taken.out


async def test_call_that_must_be_approved_is_denied_where_nobody_can_be_asked(program: Program) -> None:
    """Without a terminal nothing of it runs, and why stands there."""
    ended = await program.run("run", "go", "--harness", "mine:Asks", "--computer", "testbed")
    assert "left_click → denied: denied by deskhand: nobody can be asked: standard input is no terminal" in ended.out
    assert "none: denied" in ended.out


@pytest.mark.parametrize(("typed", "outcome"), [(b"y\n", "ok"), (b"\n", "denied"), (b"n\n", "denied")])
async def test_person_at_the_terminal_is_asked(program: Program, typed: bytes, outcome: str) -> None:
    """The reason and the whole call are shown; only a yes lets it run."""
    code, shown = await program.on_terminal(
        "run", "go", "--harness", "mine:Asks", "--computer", "testbed", keys=(("[y/N]", typed),)
    )
    assert code == 0
    assert "asks for a person's approval: the page asks for a password" in shown
    assert "left_click x=1 y=2" in shown
    assert f"none: {outcome}" in shown


async def test_interrupt_at_the_question_stops_the_run(program: Program) -> None:
    """Ctrl-C is heard while an answer is waited for."""
    code, shown = await program.on_terminal(
        "run", "go", "--harness", "mine:Asks", "--computer", "testbed", keys=(("[y/N]", b"\x03"),)
    )
    assert code == Exit.INTERRUPTED
    assert "stopped (signal)" in shown
