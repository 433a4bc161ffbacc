"""``deskhand events``: the log's runs, and the events of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption, JsonOption
from deskhand.cli.terminal import Terminal
from deskhand.cli.text import one_line

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper
    from deskhand.harness.events import EventBase
    from deskhand.harness.log import EventLog, RunSummary

__all__ = ["register"]

PAGE = 500
"""Events that are read at once."""

GOAL = 60
"""Characters of a goal in the list of runs."""

NEWEST = "last"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events")(events)


def events(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's id, or last for the newest."),
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="N", help="Only events behind this number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on to the run's end.")] = False,
    types: Annotated[
        list[str] | None,
        typer.Option("--types", metavar="TYPE", help="Only these: names or globs, with commas between."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Runs in the list.")] = 20,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a run's events; without RUN, list the runs.

    The run may be live in another process or long ended.
    """
    from deskhand.cli.invoke import invoke

    wanted = [name.strip() for given in types or () for name in given.split(",") if name.strip()] or None

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        if run is None:
            await list_runs(terminal, limit)
        else:
            await show_run(terminal, run, after, wanted, follow=follow)
        return Exit.COMPLETED

    invoke(body, json=json, debug=debug)


async def list_runs(terminal: Terminal, limit: int) -> None:
    """List the log's runs, the newest first."""
    from deskhand.cli.home import log_path

    if not log_path().exists():
        summaries: list[tuple[RunSummary, str]] = []
    else:
        from deskhand.harness.sqlite_log import SqliteLog

        async with SqliteLog(log_path()) as log:
            summaries = [(summary, await _goal(log, summary.run_id)) for summary in await log.runs(limit=limit)]
    if terminal.json:
        for summary, goal in summaries:
            terminal.line(
                {
                    "type": "run",
                    "run_id": summary.run_id,
                    "started_at": summary.started_at.isoformat(),
                    "updated_at": summary.updated_at.isoformat(),
                    "last_seq": summary.last_seq,
                    "finished": summary.finished,
                    "goal": goal,
                }
            )
    elif not summaries:
        terminal.result('no runs yet; deskhand demo or deskhand run "GOAL" makes one')
    else:
        rows = [
            (
                summary.run_id,
                summary.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                str(summary.last_seq),
                "ended" if summary.finished else "open",
                one_line(goal, GOAL),
            )
            for summary, goal in summaries
        ]
        terminal.table(("RUN", "STARTED", "EVENTS", "STATE", "GOAL"), rows)


async def _goal(log: EventLog, run_id: str) -> str:
    from deskhand.harness.events import RunStarted

    first = await log.read(run_id, limit=1)
    return first[0].data.goal if first and isinstance(first[0], RunStarted) else ""


async def show_run(terminal: Terminal, run_id: str, after: int, types: list[str] | None, *, follow: bool) -> None:
    """Print one run's events.

    Raises:
        NotFoundError: If the log has no such run.
    """
    from deskhand.cli.home import log_path
    from deskhand.harness.sqlite_log import SqliteLog
    from deskhand.harness.stream import subscribe

    if not log_path().exists():
        raise _unknown(run_id)
    async with SqliteLog(log_path()) as log:
        run_id = await _resolve(log, run_id)
        if follow:
            async for event in subscribe(log, run_id, after=after, types=types):
                show(terminal, event)
            return
        while page := await log.read(run_id, after, limit=PAGE, types=types):
            for event in page:
                show(terminal, event)
                after = event.seq or after


async def _resolve(log: EventLog, run_id: str) -> str:
    if run_id == NEWEST:
        newest = await log.runs(limit=1)
        if newest:
            return newest[0].run_id
    if (await log.bounds(run_id))[1] == 0:
        raise _unknown(run_id)
    return run_id


def _unknown(run_id: str) -> Exception:
    from deskhand.errors import NotFoundError

    if run_id == NEWEST:
        return NotFoundError("there is no run yet", hint='deskhand demo or deskhand run "GOAL" makes one')
    return NotFoundError(f"no run is called {run_id!r}", hint="see the list: deskhand events")


def show(terminal: Terminal, event: EventBase) -> None:
    """Print one event: a line for people, or JSON."""
    import json

    if terminal.json:
        terminal.line(json.loads(event.to_json()))
        return
    number = "" if event.seq is None else str(event.seq)
    clock = event.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    terminal.result(f"{number:>5}  {clock}  {event.type:<16}  {one_line(event.summary, 200)}")
