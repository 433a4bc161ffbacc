"""``deskhand benchmark``: providers like for like, one column each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit, exit_of_error
from deskhand.cli.options import DebugOption, JsonOption
from deskhand.cli.simulating import SIMULATED
from deskhand.cli.terminal import Terminal
from deskhand.errors import InvalidInputError
from deskhand.text import visible

if TYPE_CHECKING:
    from deskhand.benchmark import Column
    from deskhand.cli.stopping import Stopper
    from deskhand.providers.contract import ComputeProvider

__all__ = ["register"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A provider that is to be measured."""

    name: str
    make: Callable[[], ComputeProvider]
    simulated: bool = False


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("benchmark")(benchmark)


def benchmark(
    providers: Annotated[
        str | None,
        typer.Option(
            "--providers",
            metavar="NAMES",
            help="Whom to measure, with commas between. Default: local, and whose key is set.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=1000, metavar="N", help="Repetitions of each call.")] = 12,
    boots: Annotated[int, typer.Option("--boots", min=1, max=50, metavar="N", help="Computers to create.")] = 3,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Ask a simulator in the place of a vendor; needs no key.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Add columns with the figures that others have published, and where.")
    ] = False,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Draw all times into an SVG file.", dir_okay=False)
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure providers like for like: boot, commands, files, input, screenshots.

    Creates computers, which a hosted provider bills, and destroys them. Figures of a simulator are marked as such: it
    takes the times that were once measured with the vendor.
    """
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        if chart is not None and not chart.absolute().parent.is_dir():
            raise InvalidInputError(f"there is no folder {chart.absolute().parent} for the chart", hint="make it first")
        names = _names(providers, simulate=simulate, environment=os.environ)
        async with _contestants(names, simulate=simulate) as contestants:
            return await compare(terminal, contestants, runs=runs, boots=boots, reference=reference, chart=chart)

    invoke(body, json=json, debug=debug)


def _names(wanted: str | None, *, simulate: bool, environment: Mapping[str, str]) -> list[str]:
    """Return whom to measure.

    Raises:
        InvalidInputError: If nobody is named.
    """
    from deskhand.providers.lookup import provider_names

    if wanted is not None:
        names = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
        if not names:
            raise InvalidInputError("--providers names nobody", hint="deskhand benchmark --providers local")
        return names
    installed = provider_names()
    keyed = [name for name in installed if environment.get(_key_of(name)) or (simulate and name in SIMULATED)]
    return [*keyed, "local"]


def _key_of(name: str) -> str:
    """Return the variable that holds a vendor's key."""
    return f"{name.upper().replace('-', '_')}_API_KEY"


@asynccontextmanager
async def _contestants(names: Sequence[str], *, simulate: bool) -> AsyncIterator[list[Contestant]]:
    """Find the providers, with a simulator in the place of those that have one where that is asked for."""
    from functools import partial

    from deskhand.cli.simulating import simulated
    from deskhand.providers.lookup import provider

    contestants: list[Contestant] = []
    async with AsyncExitStack() as stack:
        for name in names:
            faked = simulate and name in SIMULATED
            options = await stack.enter_async_context(simulated(name, latency="seed")) if faked else {}
            contestants.append(Contestant(name, partial(provider, name, **options), simulated=faked))
        yield contestants


async def compare(
    terminal: Terminal,
    contestants: Sequence[Contestant],
    *,
    runs: int,
    boots: int,
    reference: bool = False,
    chart: Path | None = None,
) -> int:
    """Measure one after the other, print the table, draw the chart, and return the exit code."""
    import anyio

    from deskhand.benchmark import as_records, as_svg, as_table, column_of, references

    columns: list[Column] = []
    try:
        for each in contestants:
            column = await column_of(
                each.name, each.make, runs=runs, boots=boots, simulated=each.simulated, progress=terminal.wait_for
            )
            columns.append(column)
            if column.error is not None:
                hint = f"\n  try: {column.error.hint}" if column.error.hint else ""
                terminal.aside(visible(f"{each.name}: {column.error.message}{hint}"))
                terminal.notes_of(column.error)
    finally:
        terminal.wait_for(None)
    shown = [*columns, *(references() if reference else [])]
    for line in as_table(shown):
        terminal.result(visible(line))
    for column in shown:
        if column.published is not None:
            terminal.aside(f"{column.heading}: {column.published.source}")
    code = _code(columns)
    if chart is not None:
        try:
            await anyio.Path(chart).write_text(as_svg(shown), encoding="utf-8")
        except OSError as error:
            terminal.aside(f"the chart could not be written: {error}")
            code = code or Exit.FAILED
    if terminal.json:
        for record in as_records(shown):
            terminal.line(record)
        terminal.line(
            {"type": "benchmark", "runs": runs, "providers": [*(each.provider for each in columns)], "exit_code": code}
        )
    return code


def _code(columns: Sequence[Column]) -> Exit:
    """Return 0 where all was measured; where nothing was, what kept it from being; else that something failed."""
    if all(column.ok for column in columns):
        return Exit.COMPLETED
    errors = [column.error for column in columns if column.error is not None]
    if len(errors) == len(columns):
        return exit_of_error(errors[0])
    return Exit.FAILED
