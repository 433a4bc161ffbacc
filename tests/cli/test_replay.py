"""A recorded run shown again, from the log and from a run folder, and written out as one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import anyio
import pytest

from deskhand import MemoryBlobs
from deskhand.cli.exits import Exit
from deskhand.cli.folder import RunFolder
from tests.cli.program import Program

pytestmark = pytest.mark.slow

RUN = ("run", "click there", "--computer", "testbed", "--fake")


async def test_run_is_replayed_from_the_log_and_from_its_folder(program: Program) -> None:
    """Both show what the run showed: the same actions, words and end; nothing new is recorded."""
    ran = await program.run(*RUN)
    assert "→ ok" in ran.out, ran
    [folder] = (program.home / "runs").iterdir()
    replayed = await program.run("replay", "last", "--speed", "0")
    again = await program.run("replay", str(folder), "--speed", "0")
    assert (replayed.code, replayed.err, again.code) == (0, "", 0)
    assert replayed.out == again.out
    lines = [line for line in ran.out.splitlines() if "→" in line or line.startswith("│")]
    assert [line for line in replayed.out.splitlines() if "→" in line or line.startswith("│")] == lines
    assert "> click there" in replayed.out
    listed = await program.run("events", "--json")
    assert len(listed.lines) == 1


async def test_run_is_exported_as_the_folder_that_it_wrote(program: Program) -> None:
    """Byte for byte the same events and frames; a second time into the same folder is refused."""
    await program.run(*RUN)
    [folder] = (program.home / "runs").iterdir()
    ended = await program.run("events", "last", "--export", "out", "--json")
    assert ended.lines[0]["type"] == "export"
    out = program.folder / "out"
    assert (out / "events.jsonl").read_bytes() == (folder / "events.jsonl").read_bytes()
    assert json.loads((out / "meta.json").read_text()) == json.loads((folder / "meta.json").read_text())
    frames = {path.name: path.read_bytes() for path in (folder / "frames").iterdir()}
    assert frames
    assert {path.name: path.read_bytes() for path in (out / "frames").iterdir()} == frames
    assert (await program.run("events", "last", "--export", "out")).code == Exit.FAILED
    nowhere = await program.run("events", "last", "--export", "out/meta.json/in")
    assert (nowhere.code, nowhere.out) == (Exit.CONFIGURATION, "")
    assert "out/meta.json/in does not hold the whole run" in nowhere.err
    assert (await program.run("events", "--export", "other")).code == Exit.USAGE


async def test_json_has_every_event(program: Program) -> None:
    """One line each, as the log has them."""
    await program.run(*RUN)
    replayed = await program.run("replay", "last", "--speed", "0", "--json")
    assert replayed.lines == (await program.run("events", "last", "--json")).lines


async def test_ctrl_c_ends_a_replay(program: Program) -> None:
    """At once, in the middle of a wait, with the exit code of a stopped command."""
    await program.run(*RUN)
    async with program.start("replay", "last", "--speed", "0.0001", "--max-wait", "600") as running:
        async for _ in running.lines():
            break
        running.signal(signal.SIGINT)
        with anyio.fail_after(20):
            ended = await running.end()
    assert (ended.code, ended.err) == (Exit.INTERRUPTED, "")


async def test_what_is_no_run_is_told(program: Program) -> None:
    """No log, an unknown run, a folder that is broken."""
    assert (await program.run("replay", "last")).code == Exit.USAGE
    await program.run(*RUN)
    assert (await program.run("replay", "run_nowhere")).code == Exit.USAGE
    broken = program.folder / "broken"
    broken.mkdir()
    (broken / "events.jsonl").write_text("no json\n")
    ended = await program.run("replay", "broken")
    assert ended.code == Exit.FAILED
    assert "cannot be read" in ended.err


async def test_frames_that_are_gone_are_left_out_and_told_once(program: Program, tmp_path: Path) -> None:
    """The rest of the folder is whole."""
    from deskhand import SqliteLog

    await program.run(*RUN)
    said: list[str] = []
    folder = RunFolder(tmp_path / "lacking", MemoryBlobs(), said.append)
    async with SqliteLog(program.home / "events.db") as log:
        [run] = await log.runs()
        events = await log.read(run.run_id)
    await folder.add(events)
    await folder.aclose()
    assert len(said) == 1
    assert "lacks frames" in said[0]
    assert len((tmp_path / "lacking" / "events.jsonl").read_text().splitlines()) == len(events)
