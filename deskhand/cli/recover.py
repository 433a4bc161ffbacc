"""``deskhand recover RUN``: a run whose process died goes on from its log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from deskhand.cli.options import DebugOption, JsonOption, parse_screen
from deskhand.cli.orders import Approve, Orders
from deskhand.cli.terminal import Terminal
from deskhand.errors import ConfigError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deskhand.cli.harnesses import Settings
    from deskhand.cli.stopping import Stopper
    from deskhand.harness.base import Harness
    from deskhand.harness.budget import Budget
    from deskhand.harness.engine import Engine
    from deskhand.harness.events import RunStarted
    from deskhand.harness.log import EventLog
    from deskhand.harness.run import Run
    from deskhand.providers.contract import ExternalComputer

__all__ = ["register"]

_TELLING: Final = ("run.started", "run.finished", "run.paused", "run.resumed", "control.*", "computer.status")
"""The events that tell whether a run can be taken up, and with what."""

_PROGRAM: Final = "go on with it in a program: Engine.recover"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("recover")(recover)


def recover(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or last for the newest.")],
    computer: Annotated[
        str | None,
        typer.Option("--computer", "-c", metavar="NAME", help="Another computer: a provider, or PROVIDER:ID."),
    ] = None,
    harness: Annotated[
        str | None,
        typer.Option("--harness", metavar="NAME", help="What drove it, where the log cannot tell: module:Class."),
    ] = None,
    fake: Annotated[bool, typer.Option("--fake", help="Ask a scripted model on this machine; needs no key.")] = False,
    approve: Annotated[
        Approve | None,
        typer.Option("--approve", help="ask a person about what may do harm, or never; as the run was started."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="What is allowed, asked and refused; as the run was started."),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate the computer's vendor on this machine; needs no key.")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Go on with a run whose process died.

    Nothing is done again that may have been done. Model, settings, policy, budget and computer are those that the run
    was started with; keys come from the environment.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        from deskhand.cli.computers import computer_again, named_computer
        from deskhand.cli.events import open_known
        from deskhand.cli.keyboard import Keyboard
        from deskhand.cli.run import answerable, pursue

        async with open_known(run) as (log, run_id):
            died = await _died(log, run_id)
        orders = died.orders(harness)
        orders = replace(orders, fake=orders.fake or _yes(fake), simulate=orders.simulate or _yes(simulate))
        if approve is not None or policy is not None:
            given = str(policy.absolute()) if policy is not None else ""
            orders = replace(orders, approve=(approve or Approve.ASK).value, policy=given)
        rules = answerable(terminal, orders)
        if died.held and not Keyboard(terminal).there:
            raise ConfigError(
                f"the run {died.run_id} comes back paused, and nobody can let it go on: standard input is no terminal",
                hint=f"deskhand recover {died.run_id} in a terminal",
            )
        screen = parse_screen(orders.screen or None)

        async def begin(engine: Engine, harness: Harness[str], opened: ExternalComputer) -> Run[str]:
            await _check_dead(engine.log, died.run_id)  # (a computer takes its time: somebody else may have come first)
            return await engine.recover(died.run_id, harness=harness, computer=opened, policy=rules, budget=died.budget)

        async def has_ended() -> bool:
            async with open_known(died.run_id) as (log, run_id):
                return bool(await log.read(run_id, died.last, types=["run.finished"]))

        if computer is not None or orders.simulate:
            name = computer or orders.computer
            size = None if ":" in name else screen
            opening = named_computer(terminal, name, screen=size, simulate=bool(orders.simulate))
        else:
            opening = computer_again(terminal, died.place, orders.computer, screen=screen, over=has_ended)
        settings = died.settings(orders)
        return await pursue(terminal, stopper, settings, opening=opening, begin=begin, known=died.last)

    invoke(body, json=json, debug=debug)


def _yes(flag: bool) -> str:
    return "yes" if flag else ""


@dataclass(frozen=True, slots=True)
class _Died:
    """A run whose process died.

    Attributes:
        started: What it set out with.
        place: The computer that it had last, ``PROVIDER:ID``.
        last: The number of its last event.
        held: Whether it was paused, or a person had its computer.
    """

    started: RunStarted
    place: str
    last: int
    held: bool

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.started.run_id

    @property
    def budget(self) -> Budget:
        """What it may use at most."""
        from deskhand.harness.budget import Budget

        return Budget(**self.started.data.budget)  # type: ignore[arg-type]

    def orders(self, harness: str | None) -> Orders:
        """Return what it was told on its command line; where there was none, what its log tells.

        Args:
            harness: What drove it, where that is told again.

        Raises:
            ConfigError: If nobody knows what drove it.
            ConflictError: If it has several computers, or was a block of somebody's program.
        """
        from deskhand.cli.harnesses import name_of

        data, run_id = self.started.data, self.run_id
        if len(data.computers) > 1:
            raise ConflictError(f"the run {run_id} has {len(data.computers)} computers", hint=_PROGRAM)
        if data.harness == "open_run":
            raise ConflictError(f"the run {run_id} was a block of a program", hint="start another run")
        told = Orders.read(data.metadata)
        name = harness or (told.harness if told is not None else name_of(data.harness))
        if name is None:
            raise ConfigError(
                f"the run {run_id} was driven by {data.harness}, and its log does not tell where that is",
                hint=f"deskhand recover {run_id} --harness module:{data.harness}",
            )
        return replace(told, harness=name) if told is not None else Orders(name, self.place)

    def settings(self, orders: Orders) -> Settings:
        """Return how its harness was made."""
        from deskhand.cli.harnesses import BUNDLED, Settings

        data = self.started.data
        if orders.harness not in BUNDLED:
            turns = int(orders.max_turns) if orders.max_turns else None
            return Settings(orders.harness, orders.model or None, orders.instructions or None, turns)
        known = cast("Mapping[str, Any]", data.settings or {})
        return Settings(
            orders.harness,
            data.model,
            known.get("instructions"),
            known.get("max_turns"),
            known.get("max_tokens"),
            fake=bool(orders.fake),
        )


async def _died(log: EventLog, run_id: str) -> _Died:
    """Read what a log tells of a run that died.

    Raises:
        ConflictError: If it has ended, a living process drives it, or its beginning is no longer in the log.
    """
    from deskhand.harness.events import (
        ComputerStatusChanged,
        ControlReturned,
        ControlTaken,
        RunFinished,
        RunPaused,
        RunResumed,
        RunStarted,
    )

    started: RunStarted | None = None
    place = ""
    paused = taken = False
    for event in await log.read(run_id, types=_TELLING):
        match event:
            case RunStarted():
                started = event
            case RunFinished():
                raise ConflictError(
                    f"the run {run_id} has ended: {event.data.outcome.replace('_', ' ')}",
                    hint=f"deskhand replay {run_id} shows it",
                )
            case RunPaused() | RunResumed():
                paused = isinstance(event, RunPaused)
            case ControlTaken() | ControlReturned():
                taken = isinstance(event, ControlTaken)
            case ComputerStatusChanged():
                place = f"{event.data.provider}:{event.data.own_id or event.data.computer_id}"
            case _:
                pass
    if started is None:
        raise ConflictError(f"the beginning of the run {run_id} is no longer in the log", hint="start another run")
    await _check_dead(log, run_id)
    return _Died(started, place, (await log.bounds(run_id))[1], held=paused or taken)


async def _check_dead(log: EventLog, run_id: str) -> None:
    """Refuse a run that a living process drives.

    Raises:
        ConflictError: If one does.
    """
    owner = await log.owner(run_id)
    if owner is not None:
        raise ConflictError(
            f"the run {run_id} goes on in the process {owner}",
            hint=f"deskhand events {run_id} --follow shows it; or end that process first",
        )
