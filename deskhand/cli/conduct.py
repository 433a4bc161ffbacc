"""A run from the command line: into the log, onto the terminal, into its folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deskhand.cli.exits import Exit, exit_of_outcome
from deskhand.cli.text import indented
from deskhand.errors import ConflictError
from deskhand.text import one_line

if TYPE_CHECKING:
    from deskhand.cli.keyboard import Bindings, Keyboard
    from deskhand.cli.stopping import Stopper
    from deskhand.cli.terminal import Terminal
    from deskhand.harness.engine import Engine
    from deskhand.harness.log import EventLog
    from deskhand.harness.run import Run, RunResult
    from deskhand.providers.contract import ExternalComputer

__all__ = ["Conducted", "conduct", "open_log", "tell_result"]


@dataclass(frozen=True, slots=True)
class Conducted:
    """A run that has ended.

    Attributes:
        result: How it ended.
        folder: Where its frames and events are.
        said: Whether its output was printed as the model's last words.
    """

    result: RunResult[str]
    folder: Path
    said: bool = False


@asynccontextmanager
async def open_log() -> AsyncIterator[EventLog]:
    """Open the log of the command line, in its private folder.

    Raises:
        ConfigError: If the folder cannot be written.
        JournalError: If the log cannot be opened.
    """
    from deskhand.cli.home import home, log_path, private_folder
    from deskhand.harness.sqlite_log import SqliteLog

    private_folder(home())
    async with SqliteLog(log_path()) as log:
        yield log


async def conduct(
    terminal: Terminal,
    stopper: Stopper,
    *,
    log: EventLog,
    model: str | None,
    computer: ExternalComputer,
    begin: Callable[[Engine], Awaitable[Run[str]]],
    known: int = 0,
) -> Conducted:
    """Have a run begin, or go on, show it as it goes, and return how it ended; Ctrl-C stops it cleanly, twice now.

    Args:
        terminal: Where its events are shown.
        stopper: Takes the signals.
        log: Where its events go.
        model: What drives it.
        computer: What it may use.
        begin: Begins it.
        known: The number of the last event that is not shown again; the folder gets all of them.
    """
    import anyio.to_thread

    from deskhand.cli.approving import approval_at
    from deskhand.cli.folder import RunFolder
    from deskhand.cli.home import blobs_path, runs_path
    from deskhand.cli.keyboard import Keyboard
    from deskhand.cli.view import RunView
    from deskhand.harness.blobs import DirectoryBlobs
    from deskhand.harness.engine import Engine

    blobs = DirectoryBlobs(blobs_path())
    view = RunView(terminal, model)
    keyboard = Keyboard(terminal)
    conducted: Conducted | None = None
    async with (
        keyboard.read(),
        Engine(log=log, blobs=blobs, on_approval=approval_at(terminal, keyboard, blobs)) as engine,
    ):
        run = await begin(engine)
        folder = RunFolder(runs_path() / run.id, blobs, terminal.aside)
        info = computer.info
        with_model = f" with {one_line(model, 60)}" if model else ""
        terminal.note(f"run {run.id} on {info.provider}:{info.id}{with_model}")
        terminal.note(f"frames and events: {folder.path}")
        if keyboard.there:
            terminal.note("keys: [p]ause or go on  [s]tep  s[t]eer  [q]uit")
        if run.paused:
            terminal.note("it is paused: p lets it go on")
        try:
            with stopper.stops(run), keyboard.bound(_bindings(run, keyboard, terminal)):
                events = run.events()
                while batch := await events.batch():
                    await folder.add(batch)
                    news = [event for event in batch if (event.seq or known + 1) > known]
                    # A reader of the output that stalls must hold neither the run nor the signals.
                    await anyio.to_thread.run_sync(view.show, news, abandon_on_cancel=True)
                result = await run.result()
                conducted = Conducted(result, folder.path, view.said(str(result.output)))
        finally:
            terminal.wait_for(None)
            await folder.aclose()
    assert conducted is not None  # noqa: S101 (every other way out raises)
    return conducted


def _bindings(run: Run[str], keyboard: Keyboard, terminal: Terminal) -> Bindings:
    """Return what each key does to a run."""

    async def pause() -> None:
        if run.paused:
            await run.resume()
        else:
            await run.pause()

    async def steer() -> None:
        terminal.wait_for(None)
        text = await keyboard.line("what should it do otherwise? (Escape: nothing)")
        if text and text.strip():
            await run.steer(text)

    async def stop() -> None:
        terminal.aside("stopping before the next action; Ctrl-C stops now")
        await run.stop()

    def unless_ended(act: Callable[[], Awaitable[None]]) -> Callable[[], Coroutine[object, object, None]]:
        async def acting() -> None:
            with suppress(ConflictError):  # it ended while the key was pressed
                await act()

        return acting

    return {key: unless_ended(act) for key, act in {"p": pause, "s": run.step, "t": steer, "q": stop}.items()}


def tell_result(terminal: Terminal, stopper: Stopper, conducted: Conducted, *, scripted: bool = False) -> Exit:
    """Print how a run ended and what it took, and return the exit code.

    Args:
        terminal: Where to.
        stopper: Says which signal stopped it.
        conducted: The run.
        scripted: Whether the model was, so that the price is what a live one would have cost.
    """
    from deskhand.cli.terminal import error_lines
    from deskhand.cli.view import cost_line

    result = conducted.result
    code = exit_of_outcome(result.outcome, result.error.code if result.error else None)
    if result.outcome == "stopped":
        code = stopper.exit or Exit.FAILED
    if result.output and not conducted.said:
        terminal.note(indented(str(result.output), ""))
    if result.error is not None:
        terminal.aside(error_lines(result.error.message, result.error.hint, result.error.request_id))
    reason = f" ({result.reason})" if result.reason and result.reason != "error" else ""
    took = cost_line(result.turns, result.usage, result.cost)
    billed = " at a live model's price; this one is scripted, and nothing is billed" if scripted else ""
    terminal.note(f"{result.outcome.replace('_', ' ')}{reason}: {took}{billed}")
    terminal.note(f"again: deskhand events {result.run_id}")
    if terminal.json:
        terminal.line(
            {
                "type": "result",
                "run_id": result.run_id,
                "outcome": result.outcome,
                "reason": result.reason,
                "output": result.output,
                "turns": result.turns,
                "actions": result.actions,
                "cost": result.cost,
                "folder": str(conducted.folder),
                "exit_code": int(code),
            }
        )
    return code
