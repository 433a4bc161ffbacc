"""``deskhand run`` as a process, against the fake of the model's API on the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from deskhand import SqliteLog
from deskhand.cli.exits import Exit
from deskhand.testing.models import FakeAnthropic, FakeTurn, Script, member, text, tool_use
from tests.cli.program import Program, types_of

pytestmark = pytest.mark.slow

HOSTILE = "\x1b]0;owned\x07\u202egnp.exe\x9b2J"


@asynccontextmanager
async def served(tmp_path: Path, script: Script, **variables: str) -> AsyncIterator[Program]:
    """Serve a scripted model, and yield the program that asks it."""
    fake = FakeAnthropic(script)
    async with fake.serve() as base_url:
        yield Program(tmp_path, {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": fake.api_key, **variables})
    assert not fake.script_errors


def read_folder(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, bytes]]:
    """Return what is in a run's folder: the description, the events, the images; nobody else may look into it."""
    assert folder.stat().st_mode & 0o077 == 0
    meta = json.loads((folder / "meta.json").read_text())
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return meta, events, {path.name: path.read_bytes() for path in (folder / "frames").iterdir()}


def clicks_and_reports() -> list[FakeTurn]:
    """Make a script: one turn that acts, one that reports."""
    return [
        FakeTurn(
            [text("I click."), member("left_click", coordinate=[640, 360]), tool_use("exec", command="echo hello")]
        ),
        FakeTurn("All done."),
    ]


async def test_run_shows_each_action_and_what_it_took(tmp_path: Path) -> None:
    """A run prints a line an action, the model's words, the outcome, turns, tokens and cost."""
    async with served(tmp_path, clicks_and_reports()) as program:
        ended = await program.run("run", "greet", "--computer", "testbed")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("run run_")
    assert lines[0].endswith(" on testbed:box with claude-sonnet-5-5")
    assert "│ I click." in lines
    assert "  left_click x=640 y=360 → ok" in lines
    assert any(line.startswith("  exec command='echo hello'") and "→ ok" in line for line in lines)
    assert "All done." in ended.out
    [took] = [line for line in lines if line.startswith("completed: 2 turns · ")]
    assert " in" in took
    assert took.rpartition(" · ")[2].startswith("$")


async def test_run_writes_a_folder_and_a_log(tmp_path: Path) -> None:
    """The folder holds what the run is about, its durable events, and its frames; the log holds the same events."""
    async with served(tmp_path, clicks_and_reports()) as program:
        ended = await program.run("run", "greet", "--computer", "testbed", "--screen", "800x600", "--json")
    result = ended.lines[-1]
    folder = Path(str(result["folder"]))
    assert folder == program.home / "runs" / str(result["run_id"])
    meta, written, frames = read_folder(folder)
    assert (meta["goal"], meta["model"], meta["outcome"], meta["output"]) == (
        "greet",
        "claude-sonnet-5-5",
        "completed",
        "All done.",
    )
    async with SqliteLog(program.home / "events.db") as log:
        logged = await log.read(str(result["run_id"]))
    assert [event["seq"] for event in written] == [event.seq for event in logged] == list(range(1, len(logged) + 1))
    assert set(frames) == {f"{event['data']['frame_id']}.png" for event in written if event["type"] == "frame.captured"}
    assert frames["f1.png"].startswith(b"\x89PNG")


async def test_run_as_json_is_events_and_a_result(tmp_path: Path) -> None:
    """Every line of standard output is JSON: the events from run.started to run.finished, then the result."""
    async with served(tmp_path, clicks_and_reports()) as program:
        ended = await program.run("run", "greet", "--computer", "testbed", "--json")
    types = types_of(ended.lines)
    assert (types[0], types[-2], types[-1]) == ("run.started", "run.finished", "result")
    durable = [line["seq"] for line in ended.lines if "seq" in line]
    assert durable == list(range(1, len(durable) + 1))
    assert "model.delta" in types
    assert (ended.lines[-1]["outcome"], ended.lines[-1]["exit_code"]) == ("completed", 0)
    assert "frames and events: " in ended.err


