"""The local computer under the suite that every computer must pass, its input judged by an X client on its desktop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from deskhand import ComputerSpec
from deskhand.providers import Capability, Screen
from deskhand.providers.local import LocalComputer, LocalProvider
from deskhand.testing.conformance import CASES, DESKTOP, Case, Target, Verdict
from deskhand.testing.x_ground_truth import x_ground_truth

SCREENS = (Screen(1280, 800), Screen(1920, 1080))
REPETITIONS = 3
ENDING = [case for case in CASES if case.ends_computer]
LASTING = [case for case in CASES if not case.ends_computer]
TRUTH = [case for case in CASES if case.needs_truth]


@asynccontextmanager
async def a_target(screen: Screen, *, desktop: bool = True) -> AsyncIterator[Target]:
    """Open a local computer, watched by an X client where it has a desktop."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(LocalProvider())
        computer = await provider.create(name="conformance", spec=ComputerSpec(screen=screen), desktop=desktop)
        truth = None
        if (display := computer.display) is not None:
            truth = await stack.enter_async_context(x_ground_truth(display.name, display.xauthority))
            await computer.settle()
        yield Target(computer, truth)


def has_all(computer: LocalComputer) -> bool:
    """Whether it can do all that the suite is about, so that no case ends as unsupported."""
    return computer.capabilities >= DESKTOP | {Capability.PORTS}


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen.width}x{screen.height}")
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_local_computer_conforms(case: Case, screen: Screen) -> None:
    """A local desktop passes every case, verified, at two sizes."""
    async with a_target(screen) as target:
        assert target.computer.capabilities >= DESKTOP | {Capability.PORTS}
        assert await case.run(target) is Verdict.VERIFIED
