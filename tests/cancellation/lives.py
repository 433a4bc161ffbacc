"""Lives of hosted computers, cancelled at every suspension and at pairs of them: nothing is left at the vendor's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import combinations
from random import Random

from deskhand.testing.simulators import Simulator
from tests.cancellation.injector import Mode, inject, open_descriptors

MOST_PAIRS = 60


class Lives:
    """Lives the same life on one simulator again and again, and sees that none leaves anything on it."""

    def __init__(self, simulator: Simulator, live: Callable[[], Coroutine[object, object, object]]) -> None:
        self._simulator = simulator
        self._live = live
        self._descriptors = len(open_descriptors())

    async def _try_at(self, at: frozenset[int], mode: Mode) -> int:
        """Live one life and cancel it there; return how many suspensions it had."""
        schedule = await inject(self._live, at, mode)
        place = f"{mode} cancel at {sorted(at)}: {schedule.where}"
        assert not self._simulator.computers, f"{place} left {self._simulator.computers}"
        assert not [*self._simulator.errors], place
        assert len(open_descriptors()) <= self._descriptors + 20, place  # connections whose close is under way
        return schedule.seen

    async def cancelled_once(self, mode: Mode) -> int:
        """Cancel one life at each of its suspensions; return how many it has."""
        total = await self._try_at(frozenset(), mode)
        for n in range(1, total + 1):
            await self._try_at(frozenset({n}), mode)
        return total

    async def cancelled_twice(self, mode: Mode) -> None:
        """Cancel lives at pairs of suspensions, drawn by a seed, the second often in the clean-up."""
        total = await self._try_at(frozenset(), mode)
        pairs = [*combinations(range(1, total + 3), 2)]
        for pair in Random(2026).sample(pairs, MOST_PAIRS):
            await self._try_at(frozenset(pair), mode)
