"""``deskhand demo``: a scripted model drives a real desktop through the code that a live one would use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption, JsonOption, parse_screen
from deskhand.cli.orders import Approve, Orders
from deskhand.cli.terminal import Terminal

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper
    from deskhand.demo import Verdict
    from deskhand.harness.engine import Engine
    from deskhand.harness.run import Run

__all__ = ["register"]

MODEL = "claude-sonnet-5-5"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    screen: Annotated[
        str | None, typer.Option("--screen", metavar="WxH", help="The desktop's screen, in pixels.")
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Watch a scripted model work on a real desktop; needs no key."""
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        return await show(terminal, stopper, parse_screen(screen))

    invoke(body, json=json, debug=debug)


async def show(terminal: Terminal, stopper: Stopper, screen: tuple[int, int] | None) -> int:
    """Make the run, look at what it left on the machine, and return the exit code."""
    import anyio

    from deskhand.cli.conduct import conduct, open_log, tell_result
    from deskhand.demo import GOAL, demo_computer, scripted_claude, verify
    from deskhand.harness.loops.claude import ClaudeComputerUseHarness

    terminal.note("the model of this demo is scripted; all else is what a live one would drive")
    code = Exit.FAILED
    size = f"{screen[0]}x{screen[1]}" if screen is not None else ""
    orders = Orders("claude", "local", screen=size, fake="yes", approve=Approve.NEVER.value)
    async with anyio.create_task_group() as loading:
        # The vendor's client takes as long to be imported as a desktop to be started: both at once.
        loading.start_soon(_load_client)
        async with open_log() as log, demo_computer(screen, terminal.note) as computer, scripted_claude() as client:
            harness = ClaudeComputerUseHarness(model=MODEL, client=client)

            async def begin(engine: Engine) -> Run[str]:
                return await engine.start(harness, computer, GOAL, metadata=orders.metadata)

            conducted = await conduct(terminal, stopper, log=log, model=MODEL, computer=computer, begin=begin)
            verdict = await verify(computer) if conducted.result.ok else None
        code = tell_result(terminal, stopper, conducted, scripted=True)
        if verdict is not None and not verdict.ok:
            code = Exit.FAILED
        _tell_verdict(terminal, verdict)
        terminal.note(f"frames: {conducted.folder / 'frames'}")
    terminal.note('with a live model: export ANTHROPIC_API_KEY=... && deskhand run "open the editor and write hello"')
    return code


def _tell_verdict(terminal: Terminal, verdict: Verdict | None) -> None:
    """Print what the machine says of the outcome, where it was asked."""
    if verdict is None:
        return
    terminal.note(str(verdict))
    if terminal.json:
        terminal.line({"type": "verdict", "ok": verdict.ok, "checks": [check.found for check in verdict.checks]})


async def _load_client() -> None:
    import importlib

    import anyio.to_thread

    await anyio.to_thread.run_sync(importlib.import_module, "anthropic")
