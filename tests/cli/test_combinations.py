"""``deskhand run --fake --simulate``: a loop and a driver of one's own on every computer, every loop on two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deskhand.cli.harnesses import BUNDLED
from deskhand.cli.simulating import KEYLESS, SIMULATED
from tests.cli.program import Program

pytestmark = [pytest.mark.needs_x, pytest.mark.timeout(180)]

COMPUTERS = (*KEYLESS, *SIMULATED)
EVERY_LOOP = ("local", "orgo")
PAIRS = [
    *(
        (harness, computer)
        for place, computer in enumerate(COMPUTERS)
        for harness in (BUNDLED if computer in EVERY_LOOP else [[*BUNDLED][place % len(BUNDLED)]])
    ),
    ("miosa", "miosa"),
]
"""Every loop on these two, every other computer with one loop, and one vendor's both: a loop does the same on all."""

DRIVER = '''
from deskhand import Harness, RunContext


class Greets(Harness[str]):
    """Writes a file by a command, looks, and reads it back."""

    async def drive(self, run: RunContext) -> str:
        await run.act("exec", command="echo hello > greeting.txt", check=True)
        frame = await run.look()
        read = await run.act("read_file", path="greeting.txt", check=True)
        return f"{read.text.strip()} on {frame.screen.width}x{frame.screen.height}"
'''


@pytest.mark.parametrize(("harness", "computer"), PAIRS)
async def test_bundled_loop_with_its_scripted_model_reaches_the_goal(
    tmp_path: Path, harness: str, computer: str
) -> None:
    """No key, no account: the loop, the wire, the adapter and the desktop are real; model and vendor are not."""
    ended = await Program(tmp_path).run(
        "run", "write a greeting", "--harness", harness, "--computer", computer, "--fake", "--simulate"
    )
    assert ended.code == 0, ended.err + ended.out[-2000:]
    assert "a command read them back exactly" in ended.out
    assert f" on {computer}:" in ended.out


@pytest.mark.parametrize("computer", COMPUTERS)
async def test_driver_of_ones_own_runs_on_it_too(tmp_path: Path, computer: str) -> None:
    """The same lines on a local and on a hosted computer."""
    (tmp_path / "mine.py").write_text(DRIVER)
    ended = await Program(tmp_path).run(
        "run", "greet", "--harness", "mine:Greets", "--computer", computer, "--fake", "--simulate", "--json"
    )
    assert ended.code == 0, ended.err
    result = json.loads(ended.out.splitlines()[-1])
    assert (result["type"], result["outcome"]) == ("result", "completed")
    assert result["output"].startswith("hello on ")


@pytest.mark.parametrize("harness", ["claude", "openai-functions"])
async def test_machine_without_a_screen_is_used_by_its_shell(tmp_path: Path, harness: str) -> None:
    """The scripted model writes by a command there; `MIOSA_KIND` chooses it."""
    ended = await Program(tmp_path, {"MIOSA_KIND": "sandbox"}).run(
        "run", "write a greeting", "--harness", harness, "--computer", "miosa", "--fake", "--simulate"
    )
    assert ended.code == 0, ended.err + ended.out[-2000:]
    assert "There was no screen to use" in ended.out


async def test_computer_that_cannot_be_simulated_is_named(tmp_path: Path) -> None:
    """So is one that exists already: a simulator begins with none."""
    program = Program(tmp_path)
    other = await program.run("run", "go", "--computer", "testbed", "--fake", "--simulate")
    assert (other.code, other.out) == (3, "")
    assert "there is no simulator of testbed" in other.err
    assert "use local, orgo" in other.err
    existing = await program.run("run", "go", "--computer", "orgo:1", "--fake", "--simulate")
    assert (existing.code, existing.out) == (2, "")
    assert "leave --simulate out" in existing.err


async def test_first_of_several_is_simulated_however_the_list_is_written(tmp_path: Path) -> None:
    """Spaces behind the commas are no part of a name."""
    (tmp_path / "mine.py").write_text(DRIVER)
    words = ("run", "greet", "--harness", "mine:Greets", "--computer", "orgo, local", "--fake", "--simulate", "--json")
    ended = await Program(tmp_path).run(*words)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out.splitlines()[-1])["output"].startswith("hello on ")
