"""``deskhand run --harness``: loops by name and drivers of one's own, and what a person at the terminal is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.cli.exits import Exit
from tests.cli.program import Program

pytestmark = pytest.mark.slow

MODULE = '''
import anyio
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


class Commands(Harness[str]):
    """Runs a long command that would set the terminal's title."""

    async def drive(self, run: RunContext) -> str:
        line = "echo \\x1b]0;title\\x07 " + "x" * 3000 + " tail of the line"
        return f"command: {(await run.act('exec', command=line)).outcome}"


class Counts(Harness[str]):
    """Strikes number keys, one after the other, until it is stopped."""

    async def drive(self, run: RunContext) -> str:
        number = 0
        while True:
            number += 1
            await run.act("key", key=str(number % 10))
            await anyio.sleep(0.2)


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


QUESTION = "[e]dit the arguments"


@pytest.mark.parametrize(
    ("keys", "outcome", "said"),
    [
        (((QUESTION, b"y"),), "ok", "approved by user"),
        (((QUESTION, b"a"),), "ok", "approved by user"),
        (((QUESTION, b"xn"), ("why?", b"\n")), "denied", "denied by user"),
        (((QUESTION, b"n"), ("why?", "nicht näö".encode() + b"\x7f\x7fie\n")), "denied", "denied by user: nicht nie"),
        (((QUESTION, b"e"), ("as JSON", b'{"x": 7, "y": 8}\n'), (QUESTION, b"y")), "ok", "approved by user"),
        (
            ((QUESTION, b"e"), ("as JSON", b'{"x":\n'), ("t JSON", b"\x1b"), (QUESTION, b"y")),
            "ok",
            "approved by user",
        ),
    ],
)
async def test_person_at_the_terminal_is_asked(
    program: Program, keys: tuple[tuple[str, bytes], ...], outcome: str, said: str
) -> None:
    """The reason and the whole call are shown; one key decides, arguments can be changed, and why not can be said."""
    code, shown = await program.on_terminal("run", "go", "--harness", "mine:Asks", "--computer", "testbed", keys=keys)
    assert code == 0, shown
    assert "asks for a person's approval: the page asks for a password" in shown
    assert '"x": 1' in shown
    assert said in shown
    assert f"none: {outcome}" in shown


async def test_interrupt_at_the_question_stops_the_run(program: Program) -> None:
    """Ctrl-C is heard while an answer is waited for, and the terminal is as it was."""
    code, shown = await program.on_terminal(
        "run", "go", "--harness", "mine:Asks", "--computer", "testbed", keys=((QUESTION, b"\x03"),)
    )
    assert code == Exit.INTERRUPTED
    assert "stopped (signal)" in shown


async def test_what_may_do_harm_is_asked_about_at_a_terminal(program: Program) -> None:
    """By default: the whole command is in view, however long, with what would move the terminal made visible."""
    code, shown = await program.on_terminal(
        "run", "go", "--harness", "mine:Commands", "--computer", "testbed", keys=((QUESTION, b"n"), ("why?", b"\n"))
    )
    assert code == 0, shown
    assert "may this be done?" in shown
    assert "tail of the line" in shown
    assert "\x1b]0;" not in shown
    assert "command: denied" in shown


async def test_policy_of_a_file_decides(program: Program) -> None:
    """In the place of the usual one; what it refuses is refused without a question."""
    (program.folder / "policy.toml").write_text('[[rule]]\nverdict = "deny"\ntool = "exec"\nreason = "no commands"\n')
    ended = await program.run(
        "run", "go", "--harness", "mine:Commands", "--computer", "testbed", "--policy", "policy.toml"
    )
    assert ended.code == 0
    assert "command: denied" in ended.out
    (program.folder / "policy.toml").write_text("default = 7")
    ended = await program.run(
        "run", "go", "--harness", "mine:Presses", "--computer", "testbed", "--policy", "policy.toml"
    )
    assert ended.code == Exit.CONFIGURATION
    assert "policy.toml: default: " in ended.err


async def test_policy_that_asks_without_a_terminal_is_refused_at_start(program: Program) -> None:
    """Before anything is done, with what to do."""
    ended = await program.run("run", "go", "--harness", "mine:Presses", "--computer", "testbed", "--approve", "ask")
    assert ended.code == Exit.CONFIGURATION
    assert "nobody can be asked" in ended.err
    assert "--approve never" in ended.err
    assert "key" not in ended.out


async def test_keys_pause_step_steer_and_stop(program: Program) -> None:
    """While it goes: p pauses and goes on, s lets one action through, t says something, q ends it cleanly."""
    keys = (
        ("[q]uit", b"p"),
        ("paused by user", b"s"),
        ("key='1'", b"t"),
        ("otherwise?", b"faster\n"),
        ("user says: faster", b"p"),
        ("resumed by user", b"q"),
    )
    code, shown = await program.on_terminal("run", "go", "--harness", "mine:Counts", "--computer", "testbed", keys=keys)
    assert code == Exit.FAILED, shown
    assert "stopped (user)" in shown


async def test_time_that_is_used_up_ends_the_run(program: Program) -> None:
    """With the exit code of a budget, and the flag to raise."""
    ended = await program.run("run", "go", "--harness", "mine:Presses", "--computer", "testbed", "--max-time", "0")
    assert ended.code == Exit.BUDGET
    assert "budget exceeded (time)" in ended.out
