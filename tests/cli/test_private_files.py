"""What the command line keeps is its owner's alone, whatever the umask is, and goes where it was meant to go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deskhand.cli.home import private_file
from tests.cli.program import Program

pytestmark = pytest.mark.slow

MODULE = '''
from deskhand import Harness, RunContext


class Looks(Harness[str]):
    """Looks and runs a command."""

    async def drive(self, run: RunContext) -> str:
        await run.look()
        await run.act("exec", command="echo private; head -c 20000 /dev/zero | tr '\\\\0' x")
        await run.look()
        return "looked"
'''


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Return the command line where nothing that is made is private by itself."""
    (tmp_path / "mine.py").write_text(MODULE)
    before = os.umask(0)
    try:
        yield Program(tmp_path)
    finally:
        os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return what in a folder, itself included, somebody else could read, write or enter."""
    return [
        f"{path} {oct(path.lstat().st_mode)}" for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077
    ]


async def test_log_blobs_and_run_folders_are_their_owners_alone_whatever_the_umask_is(program: Program) -> None:
    """Frames, output, events: also in a folder of one's own that others can enter."""
    ended = await program.run("run", "look", "--computer", "testbed", "--harness", "mine:Looks")
    assert ended.code == 0, ended.err
    assert open_to_others(program.home) == []
    names = {path.name for path in program.home.rglob("*") if path.is_file()}
    assert {"events.db", "events.jsonl", "meta.json", "f1.png"} <= names
    export = program.folder / "export"
    export.mkdir(mode=0o777)
    assert (await program.run("events", "last", "--export", "export")).code == 0
    assert [path for path in open_to_others(export) if path.split()[0] != str(export)] == []


@pytest.mark.parametrize("name", ["events.jsonl", "frames/f1.png", "meta.json"])
async def test_link_that_lies_in_the_way_is_not_followed(program: Program, name: str) -> None:
    """Somebody who can write to the folder cannot have another file overwritten; why stands there."""
    assert (await program.run("run", "look", "--computer", "testbed", "--harness", "mine:Looks")).code == 0
    victim = program.folder / "victim"
    victim.write_text("precious")
    link = program.folder / "export" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim if name != "events.jsonl" else program.folder / "not-there-yet")
    ended = await program.run("events", "last", "--export", "export")
    assert "is incomplete from here on" in ended.err
    assert victim.read_text() == "precious"
    assert not (program.folder / "not-there-yet").exists()


def test_private_file_takes_what_was_open_to_others_back(tmp_path: Path) -> None:
    """One that was there before is closed to others before anything is written to it."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    with private_file(path) as file:
        assert path.stat().st_mode & 0o777 == 0o600
        file.write(b"new")
    assert path.read_text() == "new"
