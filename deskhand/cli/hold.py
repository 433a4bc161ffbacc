"""``deskhand create``, ``ls`` and ``rm``: which computers there are."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit, exit_of_error
from deskhand.cli.options import DebugOption, JsonOption, parse_screen
from deskhand.cli.terminal import Terminal
from deskhand.errors import DeskhandError, InvalidInputError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from deskhand.cli.stopping import Stopper
    from deskhand.providers.contract import ComputerInfo, ExternalComputer

__all__ = ["age", "register"]

LOOK = 0.5
"""Seconds between two looks at whether a held computer is still there."""

ASK = 5.0
"""Seconds between two questions to a vendor, which says nothing by itself."""

PATIENCE = 20.0
"""Seconds that a provider gets to list its computers."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("create")(create)
    app.command("ls")(ls)
    app.command("rm")(rm)


def create(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Who creates it.")] = "local",
    name: Annotated[str, typer.Option("--name", help="What to call it.")] = "deskhand",
    screen: Annotated[str | None, typer.Option("--screen", metavar="WxH", help="Its screen, in pixels.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Create a computer and hold it.

    Prints its name, PROVIDER:ID, by which other commands reach it; holds it until Ctrl-C or deskhand rm.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        from deskhand.cli.computers import named_computer

        if ":" in provider:
            raise InvalidInputError(f"{provider!r} names a computer that exists", hint="deskhand create local")
        async with named_computer(terminal, provider, screen=parse_screen(screen), label=name) as computer:
            info = computer.info
            terminal.result(f"{info.provider}:{info.id}", describe(info))
            terminal.aside("held until Ctrl-C, or until deskhand rm")
            await _until_destroyed(computer)
        terminal.aside(f"{info.provider}:{info.id} is gone")
        return Exit.COMPLETED

    invoke(body, json=json, debug=debug)


async def _until_destroyed(computer: ExternalComputer) -> None:
    import anyio

    from deskhand.providers.contract import ComputerStatus

    gone = (ComputerStatus.DESTROYED, ComputerStatus.ERROR)
    asked = anyio.current_time()
    while computer.info.status not in gone:  # the contract has no event for what others bring about
        await anyio.sleep(LOOK)
        if anyio.current_time() - asked >= ASK:
            with suppress(DeskhandError):  # a vendor that cannot be reached for a moment is asked again
                await computer.refresh()
            asked = anyio.current_time()


def describe(info: ComputerInfo) -> dict[str, JsonValue]:
    """Return what is known of a computer, as JSON."""
    return {
        "type": "computer",
        "computer": f"{info.provider}:{info.id}",
        "id": info.id,
        "provider": info.provider,
        "name": info.name,
        "status": info.status.value,
        "screen": [*info.screen] if info.screen else None,
        "created_at": info.created_at.isoformat() if info.created_at else None,
        "public_url": info.public_url,
        "metadata": dict(info.metadata),
    }


def ls(
    provider: Annotated[
        str | None,
        typer.Argument(metavar="PROVIDER", help="Only this provider's."),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the computers that are there.

    Those that were created and not yet destroyed, with their age.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        return await _list(terminal, provider)

    invoke(body, json=json, debug=debug)


async def _list(terminal: Terminal, only: str | None) -> Exit:
    from deskhand.providers.lookup import provider_names

    found: list[ComputerInfo] = []
    code = Exit.COMPLETED
    for name in provider_names() if only is None else [only]:
        try:
            found += await _of(name)
        except DeskhandError as error:
            if only is not None:
                raise
            if error.code == "no_key":  # whoever has no key there has no computers there
                continue
            terminal.aside(f"{name}: {error}")
            code = code or exit_of_error(error)
    if terminal.json:
        for info in found:
            terminal.line(describe(info))
    elif not found:
        unseen = "; what could not be asked is told above" if code else "; deskhand create local makes one"
        terminal.result(f"no computers{unseen}")
    else:
        rows = [
            (
                f"{info.provider}:{info.id}",
                info.name,
                info.status.value,
                f"{info.screen.width}x{info.screen.height}" if info.screen else "-",
                age(info.created_at),
            )
            for info in found
        ]
        terminal.table(("COMPUTER", "NAME", "STATUS", "SCREEN", "AGE"), rows)
    return code


async def _of(name: str) -> list[ComputerInfo]:
    import anyio

    from deskhand.errors import DeadlineExceededError
    from deskhand.providers.lookup import provider

    with anyio.move_on_after(PATIENCE):
        async with provider(name) as chosen:
            return await chosen.list()
    raise DeadlineExceededError(f"{name} did not list its computers within {PATIENCE:g} s", hint="try again later")


def age(created_at: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago that was, in its largest unit (``5 min``)."""
    if created_at is None:
        return "-"
    seconds = max(0, int(((now or datetime.now(UTC)) - created_at).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def rm(
    computer: Annotated[str, typer.Argument(metavar="COMPUTER", help="PROVIDER:ID, as deskhand ls prints it.")],
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Destroy a computer."""
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        from deskhand.cli.computers import existing
        from deskhand.providers.lookup import provider

        name, computer_id = existing(computer)
        async with provider(name) as chosen:
            with terminal.waiting(f"destroying {computer}"):
                machine = await chosen.get(computer_id)
                await machine.destroy()
        terminal.result(f"{computer} is destroyed", {"type": "destroyed", "computer": computer})
        return Exit.COMPLETED

    invoke(body, json=json, debug=debug)
