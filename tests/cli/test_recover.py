"""``deskhand recover``: a run whose process was killed goes on, on the computer that it had or on another one."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from deskhand import SqliteLog
from deskhand.cli.exits import Exit
from deskhand.harness.events import Event, RunPaused, RunRecovered, RunStarted
from deskhand.testing.models import FakeTurn, ModelView, tool_use
from tests.cli.program import Ended, Program
from tests.cli.test_harnesses import QUESTION
from tests.cli.test_run import read_folder, served
from tests.cli.test_signals import appears

pytestmark = pytest.mark.slow

WAIT = "touch reached; until [ -e go ]; do sleep 0.05; done"
RUN = ("run", "work on", "--computer", "testbed")

MODULE = '''
from deskhand import Harness, RunContext


class Counts(Harness[str]):
    """Counts to three, and keeps how far it is."""

    def __init__(self, model: str = "none") -> None:
        self.word = model

    async def drive(self, run: RunContext) -> str:
        done = run.restored if isinstance(run.restored, int) else 0
        for number in range(done, 3):
            await run.act("exec", command=f"echo {number} >> ledger", check=True)
            await run.checkpoint(number + 1)
            if number == 1 and run.restored is None:
                await run.act("exec", command="touch reached; until [ -e go ]; do sleep 0.05; done")
        return f"{self.word}: {done} were done before"
'''


def works(view: ModelView) -> FakeTurn:
    """Write a line a turn; in the second, wait for somebody."""
    lines = ["echo one >> ledger", f"echo two >> ledger; {WAIT}", "echo three >> ledger"]
    return FakeTurn([tool_use("exec", command=lines[view.turn])]) if view.turn < 3 else FakeTurn("All is done.")


async def killed(program: Program, *words: str) -> str:
    """Start a run, kill its process with SIGKILL while a command runs, and return the run's id."""
    async with program.start(*words, "--json") as running:
        await appears(program.folder / "reached")
        running.signal(signal.SIGKILL)
        ended = await running.end()
    assert ended.code == -signal.SIGKILL
    (program.folder / "go").touch()  # (what the dead process had started comes to its end)
    first = json.loads(next(iter([*running.seen, *ended.out.splitlines()])))
    return str(first["run_id"])


async def events_of(program: Program, run_id: str) -> list[Event]:
    async with SqliteLog(program.home / "events.db") as log:
        return await log.read(run_id)


def ledger(program: Program) -> list[str]:
    """What was done, in order."""
    return (program.folder / "ledger").read_text().split()


@asynccontextmanager
async def died(tmp_path: Path, *more: str) -> AsyncIterator[tuple[Program, str]]:
    """Have a run of the served model that was killed while its second command ran."""
    async with served(tmp_path, works) as program:
        yield program, await killed(program, *RUN, *more)


async def test_killed_run_goes_on_and_nothing_is_done_twice(tmp_path: Path) -> None:
    """Model, settings, budget and computer are the run's own; the command that was under way is not repeated."""
    settings = ("--model", "claude-opus-5-5", "--instructions", "Be brief.", "--max-turns", "9", "--max-time", "500")
    async with died(tmp_path, *settings) as (program, run_id):
        ended = await program.run("recover", run_id)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == f"run {run_id} on testbed:box with claude-opus-5-5"
    assert "  recovered (1), 1 actions were under way" in lines
    assert not any("echo one" in line for line in lines)  # what was before is not shown again
    assert any("echo three" in line and "→ ok" in line for line in lines)
    assert any(line.startswith("completed: 4 turns") for line in lines)
    assert ledger(program) == ["one", "two", "three"]
    events = await events_of(program, run_id)
    [started] = [event for event in events if isinstance(event, RunStarted)]
    assert started.data.budget == {"time": 500.0}
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    _, written, frames = read_folder(program.home / "runs" / run_id)
    assert [event["seq"] for event in written] == [event.seq for event in events]
    assert frames


async def test_recovered_run_as_json_is_the_events_from_there_on(tmp_path: Path) -> None:
    """Every line is JSON, from the recovery to the end, then the result."""
    async with died(tmp_path) as (program, run_id):
        known = len(await events_of(program, run_id))
        ended = await program.run("recover", "last", "--json")
    seqs = [line["seq"] for line in ended.lines if "seq" in line]
    assert ended.lines[0]["type"] == "run.recovered"
    assert seqs == list(range(known + 1, known + 1 + len(seqs)))
    assert (ended.lines[-1]["type"], ended.lines[-1]["run_id"], ended.lines[-1]["outcome"]) == (
        "result",
        run_id,
        "completed",
    )


