"""Daytona's sandboxes under the suite that every computer must pass, over a simulator with real machines behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand import ComputerSpec
from deskhand.providers import INPUT, Capability, Screen
from deskhand.providers.daytona import DaytonaProvider
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import WIRE_CASES, Case, Target, Verdict, Wire
from deskhand.testing.simulators import DaytonaDialect
from tests.conformance.targets import ALONE, IN_TURN, run_in_turn, verdict_of, watched
from tests.providers.behind import Behind, shell_only
from tests.providers.daytona.parts import daytona, machine_of, simulated

SHELL = frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES, Capability.TERMINAL, Capability.PORTS})
LIFE = frozenset({Capability.EXTEND, Capability.PAUSE, Capability.CLONE, Capability.SNAPSHOT})
DESKTOP = INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR, Capability.LIVE_VIEW}
LACKING = frozenset({Capability.SHELL, Capability.RESIZE, Capability.PROMPT})
"""What no sandbox of Daytona has."""


@asynccontextmanager
async def a_target(
    behind: Behind | None = None, *, dialect: DaytonaDialect | None = None, without: tuple[str, ...] = ()
) -> AsyncIterator[Target]:
    """Create a sandbox, watched on the desktop behind it by an X client where there is a desktop."""
    async with daytona(behind, dialect=dialect, without=without) as hosted:
        computer = await hosted.create("conformance", ComputerSpec(screen=Screen(1280, 800)))
        machine = machine_of(hosted.simulator, computer)
        async with watched(computer, machine) as target:
            yield target


@pytest.mark.needs_x
@pytest.mark.slow
async def test_daytona_computer_conforms() -> None:
    """A hosted desktop does what each case says, and input arrives on it as asked for."""
    async with a_target() as target:
        assert target.computer.capabilities == SHELL | LIFE | DESKTOP
        await run_in_turn(target, IN_TURN, LACKING)


@pytest.mark.slow
async def test_daytona_computer_without_a_desktop_conforms() -> None:
    """Where the snapshot has no desktop, shell and files are as everywhere; output that comes as text is output too."""
    dialect = DaytonaDialect(computer_use=False, terminal_output="text", log_end="open", toolbox_url="asked")
    async with a_target(shell_only, dialect=dialect) as target:
        assert target.computer.capabilities == SHELL | LIFE
        await run_in_turn(target, [case for case in IN_TURN if case.needs <= SHELL], LACKING)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALONE, ids=str)
async def test_daytona_computer_ends_as_every_computer_does(case: Case) -> None:
    """A case that ends the computer, or makes another of it, has one for itself."""
    async with a_target(shell_only) as target:
        assert await case.run(target) is verdict_of(case, LACKING)


LOST: dict[str, frozenset[Capability]] = {
    "mouse_down": frozenset({Capability.FULL_INPUT}),
    "mouse_up": frozenset({Capability.FULL_INPUT}),
    "key_down": frozenset({Capability.FULL_INPUT}),
    "key_up": frozenset({Capability.FULL_INPUT}),
    "start_desktop": DESKTOP,
}
"""What a sandbox cannot do from the beginning where a route is missing."""


@pytest.mark.parametrize("route", sorted(LOST))
async def test_daytona_computer_without_a_route_says_so(route: str) -> None:
    """A daemon that lacks a route takes its capabilities and their tools along, and nothing else."""
    async with a_target(FakeComputer, without=(route,)) as target:
        assert target.computer.capabilities == (SHELL | LIFE | DESKTOP) - LOST[route]


@pytest.mark.slow
@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_daytona_computer_tells_what_fails(case: Case) -> None:
    """Whatever the vendor or the way to it does wrong is told, in time, and nothing is done twice."""
    async with (
        simulated(FakeComputer) as simulator,
        Wire(simulator.base_url) as wire,
        DaytonaProvider(api_key=simulator.key, base_url=wire.base_url) as provider,
    ):
        simulator.toolbox_origin = wire.base_url.removesuffix("/api")
        computer = await provider.create(name="conformance")
        assert await case.run(Target(computer, wire=wire)) is Verdict.VERIFIED
