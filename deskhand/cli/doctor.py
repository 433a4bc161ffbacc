"""``deskhand doctor``: what is ready on this machine, and the one line that mends what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption, JsonOption
from deskhand.cli.terminal import Terminal
from deskhand.errors import InvalidInputError
from deskhand.text import one_line

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    require: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="NAME", help="End with exit code 3 unless this is ready; may be repeated."),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell what is ready here, and how to mend the rest.

    It also starts a desktop and loads every installed provider. Keys are never printed.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        return await examine(terminal, require or [])

    invoke(body, json=json, debug=debug)


async def examine(terminal: Terminal, required: list[str]) -> int:
    """Check everything, print it, and return the exit code.

    Raises:
        InvalidInputError: If what is required is no check's name.
    """
    import difflib

    from deskhand.cli.checks import all_checks

    with terminal.waiting("looking around"):
        found = await all_checks()
    names = [check.name for check in found]
    for name in required:
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise InvalidInputError(
                f"--require {name!r} is nothing that is checked{meant}", hint=f"use one of: {', '.join(names)}"
            )
    width = max(len(name) for name in names)
    for check in found:
        mark = "READY" if check.ready else "NOT READY"
        line = f"{mark:<9}  {check.name:<{width}}  {one_line(check.detail, 120)}"
        if not check.ready and check.fix:
            line += f"\n{'':<9}  {'':<{width}}  try: {one_line(check.fix)}"
        terminal.result(
            line,
            {"type": "check", "name": check.name, "ready": check.ready, "detail": check.detail, "fix": check.fix},
        )
    missing = [check.name for check in found if not check.ready and check.name in required]
    if missing:
        terminal.aside(f"not ready, but required: {', '.join(missing)}")
        return Exit.CONFIGURATION
    return Exit.COMPLETED