async def test_list_and_replay_tell_of_a_run_that_died(tmp_path: Path) -> None:
    """With the command that goes on with it; of one that goes on or has ended they tell that."""
    async with died(tmp_path) as (program, run_id):
        listed = await program.run("events")
        assert listed.out.splitlines()[1].split()[4] == "died"
        assert "deskhand recover RUN" in listed.err
        replayed = await program.run("replay", run_id, "--speed", "0")
        assert f"deskhand recover {run_id}" in replayed.err
        followed = await program.run("events", run_id, "--follow")
        assert followed.code == Exit.FAILED
        assert f"deskhand recover {run_id}" in followed.err
        await program.run("recover", run_id)
        assert [line["state"] for line in (await program.run("events", "--json")).lines] == ["ended"]
        assert (await program.run("replay", run_id, "--speed", "0")).err == ""


async def test_run_that_is_alive_ended_or_unknown_is_not_recovered(tmp_path: Path) -> None:
    """Each is told, with what to do; the run that is alive goes on undisturbed."""
    async with served(tmp_path, works) as program, program.start(*RUN, "--json") as running:
        await appears(tmp_path / "reached")
        refused = await program.run("recover", "last")
        assert (refused.code, refused.out) == (Exit.FAILED, "")
        assert f"goes on in the process {running.process.pid}" in refused.err
        assert (await program.run("events", "--json")).lines[0]["state"] == "live"
        (tmp_path / "go").touch()
        assert (await running.end()).code == 0
        over = await program.run("recover", "last")
        unknown = await program.run("recover", "run_01K")
    assert ledger(program) == ["one", "two", "three"]
    assert (over.code, unknown.code) == (Exit.FAILED, Exit.USAGE)
    assert "has ended: completed" in over.err
    assert "no run is called 'run_01K'" in unknown.err


