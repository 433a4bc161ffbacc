"""The local computer under the suite that every computer must pass, its input judged by an X client on its desktop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from deskhand import ComputerSpec
from deskhand.providers import Capability, Screen
from deskhand.providers.local import LocalProvider
from deskhand.testing.conformance import CASES, DESKTOP, SHELL_AND_FILES, Case, Target, Verdict
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.conformance.targets import ALONE

SMALL, LARGE = Screen(1280, 800), Screen(1920, 1080)
REPETITIONS = 3
WITHOUT_A_SCREEN = SHELL_AND_FILES | {Capability.PORTS}
LACKING = frozenset({Capability.RESIZE, Capability.PAUSE, Capability.CLONE, Capability.SNAPSHOT})
"""What a local desktop has not, or not with every X server."""
TOGETHER = [case for case in CASES if not case.ends_computer and not case.needs_truth]
CATALOGUE = [case for case in CASES if case.needs_truth]


@asynccontextmanager
async def a_target(screen: Screen = SMALL, *, desktop: bool = True) -> AsyncIterator[Target]:
    """Open a local computer, watched by an X client where it has a desktop."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(LocalProvider())
        computer = await provider.create(name="conformance", spec=ComputerSpec(screen=screen), desktop=desktop)
        truth = None
        if (access := computer.x_access) is not None:
            truth = await stack.enter_async_context(x_ground_truth(*access))
            await computer.settle()
        assert computer.capabilities >= (WITHOUT_A_SCREEN | DESKTOP if desktop else WITHOUT_A_SCREEN)
        yield Target(computer, truth)


async def run_catalogue(target: Target) -> None:
    """Run every case that is about input."""
    for case in CATALOGUE:
        assert await case.run(target) is Verdict.VERIFIED, case.name


@pytest.mark.parametrize("case", [*ALONE, *TOGETHER], ids=str)
@pytest.mark.needs_x
async def test_local_desktop_conforms(case: Case) -> None:
    """A local desktop does what a case says, verified."""
    async with a_target() as target:
        verdict = await case.run(target)
    lacking = case.needs - target.computer.capabilities
    assert verdict is (Verdict.UNSUPPORTED if lacking else Verdict.VERIFIED)
    assert lacking <= LACKING


@pytest.mark.parametrize("case", CATALOGUE, ids=str)
@pytest.mark.needs_x
async def test_local_desktop_gets_its_input(case: Case) -> None:
    """Every kind of input arrives on the desktop as asked for."""
    async with a_target() as target:
        assert await case.run(target) is Verdict.VERIFIED


@pytest.mark.needs_x
async def test_large_local_desktop_gets_its_input() -> None:
    """The whole catalogue of input arrives on one large desktop, one case after the other."""
    async with a_target(LARGE) as target:
        await run_catalogue(target)


@pytest.mark.parametrize("screen", [SMALL, LARGE], ids=["1280x800", "1920x1080"])
@pytest.mark.needs_x
@pytest.mark.long
async def test_local_desktop_gets_its_input_again_and_again(screen: Screen) -> None:
    """The whole catalogue arrives three times over, on one desktop, without a flake, at two sizes."""
    async with a_target(screen) as target:
        for _ in range(REPETITIONS):
            await run_catalogue(target)


@pytest.mark.parametrize("case", [case for case in CASES if not case.needs - WITHOUT_A_SCREEN], ids=str)
async def test_local_computer_without_a_desktop_conforms(case: Case) -> None:
    """Where there is no screen, shell and files are as everywhere, and the rest is said to be missing."""
    async with a_target(desktop=False) as target:
        assert target.computer.info.screen is None
        assert await case.run(target) is Verdict.VERIFIED
