"""Hosted computers cancelled at every suspension: whatever request is under way, none is left at the vendor's."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from deskhand.providers.orgo import OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoDialect, OrgoSimulator
from tests.cancellation.injector import Mode, inject, open_descriptors

pytestmark = pytest.mark.slow

MOST_PAIRS = 60


class Bench:
    """Uses one simulator again and again, and counts what is left on it."""

    def __init__(self, simulator: OrgoSimulator) -> None:
        self.simulator = simulator
        self.descriptors = len(open_descriptors())

    async def life(self) -> None:
        """Two computers, a click, a command, a picture, a copy, an end, and leaving what is left to the provider."""
        async with OrgoProvider(api_key=self.simulator.key, base_url=self.simulator.base_url) as provider:
            first = await provider.create(name="first")
            await first.left_click(3, 4)
            await first.exec("echo done")
            await first.screenshot()
            await first.clone("twin")
            await first.destroy()

    async def try_at(self, at: frozenset[int], mode: Mode) -> int:
        """Live one life and cancel it there; return how many suspensions it had."""
        schedule = await inject(self.life, at, mode)
        place = f"{mode} cancel at {sorted(at)}: {schedule.where}"
        assert not self.simulator.computers, f"{place} left {self.simulator.computers}"
        assert not [*self.simulator.errors], place
        assert len(open_descriptors()) <= self.descriptors + 20, place  # connections whose close is under way
        return schedule.seen


@pytest.mark.parametrize("mode", ["scope", "native"])
@pytest.mark.parametrize("readiness", ["created", "later"])
async def test_hosted_computer_cancelled_once_leaves_nothing(mode: Mode, readiness: str) -> None:
    """At every suspension of the one who uses it."""
    dialect = OrgoDialect(readiness="later" if readiness == "later" else "created")
    async with OrgoSimulator(behind=FakeComputer, dialect=dialect) as simulator:
        bench = Bench(simulator)
        total = await bench.try_at(frozenset(), mode)
        assert total > 20
        for n in range(1, total + 1):
            await bench.try_at(frozenset({n}), mode)


@pytest.mark.parametrize("mode", ["native", "mixed"])
async def test_hosted_computer_cancelled_twice_leaves_nothing(mode: Mode) -> None:
    """At pairs of suspensions, drawn by a seed, the second often in the clean-up."""
    async with OrgoSimulator(behind=FakeComputer) as simulator:
        bench = Bench(simulator)
        total = await bench.try_at(frozenset(), mode)
        pairs = [*combinations(range(1, total + 3), 2)]
        for pair in Random(2026).sample(pairs, MOST_PAIRS):
            await bench.try_at(frozenset(pair), mode)