async def test_two_who_recover_at_once_do_nothing_twice(tmp_path: Path) -> None:
    """One of them goes on; the other is told that somebody does, or that the run is no longer its own."""
    async with died(tmp_path) as (program, run_id):
        ended: list[Ended] = []

        async def recover() -> None:
            ended.append(await program.run("recover", run_id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recover)
            tasks.start_soon(recover)
    assert sorted(one.code for one in ended) == [Exit.COMPLETED, Exit.FAILED]
    [loser] = [one.err for one in ended if one.code]
    assert any(words in loser for words in ("goes on in the process", "belongs to another writer", "has ended"))
    assert ledger(program) == ["one", "two", "three"]


async def test_run_that_died_at_a_question_asks_it_again(tmp_path: Path) -> None:
    """Killed while a person was to answer: the question comes again, and the answer counts."""

    def deletes(view: ModelView) -> FakeTurn:
        turns = [FakeTurn([tool_use("exec", command="echo gone >> ledger; rm -f nothing")]), FakeTurn("Gone.")]
        return turns[view.turn]

    async with served(tmp_path, deletes) as program:
        code, _ = await program.on_terminal(*RUN, keys=((QUESTION, signal.SIGKILL),))
        assert code == -signal.SIGKILL
        nobody = await program.run("recover", "last")
        assert (nobody.code, "nobody can be asked" in nobody.err) == (Exit.CONFIGURATION, True)
        code, shown = await program.on_terminal("recover", "last", keys=((QUESTION, b"y"),))
    assert code == 0, shown
    assert "rm -f nothing" in shown
    assert ledger(program) == ["gone"]


async def test_driver_of_ones_own_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Found again by ``module:Class``, made with what it was made with."""
    (tmp_path / "mine.py").write_text(MODULE)
    program = Program(tmp_path)
    run_id = await killed(program, "run", "count", "--harness", "mine:Counts", "--model", "m", "--computer", "testbed")
    ended = await program.run("recover", run_id)
    assert ended.code == 0, ended.err
    assert "m: 2 were done before" in ended.out
    assert ledger(program) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["testbed", "testbed:box"])
async def test_computer_that_is_gone_is_replaced_where_it_was_the_runs_own(tmp_path: Path, name: str) -> None:
    """A fresh one in its place, which the model is told; somebody else's computer is asked for by name."""
    async with served(tmp_path, works) as program:
        run_id = await killed(program, "run", "work on", "--computer", name)
        away = Program(tmp_path, {**program.variables, "TESTBED": "away"})
        ended = await away.run("recover", run_id)
        if ":" in name:
            assert (ended.code, ended.out) == (Exit.USAGE, "")
            assert "deskhand recover RUN --computer NAME" in ended.err
            ended = await away.run("recover", run_id, "--computer", "testbed")
        else:
            assert "testbed:box is gone; the run gets a fresh testbed one" in ended.err
    assert ended.code == 0, ended.err
    assert ledger(program) == ["one", "two", "three"]


async def test_run_of_a_program_is_recovered_by_what_its_log_tells(tmp_path: Path) -> None:
    """Without a command line in its log: a bundled loop by its class, the computer by its id, and people are asked."""
    async with died(tmp_path) as (program, run_id):
        events = await events_of(program, run_id)
        plain = [
            event.model_copy(update={"data": event.data.model_copy(update={"metadata": {}})})
            if isinstance(event, RunStarted)
            else event
            for event in events
        ]
        (program.home / "events.db").unlink()
        async with SqliteLog(program.home / "events.db") as log:
            log.append(run_id, await log.claim(run_id), plain)
            await log.barrier(run_id)
        asked = await program.run("recover", run_id)
        assert (asked.code, "nobody can be asked" in asked.err) == (Exit.CONFIGURATION, True)
        ended = await program.run("recover", run_id, "--approve", "never")
    assert ended.code == 0, ended.err
    assert ledger(program) == ["one", "two", "three"]


async def test_run_that_was_paused_is_not_taken_up_where_nobody_can_let_it_go_on(tmp_path: Path) -> None:
    """It would wait for ever: whoever asked for it is told so, and the run is left as it was."""
    async with died(tmp_path) as (program, run_id):
        async with SqliteLog(program.home / "events.db") as log:
            paused = {"source": f"/runs/{run_id}", "run_id": run_id, "data": {"actor": "user"}}
            epoch = await log.claim(run_id)
            log.append(run_id, epoch, [RunPaused.model_validate(paused)])
            await log.barrier(run_id)
        before = await events_of(program, run_id)
        ended = await program.run("recover", run_id)
        assert ended.code == Exit.CONFIGURATION
        assert "comes back paused" in ended.err
        assert await events_of(program, run_id) == before


async def test_run_that_dies_too_often_is_ended_as_quarantined(tmp_path: Path) -> None:
    """Ten times it is taken up; then it ends, and is told to have ended."""
    async with died(tmp_path) as (program, run_id):
        async with SqliteLog(program.home / "events.db") as log:
            epoch = await log.claim(run_id)
            said = {"source": f"/runs/{run_id}", "run_id": run_id}
            many = [RunRecovered.model_validate({**said, "data": {"recoveries": n}}) for n in range(1, 11)]
            log.append(run_id, epoch, many)
            await log.barrier(run_id)
        ended = await program.run("recover", run_id)
        assert (ended.code, "it is not taken up again" in ended.err) == (Exit.FAILED, True)
        again = await program.run("recover", run_id)
        assert "has ended: quarantined" in again.err
    assert ledger(program) == ["one", "two"]


@pytest.mark.needs_x
@pytest.mark.parametrize("more", [(), ("--computer", "orgo", "--simulate")], ids=["local", "simulated"])
async def test_scripted_run_goes_on_with_another_desktop(tmp_path: Path, more: tuple[str, ...]) -> None:
    """A desktop that died with its process is replaced; the script begins anew there, and comes to its end."""
    program = Program(tmp_path)
    async with program.start("run", "write a greeting", "--fake", *more, "--json") as running:
        async for line in running.lines():
            if '"left_click"' in line and '"action.finished"' in line:
                break
        running.signal(signal.SIGKILL)
        await running.end()
    ended = await program.run("recover", "last")
    assert ended.code == 0, ended.err
    assert "│ Done: greeting.txt holds 40 lines" in ended.out
    assert "scripted, and nothing is billed" in ended.out
