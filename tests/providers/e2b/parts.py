"""What the tests of the E2B adapter share: a simulator, a provider that talks to it, and what is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deskhand.providers import ComputerSpec
from deskhand.providers.e2b import E2BComputer, E2BProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import E2BPlan, E2BSimulator
from tests.providers.behind import Behind


@dataclass(frozen=True, slots=True)
class Hosted:
    """A simulator and a provider that talks to it."""

    simulator: E2BSimulator
    provider: E2BProvider

    async def create(self, name: str = "box", spec: ComputerSpec | None = None, **options: object) -> E2BComputer:
        """Create a computer."""
        return await self.provider.create(name=name, spec=spec, **options)


@asynccontextmanager
async def simulated(
    behind: Behind | None = FakeComputer,
    *,
    plan: E2BPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
) -> AsyncIterator[E2BSimulator]:
    """Serve a simulator, and see afterwards that nothing is left on it and nothing went wrong in it.

    Args:
        behind: Gives the machine behind each sandbox; ``None`` for a real desktop.
        plan: What the plan allows.
        without: Routes that it does not have.
        left_behind: How many sandboxes there are to be in the end.
    """
    async with E2BSimulator(plan=plan, behind=behind) as simulator:
        for route in without:
            simulator.remove(route)
        yield simulator
        assert [*simulator.errors] == []
        assert len(simulator.computers) == left_behind


@asynccontextmanager
async def e2b(
    behind: Behind | None = FakeComputer,
    *,
    plan: E2BPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
    timeout: float | None = None,
) -> AsyncIterator[Hosted]:
    """Serve a simulator and open a provider that talks to it; `simulated` says what the rest means."""
    async with (
        simulated(behind, plan=plan, without=without, left_behind=left_behind) as simulator,
        E2BProvider(
            api_key=simulator.key, base_url=simulator.base_url, sandbox_url=simulator.base_url, timeout=timeout
        ) as provider,
    ):
        yield Hosted(simulator, provider)