async def test_events_show_a_run_that_ended(tmp_path: Path) -> None:
    """The log's runs are listed with their goals; one run's events can be had again, from a number on and by type."""
    async with served(tmp_path, clicks_and_reports()) as program:
        run_id = (await program.run("run", "greet", "--computer", "testbed", "--json")).lines[-1]["run_id"]
    listed = await program.run("events", "--json")
    assert [(line["run_id"], line["goal"], line["finished"]) for line in listed.lines] == [(run_id, "greet", True)]
    table = (await program.run("events")).out.splitlines()
    assert table[0].split() == ["RUN", "STARTED", "EVENTS", "STATE", "GOAL"]
    assert table[1].endswith("ended  greet")
    every = (await program.run("events", str(run_id), "--json")).lines
    assert types_of(every)[-1] == "run.finished"
    followed = (await program.run("events", "last", "--json", "--follow", "--after", "3")).lines
    assert followed == every[3:]
    actions = (await program.run("events", "last", "--json", "--types", "action.*,run.started")).lines
    assert actions == [line for line in every if str(line["type"]).startswith(("action.", "run.started"))]
    plain = await program.run("events", "last", "--types", "action.started")
    assert "left_click x=640 y=360" in plain.out


async def test_events_can_be_followed_while_a_run_goes_on(tmp_path: Path) -> None:
    """Another process follows a live run to its end."""
    script = [FakeTurn([tool_use("exec", command="until [ -e go ]; do sleep 0.05; done")]), FakeTurn("Done.")]
    async with (
        served(tmp_path, script) as program,
        program.start("run", "wait", "--computer", "testbed", "--json") as run,
    ):
        async for line in run.lines():
            if json.loads(line)["type"] == "action.started" and "until" in line:
                break
        async with program.start("events", "last", "--follow", "--json") as follower:
            async for line in follower.lines():
                if json.loads(line)["type"] == "action.started" and "until" in line:
                    (tmp_path / "go").touch()
            assert json.loads(follower.seen[-1])["type"] == "run.finished"
        assert (await run.end()).code == 0


async def test_run_is_not_held_by_a_reader_that_stalls(tmp_path: Path) -> None:
    """Nobody reads the output: the run goes on to its end all the same, and later everything is there to be read."""
    command = "head -c 3000 /dev/zero | tr '\\0' x"
    script = [*(FakeTurn([tool_use("exec", command=f"{command} # {turn}")]) for turn in range(30)), FakeTurn("Done.")]
    words = ("run", "chatter", "--computer", "testbed", "--json")
    async with served(tmp_path, script) as program, program.start(*words) as running:
        async with SqliteLog(program.home / "events.db") as log:
            with anyio.fail_after(30):
                while not (runs := await log.runs()) or not runs[0].finished:  # noqa: ASYNC110 (of another process)
                    await anyio.sleep(0.05)
        assert running.process.returncode is None
        ended = await running.end()
    assert (ended.code, types_of(ended.lines)[-1]) == (0, "result")
    durable = [line["seq"] for line in ended.lines if "seq" in line]
    assert durable == list(range(1, runs[0].last_seq + 1))


async def test_run_without_a_key_says_how_to_give_one(program: Program) -> None:
    """No key is found before anything is started."""
    ended = await program.run("run", "greet", "--computer", "testbed")
    assert ended.code == Exit.CONFIGURATION
    assert "  try: export ANTHROPIC_API_KEY=sk-ant-..." in ended.err
    assert not program.home.exists()
    ended = await program.run("run", "greet", "--json")
    assert (ended.code, ended.lines[0]["code"], ended.lines[0]["exit_code"]) == (3, "config", 3)


async def test_run_with_a_wrong_key_says_so(tmp_path: Path) -> None:
    """A refused key ends the run with the same exit code as none, and is not shown."""
    async with served(tmp_path, clicks_and_reports(), ANTHROPIC_API_KEY="sk-ant-wrong-and-secret") as program:
        ended = await program.run("run", "greet", "--computer", "testbed", "--json")
        kept = b"".join(path.read_bytes() for path in program.home.rglob("*") if path.is_file())
    assert ended.code == Exit.CONFIGURATION
    assert ended.lines[-1]["exit_code"] == Exit.CONFIGURATION
    assert "error: " in ended.err
    assert "export ANTHROPIC_API_KEY" in ended.err
    assert "wrong-and-secret" not in ended.out + ended.err
    assert b"wrong-and-secret" not in kept


