"""Cua's computers under the suite that every computer must pass, over a simulator with real machines behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand.providers import INPUT, Capability
from deskhand.providers.cua import CuaProvider
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import CASES, WIRE_CASES, Case, Target, Verdict, Wire
from tests.conformance.targets import ALONE, IN_TURN, run_in_turn, verdict_of, watched
from tests.providers.behind import Behind
from tests.providers.cua.parts import cua, simulated

SHELL = frozenset({Capability.EXEC, Capability.FILES})
ATTACHED = SHELL | INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}
HOSTED = ATTACHED | {Capability.PAUSE, Capability.LIVE_VIEW}
LACKING = frozenset(Capability) - HOSTED


@asynccontextmanager
async def a_target(behind: Behind | None = None) -> AsyncIterator[Target]:
    """Start a machine, watched on the desktop behind it by an X client where there is a desktop."""
    async with cua(behind) as hosted:
        computer = await hosted.create()
        machine = hosted.simulator.machines[computer.info.id].hardware.machine
        async with watched(computer, machine) as target:
            yield target


@pytest.mark.needs_x
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_cua_computer_conforms() -> None:
    """A desktop behind a computer server does what each case says, and input arrives on it as asked for."""
    async with a_target() as target:
        assert target.computer.capabilities == HOSTED
        await run_in_turn(target, IN_TURN, LACKING)


@pytest.mark.needs_x
@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cua_computer_conforms_case_by_case(case: Case) -> None:
    """The same on a machine for each case."""
    async with a_target() as target:
        assert await case.run(target) is verdict_of(case, LACKING)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALONE if not case.needs], ids=str)
async def test_cua_computer_ends(case: Case) -> None:
    """A machine that was stopped for good says so, whatever is asked of it."""
    async with a_target(FakeComputer) as target:
        assert await case.run(target) is Verdict.VERIFIED


@pytest.mark.needs_x
@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALONE if case.needs], ids=str)
async def test_cua_computer_goes_on(case: Case) -> None:
    """What is stopped and started again is as every computer is; there are neither copies nor snapshots."""
    async with a_target() as target:
        assert await case.run(target) is verdict_of(case, LACKING)


@pytest.mark.slow
@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_cua_computer_tells_what_fails(case: Case) -> None:
    """Whatever the server or the way to it does wrong is told, in time, and nothing is done twice."""
    async with (
        simulated(FakeComputer, is_open=True, left_running=1) as simulator,
        Wire(await simulator.start_machine("box-1")) as wire,
        CuaProvider(base_url=wire.base_url) as provider,
    ):
        [info] = await provider.list()
        computer = await provider.get(info.id)
        assert computer.capabilities == ATTACHED
        assert await case.run(Target(computer, wire=wire)) is Verdict.VERIFIED
