"""``deskhand run GOAL``: a model pursues a goal on a computer."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.options import DebugOption, JsonOption, parse_screen
from deskhand.cli.terminal import Terminal
from deskhand.errors import ConfigError, DeskhandError, InvalidInputError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from deskhand.cli.conduct import Conducted
    from deskhand.cli.harnesses import Settings
    from deskhand.cli.stopping import Stopper
    from deskhand.harness.policy import Policy
    from deskhand.providers.contract import ExternalComputer

__all__ = ["register"]


class Approve(enum.StrEnum):
    """When a person is asked."""

    ASK = "ask"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may do and use.

    Attributes:
        policy: Which calls are asked about, and which are refused.
        cost: US dollars.
        time: Seconds.
    """

    policy: Policy | None
    cost: float | None = None
    time: float | None = None


def _policy(path: Path | None, approve: Approve) -> Policy | None:
    """Return the policy of a run: the file's, else the cautious one where a person is to be asked.

    Raises:
        ConfigError: If the file is no policy.
    """
    from deskhand.harness.policy import Policy

    if path is not None:
        return Policy.from_file(path)
    return Policy.cautious() if approve is Approve.ASK else None


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
            "--harness", metavar="NAME", help="claude, openai, openai-functions, or module:Class for your own."
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

    Needs the model's key (ANTHROPIC_API_KEY; OPENAI_API_KEY with --harness openai). Ctrl-C stops before the next
    action; twice, at once.
    """
    from deskhand.cli.computers import named_computer
    from deskhand.cli.harnesses import Settings
    from deskhand.cli.invoke import invoke
    from deskhand.cli.keyboard import Keyboard

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        if not goal.strip():
            raise InvalidInputError("the goal is empty", hint='deskhand run "open the editor and write hello"')
        size = parse_screen(screen)
        settings = Settings(harness, model, instructions, max_turns, fake)
        rules = _policy(policy, approve or (Approve.NEVER if fake else Approve.ASK))
        if rules is not None and rules.asks and not Keyboard(terminal).there:
            raise ConfigError(
                "the policy asks a person, and nobody can be asked: standard input is no terminal",
                hint="--approve never, to let all of it run",
            )
        limits = Limits(rules, max_cost, max_time)
        opening = named_computer(terminal, computer, screen=size, simulate=simulate)
        return await pursue(terminal, stopper, settings, goal=goal, opening=opening, limits=limits)

    invoke(body, json=json, debug=debug)


async def pursue(
    terminal: Terminal,
    stopper: Stopper,
    settings: Settings,
    *,
    goal: str,
    opening: AbstractAsyncContextManager[ExternalComputer],
    limits: Limits,
) -> int:
    """Make the run and return the exit code."""
    from deskhand.cli.conduct import conduct, open_log, tell_result
    from deskhand.cli.harnesses import named_harness
    from deskhand.harness.budget import Budget

    conducted: Conducted | None = None
    try:
        async with (
            named_harness(settings) as harness,
            open_log() as log,
            opening as opened,
        ):
            conducted = await conduct(
                terminal,
                stopper,
                log=log,
                harness=harness,
                computer=opened,
                goal=goal,
                policy=limits.policy,
                budget=Budget(money=limits.cost, time=limits.time),
            )
    except DeskhandError:
        if conducted is not None:  # the run ended; what failed is what comes after it
            tell_result(terminal, stopper, conducted, scripted=settings.fake)
        raise
    return tell_result(terminal, stopper, conducted, scripted=settings.fake)
