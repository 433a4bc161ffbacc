"""``deskhand run GOAL``: a model pursues a goal on a computer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.options import DebugOption, JsonOption, parse_screen
from deskhand.cli.terminal import Terminal
from deskhand.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper
    from deskhand.harness.base import Harness

__all__ = ["register"]

MODEL = "claude-sonnet-5-5"
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
EXPORT = "export ANTHROPIC_API_KEY=sk-ant-...\nwithout a key: deskhand demo"


@dataclass(frozen=True, slots=True)
class Order:
    """What a run was asked to be."""

    goal: str
    computer: str
    model: str
    max_turns: int
    screen: tuple[int, int] | None
    instructions: str | None
    fake: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What the model is to reach, in plain words.")],
    computer: Annotated[
        str, typer.Option("--computer", "-c", metavar="NAME", help="A provider for a fresh computer, or PROVIDER:ID.")
    ] = "local",
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The model that drives.")] = MODEL,
    max_turns: Annotated[int, typer.Option("--max-turns", min=1, metavar="N", help="Model turns at most.")] = 100,
    screen: Annotated[
        str | None, typer.Option("--screen", metavar="WxH", help="The fresh computer's screen, in pixels.")
    ] = None,
    instructions: Annotated[
        str | None, typer.Option("--instructions", metavar="TEXT", help="What the model is told besides the goal.")
    ] = None,
    fake: Annotated[bool, typer.Option("--fake", help="Ask a scripted model on this machine; needs no key.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a model pursue a goal on a computer.

    Needs ANTHROPIC_API_KEY. Ctrl-C stops before the next action; twice, at once.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        if not goal.strip():
            raise InvalidInputError("the goal is empty", hint='deskhand run "open the editor and write hello"')
        size = parse_screen(screen)
        return await pursue(terminal, stopper, Order(goal, computer, model, max_turns, size, instructions, fake))

    invoke(body, json=json, debug=debug)


async def pursue(terminal: Terminal, stopper: Stopper, order: Order) -> int:
    """Make the run and return the exit code."""
    from deskhand.cli.computers import named_computer
    from deskhand.cli.conduct import conduct, open_log, tell_result

    async with (
        _harness(order) as harness,
        open_log() as log,
        named_computer(terminal, order.computer, screen=order.screen) as computer,
    ):
        conducted = await conduct(terminal, stopper, log=log, harness=harness, computer=computer, goal=order.goal)
    return tell_result(terminal, stopper, conducted, scripted=order.fake)


@asynccontextmanager
async def _harness(order: Order) -> AsyncIterator[Harness[str]]:
    """Make what drives: the live model's loop, or the same loop against a scripted model on the wire.

    Raises:
        ConfigError: If there is no key.
    """
    from deskhand.harness.loops.claude import ClaudeComputerUseHarness

    if not order.fake:
        require_key(os.environ)
        yield ClaudeComputerUseHarness(model=order.model, instructions=order.instructions, max_turns=order.max_turns)
        return
    from deskhand.cli.demo import scripted_client

    async with scripted_client() as client:
        yield ClaudeComputerUseHarness(
            model=order.model, client=client, instructions=order.instructions, max_turns=order.max_turns
        )


def require_key(environment: Mapping[str, str]) -> None:
    """Look for a key before a computer is started for nothing.

    Raises:
        ConfigError: If there is none.
    """
    if not any(environment.get(name) for name in KEYS):
        raise ConfigError("there is no key for Claude: ANTHROPIC_API_KEY is not set", hint=EXPORT)