async def test_run_with_an_unknown_model_says_so(tmp_path: Path) -> None:
    """A model that the API does not know is wrong input."""
    async with served(tmp_path, clicks_and_reports()) as program:
        ended = await program.run("run", "greet", "--computer", "testbed", "--model", "claude-nonesuch-9")
    assert ended.code == Exit.USAGE
    assert "claude-nonesuch-9" in ended.err
    assert "  try: " in ended.err


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["plain", "json"])
async def test_run_shows_hostile_text_without_acting_on_it(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """What the model says, what a command prints and the goal itself reach the terminal written out."""
    command = f"printf '%s' '{HOSTILE}'"
    script = [FakeTurn([text(f"so: {HOSTILE}"), tool_use("exec", command=command)]), FakeTurn(f"end {HOSTILE}")]
    async with served(tmp_path, script) as program:
        run = await program.run("run", f"goal {HOSTILE}", "--computer", "testbed", *flags)
        events = await program.run("events", "last", *flags)
        runs = await program.run("events", *flags)
    assert run.code == 0
    for shown in (run, events, runs):
        for text_ in (shown.out, shown.err):
            assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(text_)


async def test_run_ends_by_its_budget(tmp_path: Path) -> None:
    """A run that is out of turns has an exit code of its own."""
    async with served(tmp_path, lambda _: FakeTurn([member("screenshot")])) as program:
        ended = await program.run("run", "greet", "--computer", "testbed", "--max-turns", "2")
    assert ended.code == Exit.BUDGET
    assert "budget exceeded (turns): 2 turns" in ended.out


async def test_run_that_the_model_declines(tmp_path: Path) -> None:
    """A refusal has an exit code of its own."""
    async with served(tmp_path, [FakeTurn("", stop_reason="refusal")]) as program:
        ended = await program.run("run", "greet", "--computer", "testbed")
    assert ended.code == Exit.REFUSED
    assert "error: the model declined" in ended.err


async def test_run_goes_on_without_its_folder(tmp_path: Path) -> None:
    """A folder that cannot be written is told once; the log has everything."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "runs").write_text("in the way")
    async with served(tmp_path, clicks_and_reports()) as program:
        ended = await program.run("run", "greet", "--computer", "testbed")
        listed = await program.run("events")
    assert ended.code == 0
    assert ended.err.count("incomplete from here on") == 1
    assert "ended" in listed.out


async def test_run_needs_a_home_that_can_be_written(tmp_path: Path) -> None:
    """Where nothing can be kept nothing is started."""
    (tmp_path / "home").write_text("in the way")
    async with served(tmp_path, clicks_and_reports()) as program:
        ended = await program.run("run", "greet", "--computer", "testbed")
    assert ended.code == Exit.CONFIGURATION
    assert "DESKHAND_HOME" in ended.err


async def test_run_shows_progress_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal what is waited for is shown while it lasts."""
    async with served(tmp_path, clicks_and_reports()) as program:
        code, shown = await program.on_terminal("run", "greet", "--computer", "testbed", "--approve", "never")
    assert code == 0
    assert "turn 1: claude-sonnet-5-5 answers" in shown
    assert "left_click x=640 y=360 → ok" in shown


async def test_run_of_a_computer_that_dies(tmp_path: Path) -> None:
    """The model is told; the run and its log stay usable."""
    async with served(tmp_path, clicks_and_reports(), TESTBED="gone") as program:
        ended = await program.run("run", "greet", "--computer", "testbed")
    assert ended.code == 0
    assert "left_click x=640 y=360 → unknown: the testbed computer box is gone" in ended.out


async def test_run_reads_settings_from_a_dotenv_file(tmp_path: Path) -> None:
    """A key in ``.env`` serves where the environment has none; what is no setting of ours is left alone."""
    fake = FakeAnthropic(clicks_and_reports())
    async with fake.serve() as base_url:
        await anyio.Path(tmp_path / ".env").write_text(
            f"ANTHROPIC_API_KEY={fake.api_key}\nANTHROPIC_BASE_URL={base_url}\nPATH=/nowhere\n"
        )
        ended = await Program(tmp_path).run("run", "greet", "--computer", "testbed")
    assert ended.code == 0
