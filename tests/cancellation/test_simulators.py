"""A simulated vendor cancelled at every suspension: no server, no machine and no connection is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2
import pytest

from deskhand.providers import ExternalComputer
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoSimulator
from tests.cancellation.injector import Mode, explore, explore_pairs, open_descriptors, pairs_of
from tests.testing.orgo_parts import Client

pytestmark = pytest.mark.slow


class Bench:
    """Serves, has a computer made and used, and counts the machines that are open."""

    def __init__(self) -> None:
        self.machines = 0
        self.descriptors = len(open_descriptors())

    def __call__(self) -> AbstractAsyncContextManager[ExternalComputer]:
        """Give a machine."""
        return self._machine()

    @asynccontextmanager
    async def _machine(self) -> AsyncIterator[ExternalComputer]:
        self.machines += 1
        try:
            async with FakeComputer() as computer:
                yield computer
        finally:
            self.machines -= 1

    async def life(self) -> None:
        """A simulator, a computer, a command, a stop that goes on when the block is left."""
        async with (
            OrgoSimulator(behind=self) as simulator,
            httpx2.AsyncClient(timeout=20, trust_env=False) as http,
        ):
            client = Client(simulator, http)
            path = f"computers/{await client.create()}"
            await client.post(f"{path}/bash", {"command": "echo done"})
            await client.post(f"{path}/stop")

    def check(self) -> None:
        """Hold that nothing was left behind."""
        assert self.machines == 0
        assert len(open_descriptors()) <= self.descriptors + 1


def test_a_simulator_cancelled_once_leaves_nothing() -> None:
    """At every suspension, by a scope and natively."""
    bench = Bench()
    assert explore(bench.life, bench.check) > 10


@pytest.mark.parametrize("mode", ["native", "mixed"])
def test_a_simulator_cancelled_twice_leaves_nothing(mode: Mode) -> None:
    """At pairs of suspensions, drawn by a seed."""
    bench = Bench()
    explore_pairs(bench.life, bench.check, pairs_of(bench.life, most=60, seed=2026), mode=mode)
