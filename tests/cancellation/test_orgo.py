"""Hosted computers cancelled at every suspension: whatever request is under way, none is left at the vendor's."""

from __future__ import annotations

from functools import partial

import pytest

from deskhand.providers.orgo import OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoDialect, OrgoSimulator
from tests.cancellation.injector import Mode
from tests.cancellation.lives import Lives

pytestmark = pytest.mark.slow


async def life(simulator: OrgoSimulator) -> None:
    """Two computers, a click, a command, a picture, a copy, an end, and leaving what is left to the provider."""
    async with OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as provider:
        first = await provider.create(name="first")
        await first.left_click(3, 4)
        await first.exec("echo done")
        await first.screenshot()
        await first.clone("twin")
        await first.destroy()


@pytest.mark.parametrize("mode", ["scope", "native"])
@pytest.mark.parametrize("readiness", ["created", "later"])
async def test_hosted_computer_cancelled_once_leaves_nothing(mode: Mode, readiness: str) -> None:
    """At every suspension of the one who uses it."""
    dialect = OrgoDialect(readiness="later" if readiness == "later" else "created")
    async with OrgoSimulator(behind=FakeComputer, dialect=dialect) as simulator:
        assert await Lives(simulator, partial(life, simulator)).cancelled_once(mode) > 20


@pytest.mark.parametrize("mode", ["native", "mixed"])
async def test_hosted_computer_cancelled_twice_leaves_nothing(mode: Mode) -> None:
    """At pairs of suspensions, drawn by a seed, the second often in the clean-up."""
    async with OrgoSimulator(behind=FakeComputer) as simulator:
        await Lives(simulator, partial(life, simulator)).cancelled_twice(mode)
