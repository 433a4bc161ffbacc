"""A computer that one process holds and others use."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deskhand.cli.exits import Exit
from deskhand.testing.models import FakeTurn, member
from tests.cli.program import Program
from tests.cli.test_run import served

pytestmark = [pytest.mark.needs_x, pytest.mark.slow]


@pytest.fixture
def short() -> Iterator[Path]:
    """Make a private folder with a path that is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="dh-") as folder:
        yield Path(folder)


async def test_a_held_computer_is_used_by_other_commands(tmp_path: Path, short: Path) -> None:
    """``create`` holds it; ``ls``, ``exec`` and ``shot`` reach it by its name; ``rm`` ends it and its holder."""
    program = Program(tmp_path, {"XDG_RUNTIME_DIR": str(short)})
    async with program.start("create", "local", "--name", "bench", "--screen", "800x600") as holder:
        name = await anext(holder.lines(), "")
        assert name.startswith("local:"), await holder.end()
        listed = (await program.run("ls", "local", "--json")).lines
        assert [(line["computer"], line["name"], line["status"], line["screen"]) for line in listed] == [
            (name, "bench", "running", [800, 600])
        ]
        assert (await program.run("exec", name, "echo hello > note; exit 3")).code == 3
        assert (await program.run("exec", name, "cat note")).out == "hello\n"
        assert (await program.run("shot", name, "seen.png", "--json")).lines[0]["width"] == 800
        script = [FakeTurn([member("left_click", coordinate=[400, 300])]), FakeTurn("Clicked.")]
        async with served(tmp_path, script, XDG_RUNTIME_DIR=str(short)) as asking:
            ran = await asking.run("run", "click", "--computer", name)
        assert (ran.code, f" on {name} " in ran.out) == (0, True)
        assert (await program.run("rm", name)).out == f"{name} is destroyed\n"
        ended = await holder.end()
        assert ended.code == 0
        assert (await program.run("ls", "local")).out == "no computers; deskhand create local makes one\n"
        gone = await program.run("shot", name)
        assert gone.code == Exit.USAGE
