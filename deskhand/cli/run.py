"""``deskhand run GOAL``: a model pursues a goal on a computer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from deskhand.cli.options import DebugOption, JsonOption, parse_screen
from deskhand.cli.orders import Approve, Orders
from deskhand.cli.terminal import Terminal
from deskhand.errors import ConfigError, DeskhandError, InvalidInputError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from deskhand.cli.conduct import Conducted
    from deskhand.cli.harnesses import Settings
    from deskhand.cli.stopping import Stopper
    from deskhand.harness.base import Harness
    from deskhand.harness.engine import Engine
    from deskhand.harness.policy import Policy
    from deskhand.harness.run import Run
    from deskhand.providers.contract import ExternalComputer

    Begin: TypeAlias = Callable[[Engine, Harness[str], ExternalComputer], Awaitable[Run[str]]]
    """Begins a run, or takes one up."""

__all__ = ["answerable", "pursue", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What the model is to reach, in plain words.")],
    computer: Annotated[
        str,
        typer.Option(
            "--computer",
            "-c",
            metavar="NAME",
            help="A provider for a fresh computer, or the first of several (orgo,local) that has one; or PROVIDER:ID.",
        ),
    ] = "local",
    harness: Annotated[
        str,
        typer.Option(
            "--harness", metavar="NAME", help="claude, openai, openai-functions, miosa, or module:Class for your own."
        ),
    ] = "claude",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="The model that drives; the harness's own choice."),
    ] = None,
    max_turns: Annotated[
        int | None,
        typer.Option("--max-turns", min=1, metavar="N", help="Model turns at most; the harness's own limit."),
    ] = None,
    screen: Annotated[
        str | None, typer.Option("--screen", metavar="WxH", help="The fresh computer's screen, in pixels.")
    ] = None,
    instructions: Annotated[
        str | None, typer.Option("--instructions", metavar="TEXT", help="What the model is told besides the goal.")
    ] = None,
    fake: Annotated[bool, typer.Option("--fake", help="Ask a scripted model on this machine; needs no key.")] = False,
    approve: Annotated[
        Approve | None,
        typer.Option(
            "--approve",
            help="ask a person about what may do harm, or never; ask where not given, but for a --fake model.",
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="What is allowed, asked and refused: rules as TOML."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, metavar="USD", help="US dollars that the model may cost.")
    ] = None,
    max_time: Annotated[
        float | None,
        typer.Option("--max-time", min=0, metavar="SECONDS", help="Seconds it may take, pauses aside."),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate the computer's vendor on this machine; needs no key.")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a model, or a driver of your own, pursue a goal on a computer.

    Needs the model's key (ANTHROPIC_API_KEY; OPENAI_API_KEY with --harness openai, MIOSA_API_KEY with --harness
    miosa). Ctrl-C stops before the next action; twice, at once.
    """
    from deskhand.cli.computers import named_computer
    from deskhand.cli.harnesses import Settings
    from deskhand.cli.invoke import invoke
    from deskhand.harness.budget import Budget

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        if not goal.strip():
            raise InvalidInputError("the goal is empty", hint='deskhand run "open the editor and write hello"')
        size = parse_screen(screen)
        settings = Settings(harness, model, instructions, max_turns, fake=fake)
        orders = Orders(
            harness,
            computer,
            screen=screen or "",
            fake="yes" if fake else "",
            simulate="yes" if simulate else "",
            approve=(approve or (Approve.NEVER if fake else Approve.ASK)).value,
            policy=str(policy.absolute()) if policy is not None else "",
            model=model or "",
            instructions=instructions or "",
            max_turns=str(max_turns or ""),
        )
        rules = answerable(terminal, orders)
        budget = Budget(money=max_cost, time=max_time)

        async def begin(engine: Engine, harness: Harness[str], opened: ExternalComputer) -> Run[str]:
            return await engine.start(harness, opened, goal, policy=rules, budget=budget, metadata=orders.metadata)

        opening = named_computer(terminal, computer, screen=size, simulate=simulate)
        return await pursue(terminal, stopper, settings, opening=opening, begin=begin)

    invoke(body, json=json, debug=debug)


def answerable(terminal: Terminal, orders: Orders) -> Policy | None:
    """Return the policy that a run is to have.

    Raises:
        ConfigError: If it is none, or asks a person where nobody can be asked.
    """
    from deskhand.cli.keyboard import Keyboard

    rules = orders.rules()
    if rules is not None and rules.asks and not Keyboard(terminal).there:
        raise ConfigError(
            "the policy asks a person, and nobody can be asked: standard input is no terminal",
            hint="--approve never, to let all of it run",
        )
    return rules


async def pursue(
    terminal: Terminal,
    stopper: Stopper,
    settings: Settings,
    *,
    opening: AbstractAsyncContextManager[ExternalComputer],
    begin: Begin,
    known: int = 0,
) -> int:
    """Have a run begin, or go on, show it to its end and return the exit code.

    Args:
        terminal: Where its events are shown.
        stopper: Takes the signals.
        settings: How its harness is made.
        opening: Gives its computer.
        begin: Begins it.
        known: The number of its last event before that.
    """
    from deskhand.cli.conduct import conduct, open_log, tell_result
    from deskhand.cli.harnesses import named_harness

    conducted: Conducted | None = None
    try:
        async with (
            named_harness(settings) as harness,
            open_log() as log,
            opening as computer,
        ):

            async def starting(engine: Engine) -> Run[str]:
                return await begin(engine, harness, computer)

            conducted = await conduct(
                terminal, stopper, log=log, model=harness.model, computer=computer, begin=starting, known=known
            )
    except DeskhandError:
        if conducted is not None:  # the run ended; what failed is what comes after it
            tell_result(terminal, stopper, conducted, scripted=settings.fake)
        raise
    return tell_result(terminal, stopper, conducted, scripted=settings.fake)
