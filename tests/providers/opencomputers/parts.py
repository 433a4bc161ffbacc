"""What the tests of the OpenComputers adapter share: a simulator, a provider that talks to it, and what is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deskhand.providers.opencomputers import OpenComputersComputer, OpenComputersProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OpenComputersDialect, OpenComputersSimulator
from tests.providers.behind import Behind


@dataclass(frozen=True, slots=True)
class OpenComputers:
    """A simulator and a provider that talks to it."""

    simulator: OpenComputersSimulator
    provider: OpenComputersProvider

    async def borrow(self, name: str = "box") -> OpenComputersComputer:
        """Let somebody register a machine, and get it."""
        host = await self.simulator.add_host(name)
        return await self.provider.get(host.id)


@asynccontextmanager
async def opencomputers(
    behind: Behind | None = FakeComputer,
    *,
    dialect: OpenComputersDialect | None = None,
    most_hosts: int = 32,
    without: tuple[str, ...] = (),
    timeout: float | None = None,
) -> AsyncIterator[OpenComputers]:
    """Serve a simulator and open a provider that talks to it, and see that nothing went wrong in the simulator.

    Args:
        behind: Gives the machine behind each host; ``None`` for a real desktop.
        dialect: Which shapes it answers with.
        most_hosts: How many hosts the plan allows.
        without: Routes that it does not have.
        timeout: Seconds that a request may take.
    """
    async with OpenComputersSimulator(dialect=dialect, most_hosts=most_hosts, behind=behind) as simulator:
        for route in without:
            simulator.remove(route)
        async with OpenComputersProvider(
            api_key=simulator.key, base_url=simulator.base_url, timeout=timeout
        ) as provider:
            yield OpenComputers(simulator, provider)
        assert [*simulator.errors] == []
