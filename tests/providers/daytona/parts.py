"""What the tests of the Daytona adapter share: a simulator, a provider that talks to it, and what is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deskhand.providers import ComputerSpec, ExternalComputer
from deskhand.providers.daytona import DaytonaComputer, DaytonaProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import DaytonaDialect, DaytonaPlan, DaytonaSimulator
from tests.providers.behind import Behind


@dataclass(frozen=True, slots=True)
class Daytona:
    """A simulator and a provider that talks to it."""

    simulator: DaytonaSimulator
    provider: DaytonaProvider

    async def create(self, name: str = "box", spec: ComputerSpec | None = None, **options: object) -> DaytonaComputer:
        """Create a sandbox."""
        return await self.provider.create(name=name, spec=spec, **options)


def machine_of(simulator: DaytonaSimulator, computer: ExternalComputer) -> ExternalComputer:
    """Return the machine behind a sandbox that is on."""
    machine = simulator.computers[computer.info.id].machine
    assert machine is not None
    return machine


@asynccontextmanager
async def simulated(
    behind: Behind | None = FakeComputer,
    *,
    dialect: DaytonaDialect | None = None,
    plan: DaytonaPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
) -> AsyncIterator[DaytonaSimulator]:
    """Serve a simulator, and see afterwards that nothing is left on it and nothing went wrong in it.

    Args:
        behind: Gives the machine behind each sandbox; ``None`` for a real desktop.
        dialect: Which shapes it answers with.
        plan: What the plan allows.
        without: Routes that it does not have.
        left_behind: How many sandboxes there are to be in the end.
    """
    async with DaytonaSimulator(dialect=dialect, plan=plan, behind=behind) as simulator:
        for route in without:
            simulator.remove(route)
        yield simulator
        assert [*simulator.errors] == []
        assert len(simulator.computers) == left_behind


@asynccontextmanager
async def daytona(
    behind: Behind | None = FakeComputer,
    *,
    dialect: DaytonaDialect | None = None,
    plan: DaytonaPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
    timeout: float | None = None,
) -> AsyncIterator[Daytona]:
    """Serve a simulator and open a provider that talks to it; `simulated` says what the rest means."""
    async with (
        simulated(behind, dialect=dialect, plan=plan, without=without, left_behind=left_behind) as simulator,
        DaytonaProvider(api_key=simulator.key, base_url=simulator.base_url, timeout=timeout) as provider,
    ):
        yield Daytona(simulator, provider)
