"""``deskhand simulate``: a vendor's service on this machine, for programs that only take an address and a key."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption, JsonOption
from deskhand.cli.simulating import SIMULATED, Vendor, simulator
from deskhand.cli.terminal import Terminal

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper

__all__ = ["register"]


class Pace(enum.StrEnum):
    """How long answers take."""

    NONE = "none"
    SEED = "seed"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    vendor: Annotated[Vendor, typer.Argument(metavar="VENDOR", help=f"Whose service: {', '.join(SIMULATED)}.")],
    port: Annotated[
        int, typer.Option("--port", help="The port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    latency: Annotated[
        Pace, typer.Option("--latency", help="How long answers take: none, or seed for the vendor's measured times.")
    ] = Pace.NONE,
    fake_desktop: Annotated[
        bool, typer.Option("--fake-desktop", help="Put made-up desktops behind it: no X server, a real shell.")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Simulate a vendor's service on this machine.

    Prints the variables that point programs at it, and serves until Ctrl-C. Its computers are local desktops, which
    end with it.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        return await _serve(terminal, vendor, port, latency, fake_desktop=fake_desktop)

    invoke(body, json=json, debug=debug)


async def _serve(terminal: Terminal, vendor: Vendor, port: int, latency: Pace, *, fake_desktop: bool) -> int:
    """Serve until this is cancelled, and tell then what was left behind."""
    import anyio

    served = simulator(vendor, port=port, latency="seed" if latency is Pace.SEED else "none", fake_desktop=fake_desktop)
    try:
        async with served:
            _tell(terminal, vendor, served.environment)
            await anyio.sleep_forever()
    finally:
        left = len(served.computers)
        if left:
            terminal.aside(f"{left} {'computer was' if left == 1 else 'computers were'} left behind, and ended with it")
    return Exit.COMPLETED


def _tell(terminal: Terminal, vendor: str, variables: Mapping[str, str]) -> None:
    lines = "\n".join(f"export {name}={value}" for name, value in variables.items())
    terminal.result(lines, {"type": "simulator", "vendor": vendor, "environment": dict(variables)})
    terminal.aside("serving until Ctrl-C")
