"""Orgo's computers under the suite that every computer must pass, over a simulator with real machines behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand import ComputerSpec
from deskhand.providers import INPUT, Capability, Screen
from deskhand.providers.orgo import OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import CASES, WIRE_CASES, Case, Target, Verdict, Wire
from deskhand.testing.simulators import OrgoDialect
from tests.conformance.targets import IN_TURN, run_in_turn, verdict_of, watched
from tests.providers.behind import Behind, shell_only
from tests.providers.orgo.parts import orgo, simulated

SHELL = frozenset({Capability.EXEC, Capability.FILES, Capability.TERMINAL})
HOSTED = SHELL | INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR, Capability.LIVE_VIEW}
LACKING = {Capability.EXEC_STREAM, Capability.SHELL, Capability.RESIZE, Capability.PORTS, Capability.SNAPSHOT}
"""What no computer of Orgo has."""


@asynccontextmanager
async def a_target(behind: Behind | None = None, *, without: tuple[str, ...] = ()) -> AsyncIterator[Target]:
    """Create a computer, watched on the desktop behind it by an X client where there is a desktop."""
    async with orgo(behind, without=without) as hosted:
        computer = await hosted.create("conformance", ComputerSpec(screen=Screen(1280, 800)))
        machine = hosted.simulator.computers[computer.info.id].machine
        async with watched(computer, machine) as target:
            yield target


@pytest.mark.needs_x
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_orgo_computer_conforms(case: Case) -> None:
    """A hosted desktop does what a case says, and input arrives on it as asked for."""
    async with a_target() as target:
        assert target.computer.capabilities >= HOSTED
        assert await case.run(target) is verdict_of(case, LACKING)


LOST: dict[str, frozenset[Capability]] = {
    "bash": frozenset({Capability.EXEC, Capability.FILES, Capability.CURSOR, Capability.FULL_INPUT}),
    "click": frozenset({Capability.POINTER, Capability.FULL_INPUT}),
    "mouse_move": frozenset({Capability.MOVE, Capability.FULL_INPUT}),
    "drag": frozenset({Capability.DRAG, Capability.FULL_INPUT}),
    "scroll": frozenset({Capability.SCROLL, Capability.FULL_INPUT}),
    "type": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "key": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "screenshot": frozenset({Capability.SCREENSHOT, Capability.REGION}),
    "terminal": frozenset({Capability.TERMINAL}),
    "vnc_password": frozenset({Capability.TERMINAL}),
    "start": frozenset({Capability.PAUSE}),
    "stop": frozenset({Capability.PAUSE}),
    "clone": frozenset({Capability.CLONE}),
    "get_auto_stop": frozenset({Capability.EXTEND}),
    "chat": frozenset({Capability.PROMPT}),
    "exec": frozenset(),
    "health": frozenset(),
    "get": frozenset(),
}
"""What a hosted desktop cannot do any more when a route is removed; Python is then run by commands."""


async def run_without(route: str, cases: list[Case]) -> None:
    """Run cases one after the other on a desktop whose vendor lacks a route."""
    async with a_target(without=(route,)) as target:
        everything = HOSTED | {Capability.PAUSE, Capability.CLONE, Capability.PROMPT, Capability.EXTEND}
        assert target.computer.capabilities == everything - LOST[route]
        await run_in_turn(target, cases, LACKING | LOST[route])


@pytest.mark.needs_x
@pytest.mark.slow
@pytest.mark.parametrize("route", sorted(LOST))
async def test_orgo_computer_without_a_route_says_so(route: str) -> None:
    """A route that is removed takes its capabilities and their tools along, and nothing else; what is left works."""
    told = [case for case in IN_TURN if not case.needs]
    await run_without(route, [*told, *(case for case in IN_TURN if case.needs & LOST[route])])


@pytest.mark.needs_x
@pytest.mark.long
@pytest.mark.parametrize("route", sorted(LOST))
async def test_orgo_computer_without_a_route_conforms(route: str) -> None:
    """Whatever a removed route leaves does all that it says."""
    await run_without(route, IN_TURN)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.needs and case.needs <= SHELL], ids=str)
async def test_orgo_computer_without_a_desktop_conforms(case: Case) -> None:
    """Where no screen is behind, shell and files are as everywhere."""
    async with a_target(shell_only) as target:
        assert Capability.FULL_INPUT not in target.computer.capabilities
        assert await case.run(target) is Verdict.VERIFIED


STORED = OrgoDialect(screenshot="path")
"""Pictures come as files of their own, instead of in JSON."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "dialect"),
    [
        *[pytest.param(case, OrgoDialect(), id=case.name) for case in WIRE_CASES],
        *[pytest.param(case, STORED, id=f"{case.name}-stored") for case in WIRE_CASES if "picture" in case.name],
    ],
)
async def test_orgo_computer_tells_what_fails(case: Case, dialect: OrgoDialect) -> None:
    """Whatever the vendor or the way to it does wrong is told, in time, and nothing is done twice."""
    async with (
        simulated(FakeComputer, dialect=dialect) as simulator,
        Wire(simulator.base_url) as wire,
        OrgoProvider(api_key=simulator.key, base_url=wire.base_url) as provider,
    ):
        computer = await provider.create(name="conformance")
        assert await case.run(Target(computer, wire=wire)) is Verdict.VERIFIED
