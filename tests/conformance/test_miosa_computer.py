"""MIOSA's computers under the suite that every computer must pass, over a simulator with real machines behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand.providers import INPUT, Capability
from deskhand.providers.miosa import MiosaProvider
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import WIRE_CASES, Case, Target, Verdict, Wire
from tests.conformance.targets import ALONE, IN_TURN, run_in_turn, watched
from tests.providers.behind import Behind, shell_only
from tests.providers.miosa.parts import miosa, simulated

LIFE = frozenset(
    {Capability.PAUSE, Capability.SNAPSHOT, Capability.CLONE, Capability.PROMPT, Capability.PORTS, Capability.EXTEND}
)
SHELL = frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES, Capability.TERMINAL})
SCREEN = frozenset({Capability.SCREENSHOT, Capability.REGION})
DESKTOP = INPUT | SCREEN | {Capability.CURSOR, Capability.LIVE_VIEW}
HOSTED = SHELL | DESKTOP | LIFE
LACKING = frozenset({Capability.SHELL, Capability.RESIZE})
"""What no computer of MIOSA has."""


@asynccontextmanager
async def a_target(behind: Behind | None = None, *, without: tuple[str, ...] = ()) -> AsyncIterator[Target]:
    """Create a computer, watched on the desktop behind it by an X client where there is a desktop."""
    async with miosa(behind, without=without) as hosted:
        computer = await hosted.create("conformance")
        machine = hosted.simulator.computers[computer.info.id].machine
        async with watched(computer, machine) as target:
            yield target


@pytest.mark.needs_x
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_miosa_computer_conforms() -> None:
    """A cloud computer does what every case says, and input arrives on it as asked for."""
    async with a_target() as target:
        assert target.computer.capabilities == HOSTED
        await run_in_turn(target, IN_TURN, LACKING)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALONE, ids=str)
async def test_miosa_computer_ends_as_it_should(case: Case) -> None:
    """What ends a computer, each on one of its own."""
    async with a_target(shell_only if case.needs else FakeComputer) as target:
        assert await case.run(target) is Verdict.VERIFIED


ROUTES: dict[str, frozenset[Capability]] = {
    "exec": frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES}),
    "exec_stream": frozenset({Capability.EXEC_STREAM, Capability.TERMINAL}),
    "screenshot": SCREEN,
    "click": frozenset({Capability.POINTER, Capability.FULL_INPUT}),
    "double_click": frozenset({Capability.POINTER, Capability.FULL_INPUT}),
    "move": frozenset({Capability.MOVE, Capability.FULL_INPUT}),
    "mouse_down": frozenset({Capability.FULL_INPUT}),
    "mouse_up": frozenset({Capability.FULL_INPUT}),
    "drag": frozenset({Capability.DRAG, Capability.FULL_INPUT}),
    "scroll": frozenset({Capability.SCROLL, Capability.FULL_INPUT}),
    "type": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "key": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "key_down": frozenset({Capability.FULL_INPUT}),
    "key_up": frozenset({Capability.FULL_INPUT}),
    "cursor": frozenset({Capability.CURSOR, Capability.FULL_INPUT}),
    "embed": frozenset({Capability.LIVE_VIEW}),
    "start": frozenset({Capability.PAUSE}),
    "stop": frozenset({Capability.PAUSE}),
    "clone": frozenset({Capability.CLONE}),
    "restore": frozenset({Capability.SNAPSHOT}),
    "set_auto_stop": frozenset({Capability.EXTEND}),
    "python": frozenset(),
    "screenshot_region": frozenset(),
    "screen_size": frozenset(),
    "upload_file": frozenset(),
    "download_file": frozenset(),
}
"""What a cloud computer cannot do any more when a route is removed; what has another way goes that way."""


@pytest.mark.parametrize("route", sorted(ROUTES))
async def test_miosa_computer_without_a_route_says_so(route: str) -> None:
    """A route that is removed takes its capabilities and their tools along, and nothing else."""
    async with a_target(FakeComputer, without=(route,)) as target:
        assert target.computer.capabilities == HOSTED - ROUTES[route]
        told = [case for case in IN_TURN if not case.needs and case.name != "capabilities_are_told_truly"]
        lost = [case for case in IN_TURN if case.needs & ROUTES[route]]
        await run_in_turn(target, [*told, *lost], ROUTES[route] | LACKING)


@pytest.mark.slow
async def test_miosa_computer_without_a_desktop_conforms() -> None:
    """Where no screen is behind, shell and files are there all the same, also without the vendor's own routes."""
    async with a_target(shell_only, without=("upload_file", "download_file", "python")) as target:
        assert target.computer.capabilities == SHELL | LIFE
        cases = [case for case in IN_TURN if not case.needs or Capability.FILES in case.needs]
        await run_in_turn(target, [case for case in cases if case.needs <= {Capability.FILES}], frozenset())


@pytest.mark.slow
@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_miosa_computer_tells_what_fails(case: Case) -> None:
    """Whatever the vendor or the way to it does wrong is told, in time, and nothing is done twice."""
    async with (
        simulated(FakeComputer) as simulator,
        Wire(simulator.base_url) as wire,
        MiosaProvider(api_key=simulator.key, base_url=wire.base_url) as provider,
    ):
        computer = await provider.create(name="conformance")
        assert await case.run(Target(computer, wire=wire)) is Verdict.VERIFIED
