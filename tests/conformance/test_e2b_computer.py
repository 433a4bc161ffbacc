"""E2B's sandboxes under the suite that every computer must pass, over a simulator with real machines behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand import ComputerSpec
from deskhand.providers import INPUT, Capability, Screen
from deskhand.providers.e2b import E2BProvider
from deskhand.testing.conformance import WIRE_CASES, Case, Target, Verdict, Wire
from tests.conformance.targets import ALONE, IN_TURN, run_in_turn, verdict_of, watched
from tests.providers.behind import Behind, shell_only
from tests.providers.e2b.parts import e2b, simulated

SHELL = frozenset(
    {Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES, Capability.TERMINAL, Capability.PORTS}
    | {Capability.EXTEND, Capability.PAUSE, Capability.CLONE, Capability.SNAPSHOT}
)
DESKTOP = SHELL | INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR, Capability.LIVE_VIEW}
LACKING = {Capability.SHELL, Capability.RESIZE}
"""What no sandbox of E2B has."""


@asynccontextmanager
async def a_target(behind: Behind | None = None, *, without: tuple[str, ...] = ()) -> AsyncIterator[Target]:
    """Create a sandbox, watched on the desktop behind it by an X client where there is a desktop."""
    async with e2b(behind, without=without) as hosted:
        computer = await hosted.create("conformance", ComputerSpec(screen=Screen(1280, 800)))
        machine = hosted.simulator.computers[computer.info.id].machine
        async with watched(computer, machine) as target:
            yield target


@pytest.mark.needs_x
@pytest.mark.slow
async def test_e2b_computer_conforms() -> None:
    """A sandbox is seen and used as every case says, one after the other: input arrives on its desktop as asked for.

    Its shell and files are the same as without a desktop, and are held to the suite there.
    """
    async with a_target() as target:
        assert target.computer.capabilities == DESKTOP
        await run_in_turn(target, [case for case in IN_TURN if not case.needs or case.needs - SHELL], LACKING)


@pytest.mark.parametrize("case", ALONE, ids=str)
async def test_e2b_computer_ends_as_every_computer_does(case: Case) -> None:
    """A case that ends the computer has one for itself."""
    async with a_target(shell_only) as target:
        assert case.needs <= SHELL
        assert await case.run(target) is Verdict.VERIFIED


@pytest.mark.slow
async def test_e2b_computer_without_a_desktop_conforms() -> None:
    """Of a template without the programs for a screen there are shell and files, as everywhere."""
    async with a_target(shell_only) as target:
        assert target.computer.capabilities == SHELL
        await run_in_turn(target, IN_TURN, frozenset(Capability) - SHELL)


@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_e2b_computer_tells_what_fails(case: Case) -> None:
    """Whatever the vendor or the way to it does wrong is told, in time, and nothing is done twice."""
    async with (
        simulated(shell_only) as simulator,
        Wire(simulator.base_url) as wire,
        E2BProvider(api_key=simulator.key, base_url=wire.base_url, sandbox_url=wire.base_url) as provider,
    ):
        computer = await provider.create(name="conformance")
        lacking = case.needs - computer.capabilities
        assert await case.run(Target(computer, wire=wire)) is verdict_of(case, lacking)


@pytest.mark.needs_x
@pytest.mark.slow
async def test_e2b_desktop_tells_what_fails() -> None:
    """The same with a screen to look at, which was brought up before the way to it fails."""
    async with e2b(None) as hosted, Wire(hosted.simulator.base_url) as wire:
        made = await hosted.create()
        key = hosted.simulator.key
        async with E2BProvider(api_key=key, base_url=wire.base_url, sandbox_url=wire.base_url) as provider:
            computer = await provider.get(made.info.id)
            for case in WIRE_CASES:
                assert await case.run(Target(computer, wire=wire)) is Verdict.VERIFIED, case.name
