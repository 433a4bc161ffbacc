"""``deskhand replay``: a recorded run, shown again as it went, at any speed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption, JsonOption
from deskhand.cli.terminal import Terminal
from deskhand.cli.text import indented
from deskhand.text import one_line

if TYPE_CHECKING:
    from datetime import datetime

    from deskhand.cli.stopping import Stopper
    from deskhand.harness.events import EventBase

__all__ = ["register"]

EVENTS: Final = "events.jsonl"
"""The file of a run folder that holds its events."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, last for the newest, or a run folder.")],
    speed: Annotated[
        float, typer.Option("--speed", min=0, metavar="X", help="How many times as fast; 0: without any wait.")
    ] = 1.0,
    max_wait: Annotated[
        float, typer.Option("--max-wait", min=0, metavar="SECONDS", help="No pause is longer than that.")
    ] = 5.0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a recorded run again as it went; nothing is done.

    Ctrl-C ends it.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        import anyio.to_thread

        from deskhand.cli.view import RunView

        view = RunView(terminal, None)
        pace = _Pace(speed, max_wait)
        try:
            async with aclosing(recorded(terminal, run)) as events:
                async for event in events:
                    await pace.wait_until(event.time)
                    _tell_ends(terminal, event)
                    # A reader of the output that stalls must not hold the signals.
                    await anyio.to_thread.run_sync(view.show, [event], abandon_on_cancel=True)
        finally:
            terminal.wait_for(None)
        return Exit.COMPLETED

    invoke(body, json=json, debug=debug)


class _Pace:
    """Waits between events as long as the run did, faster or slower."""

    def __init__(self, speed: float, max_wait: float) -> None:
        self._speed = speed
        self._max_wait = max_wait
        self._last: datetime | None = None

    async def wait_until(self, moment: datetime) -> None:
        """Wait for as long as it took from the last moment to this one."""
        import anyio

        last, self._last = self._last, moment
        if last is not None and self._speed > 0:
            await anyio.sleep(min(self._max_wait, max(0.0, (moment - last).total_seconds()) / self._speed))


async def recorded(terminal: Terminal, run: str) -> AsyncGenerator[EventBase, None]:
    """Yield a run's events: those of a run folder where that is one, else those of the log.

    Raises:
        NotFoundError: If there is no such run.
        CorruptJournalError: If a run folder's events cannot be read.
    """
    import anyio

    from deskhand.cli.events import open_known, pages

    file = Path(run) / EVENTS
    if await anyio.Path(file).is_file():
        async for event in _of_file(file):
            yield event
        return
    async with open_known(run) as (log, run_id):
        last = ""
        async for page in pages(log, run_id):
            for event in page:
                last = event.type
                yield event
        if last != "run.finished" and await log.owner(run_id) is None:
            terminal.aside(f"it died there with its process; it goes on with: deskhand recover {run_id}")


async def _of_file(file: Path) -> AsyncIterator[EventBase]:
    import anyio

    from deskhand.errors import CorruptJournalError
    from deskhand.harness.events import parse_event

    try:
        async with await anyio.open_file(file, encoding="utf-8") as lines:
            async for line in lines:
                if line.strip():
                    yield parse_event(line)
    except (OSError, ValueError) as error:
        raise CorruptJournalError(
            f"the events in {file} cannot be read: {one_line(str(error), 200)}", hint="replay the run from the log"
        ) from error


def _tell_ends(terminal: Terminal, event: EventBase) -> None:
    """Say what a run set out with, and how it ended."""
    from deskhand.cli.view import cost_line
    from deskhand.harness.events import RunFinished, RunStarted

    match event:
        case RunStarted():
            by = f" with {event.data.model}" if event.data.model else ""
            terminal.note(one_line(f"run {event.run_id} on {', '.join(event.data.computers)}{by}", 200))
            terminal.note(indented(event.data.goal, "> "))
        case RunFinished():
            data = event.data
            if data.error is not None:
                terminal.note(one_line(f"error: {data.error.message}", 500))
            reason = f" ({data.reason})" if data.reason and data.reason != "error" else ""
            took = cost_line(data.turns, data.usage, data.cost)
            terminal.note(one_line(f"{data.outcome.replace('_', ' ')}{reason}: {took}", 200))
        case _:
            pass
