"""What the tests of the Orgo adapter share: a simulator, a provider that talks to it, and what is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deskhand.providers import ComputerSpec
from deskhand.providers.orgo import OrgoComputer, OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoDialect, OrgoPlan, OrgoSimulator
from tests.providers.behind import Behind


@dataclass(frozen=True, slots=True)
class Orgo:
    """A simulator and a provider that talks to it."""

    simulator: OrgoSimulator
    provider: OrgoProvider

    async def create(self, name: str = "box", spec: ComputerSpec | None = None, **options: object) -> OrgoComputer:
        """Create a computer."""
        return await self.provider.create(name=name, spec=spec, **options)


@asynccontextmanager
async def simulated(
    behind: Behind | None = FakeComputer,
    *,
    dialect: OrgoDialect | None = None,
    plan: OrgoPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
) -> AsyncIterator[OrgoSimulator]:
    """Serve a simulator, and see afterwards that nothing is left on it and nothing went wrong in it.

    Args:
        behind: Gives the machine behind each computer; ``None`` for a real desktop.
        dialect: Which shapes it answers with.
        plan: What the plan allows.
        without: Routes that it does not have.
        left_behind: How many computers there are to be in the end.
    """
    async with OrgoSimulator(dialect=dialect, plan=plan, behind=behind) as simulator:
        for route in without:
            simulator.remove(route)
        yield simulator
        assert [*simulator.errors] == []
        assert len(simulator.computers) == left_behind


@asynccontextmanager
async def orgo(
    behind: Behind | None = FakeComputer,
    *,
    dialect: OrgoDialect | None = None,
    plan: OrgoPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
    timeout: float | None = None,
    workspace_id: str | None = None,
) -> AsyncIterator[Orgo]:
    """Serve a simulator and open a provider that talks to it; `simulated` says what the rest means."""
    async with (
        simulated(behind, dialect=dialect, plan=plan, without=without, left_behind=left_behind) as simulator,
        OrgoProvider(
            api_key=simulator.key, base_url=simulator.base_url, timeout=timeout, workspace_id=workspace_id
        ) as provider,
    ):
        yield Orgo(simulator, provider)
