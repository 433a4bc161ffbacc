"""Machines at OpenComputers under the suite that every computer must pass, over a simulator with real ones behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand.providers import INPUT, Capability
from deskhand.providers.opencomputers import OpenComputersProvider
from deskhand.testing.conformance import CASES, WIRE_CASES, Case, Target, Verdict, Wire
from deskhand.testing.simulators import OpenComputersSimulator
from tests.conformance.targets import IN_TURN, run_in_turn, watched
from tests.providers.behind import Behind, shell_only
from tests.providers.opencomputers.parts import opencomputers

SHELL = frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES})
SEEN = INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}
BESIDE = frozenset({Capability.PORTS, Capability.PROMPT})
WHOLE = SHELL | SEEN | BESIDE
SLOW = ("type_many_different_characters", "type_five_hundred_characters")
"""Cases that are about what `ShellDesktop` does, which has them in its own tests."""


@asynccontextmanager
async def a_target(behind: Behind | None = None, *, without: tuple[str, ...] = ()) -> AsyncIterator[Target]:
    """Borrow a machine, watched on the desktop behind it by an X client where there is a desktop."""
    async with opencomputers(behind, without=without) as hosted:
        computer = await hosted.borrow("conformance")
        machine = hosted.simulator.computers[computer.info.id].machine
        async with watched(computer, machine) as target:
            yield target


async def check(target: Target, capabilities: frozenset[Capability], cases: list[Case]) -> None:
    """Run cases one after the other on one machine that can do just that, whatever screen it may find beside it."""
    capabilities |= target.computer.capabilities & SEEN
    assert target.computer.capabilities == capabilities
    await run_in_turn(target, cases, frozenset(Capability) - capabilities)


@pytest.mark.needs_x
@pytest.mark.slow
async def test_opencomputers_computer_conforms() -> None:
    """A machine with a desktop does what every case says, and input arrives on it as asked for."""
    async with a_target() as target:
        assert target.computer.capabilities >= SEEN
        await check(target, WHOLE, [case for case in IN_TURN if case.name not in SLOW])


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.ends_computer and not case.needs], ids=str)
async def test_opencomputers_registration_ends(case: Case) -> None:
    """A host that was registered from here ends as computers do."""
    async with opencomputers(shell_only) as hosted:
        assert await case.run(Target(await hosted.provider.create(name="conformance"))) is Verdict.VERIFIED
        assert not hosted.simulator.computers


LOST: dict[str, frozenset[Capability]] = {
    "exec": SHELL | SEEN,
    "list_tunnels": frozenset({Capability.PORTS}),
    "list_sessions": frozenset({Capability.PROMPT}),
    "download": frozenset(),
    "upload": frozenset(),
    "terminal_ticket": frozenset(),
}
"""What a machine is known to be unable to do when a route is removed; files then travel by commands."""


@pytest.mark.slow
@pytest.mark.parametrize("route", sorted(LOST))
async def test_opencomputers_computer_without_a_route_says_so(route: str) -> None:
    """A route that is removed takes its capabilities and their tools along, and nothing else; what is left works."""
    left = (SHELL | BESIDE) - LOST[route]
    told = "byte_for_byte", "tools_are_those"
    cases = [case for case in IN_TURN if case.needs & LOST[route] or any(name in case.name for name in told)]
    async with a_target(shell_only, without=(route,)) as target:
        await check(target, left, cases)


@pytest.mark.needs_x
@pytest.mark.slow
async def test_opencomputers_computer_tells_what_fails() -> None:
    """Whatever the vendor or the way to it does wrong is told, in time, and nothing is done twice."""
    async with OpenComputersSimulator() as simulator, Wire(simulator.base_url) as wire:
        host = await simulator.add_host("conformance")
        async with OpenComputersProvider(api_key=simulator.key, base_url=wire.base_url) as provider:
            computer = await provider.get(host.id)
            assert computer.capabilities == WHOLE
            for case in WIRE_CASES:
                assert await case.run(Target(computer, wire=wire)) is Verdict.VERIFIED, case.name
