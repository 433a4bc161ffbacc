"""``deskhand events``: the log's runs, and the events of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption, JsonOption
from deskhand.cli.terminal import Terminal
from deskhand.text import one_line

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper
    from deskhand.harness.events import Event, EventBase
    from deskhand.harness.log import EventLog, RunSummary

__all__ = ["register"]

PAGE = 500
"""Events that are read at once."""

GOAL = 60
"""Characters of a goal in the list of runs."""

NEWEST = "last"
DIED = "died"


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
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="DIR", help="Write them and the frames there, as a run folder."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Runs in the list.")] = 20,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a run's events; without RUN, list the runs.

    The run may be live in another process or long ended.
    """
    from deskhand.cli.invoke import invoke
    from deskhand.errors import InvalidInputError

    wanted = [name.strip() for given in types or () for name in given.split(",") if name.strip()] or None

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        if run is None:
            if export is not None:
                raise InvalidInputError("--export needs a run", hint="deskhand events last --export DIR")
            await list_runs(terminal, limit)
        elif export is not None:
            await export_run(terminal, run, export)
        else:
            await show_run(terminal, run, after, wanted, follow=follow)
        return Exit.COMPLETED

    invoke(body, json=json, debug=debug)


async def list_runs(terminal: Terminal, limit: int) -> None:
    """List the log's runs, the newest first."""
    from deskhand.cli.home import log_path

    if not log_path().exists():
        summaries: list[tuple[RunSummary, str, str]] = []
    else:
        from deskhand.harness.sqlite_log import SqliteLog

        async with SqliteLog(log_path()) as log:
            summaries = [
                (summary, await _state(log, summary), await _goal(log, summary.run_id))
                for summary in await log.runs(limit=limit)
            ]
    if terminal.json:
        for summary, state, goal in summaries:
            terminal.line(
                {
                    "type": "run",
                    "run_id": summary.run_id,
                    "started_at": summary.started_at.isoformat(),
                    "updated_at": summary.updated_at.isoformat(),
                    "last_seq": summary.last_seq,
                    "finished": summary.finished,
                    "state": state,
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
                state,
                one_line(goal, GOAL),
            )
            for summary, state, goal in summaries
        ]
        terminal.table(("RUN", "STARTED", "EVENTS", "STATE", "GOAL"), rows)
        if any(state == DIED for _, state, _ in summaries):
            terminal.aside("a run that died goes on with: deskhand recover RUN")


async def _state(log: EventLog, summary: RunSummary) -> str:
    """Return whether a run has ended, lives in some process, or died with its own."""
    if summary.finished:
        return "ended"
    return DIED if await log.owner(summary.run_id) is None else "live"


async def _goal(log: EventLog, run_id: str) -> str:
    from deskhand.harness.events import RunStarted

    first = await log.read(run_id, limit=1)
    return first[0].data.goal if first and isinstance(first[0], RunStarted) else ""


async def show_run(terminal: Terminal, run_id: str, after: int, types: list[str] | None, *, follow: bool) -> None:
    """Print one run's events.

    Raises:
        NotFoundError: If the log has no such run.
    """
    from deskhand.harness.stream import subscribe

    async with open_known(run_id) as (log, known):
        if follow:
            async for event in subscribe(log, known, after=after, types=types):
                show(terminal, event)
            return
        async for page in pages(log, known, after=after, types=types):
            for event in page:
                show(terminal, event)


async def export_run(terminal: Terminal, run_id: str, path: Path) -> None:
    """Write one run of the log as a run folder.

    Raises:
        NotFoundError: If the log has no such run.
        ConflictError: If the folder holds a run already.
        ConfigError: If it cannot be written.
    """
    from deskhand.cli.folder import RunFolder
    from deskhand.cli.home import blobs_path
    from deskhand.errors import ConfigError, ConflictError
    from deskhand.harness.blobs import DirectoryBlobs

    async with open_known(run_id) as (log, known):
        if (path / "events.jsonl").exists():
            raise ConflictError(f"{path} holds a run already", hint="name a folder that is not there yet")
        folder = RunFolder(path, DirectoryBlobs(blobs_path()), terminal.aside)
        count = 0
        try:
            async for page in pages(log, known):
                await folder.add(page)
                count += len(page)
        finally:
            await folder.aclose()
    if folder.broken:
        raise ConfigError(f"{path} does not hold the whole run", hint="name a folder that can be written, with space")
    told = f"{known}: {count} events in {path}"
    terminal.result(told, {"type": "export", "run_id": known, "events": count, "folder": str(path)})


@asynccontextmanager
async def open_known(run_id: str) -> AsyncIterator[tuple[EventLog, str]]:
    """Open the log and find a run in it.

    Raises:
        NotFoundError: If it has no such run.
    """
    from deskhand.cli.home import log_path
    from deskhand.harness.sqlite_log import SqliteLog

    if not log_path().exists():
        raise _unknown(run_id)
    async with SqliteLog(log_path()) as log:
        yield log, await _resolve(log, run_id)


async def pages(
    log: EventLog, run_id: str, *, after: int = 0, types: list[str] | None = None
) -> AsyncIterator[list[Event]]:
    """Yield a run's events as the log holds them now, some at a time."""
    while page := await log.read(run_id, after, limit=PAGE, types=types):
        yield list(page)
        after = page[-1].seq or after


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
