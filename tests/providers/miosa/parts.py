"""What the tests of the MIOSA adapter share: a simulator, a provider that talks to it, and what is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deskhand.providers import ComputerSpec
from deskhand.providers.miosa import MiosaComputer, MiosaProvider, MiosaSandbox
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import MiosaDialect, MiosaPlan, MiosaSimulator
from tests.providers.behind import Behind


@dataclass(frozen=True, slots=True)
class Miosa:
    """A simulator and a provider that talks to it."""

    simulator: MiosaSimulator
    provider: MiosaProvider

    async def create(self, name: str = "box", spec: ComputerSpec | None = None, **options: object) -> MiosaComputer:
        """Create a computer."""
        computer = await self.provider.create(name=name, spec=spec, **options)
        assert isinstance(computer, MiosaComputer)
        return computer

    async def sandbox(self, name: str = "box", spec: ComputerSpec | None = None, **options: object) -> MiosaSandbox:
        """Create a sandbox."""
        return await self.provider.create(name=name, spec=spec, kind="sandbox", **options)


@asynccontextmanager
async def simulated(
    behind: Behind | None = FakeComputer,
    *,
    dialect: MiosaDialect | None = None,
    plan: MiosaPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
) -> AsyncIterator[MiosaSimulator]:
    """Serve a simulator, and see afterwards that nothing is left on it and nothing went wrong in it.

    Args:
        behind: Gives the machine behind each computer; ``None`` for a real desktop.
        dialect: Which shapes it answers with.
        plan: What the plan allows.
        without: Routes that it does not have.
        left_behind: How many computers and sandboxes there are to be in the end.
    """
    async with MiosaSimulator(dialect=dialect, plan=plan, behind=behind) as simulator:
        for route in without:
            simulator.remove(route)
        yield simulator
        assert [*simulator.errors] == []
        assert len(simulator.computers) + len(simulator.sandboxes) == left_behind


@asynccontextmanager
async def miosa(
    behind: Behind | None = FakeComputer,
    *,
    dialect: MiosaDialect | None = None,
    plan: MiosaPlan | None = None,
    without: tuple[str, ...] = (),
    left_behind: int = 0,
    timeout: float | None = None,
    workspace_id: str | None = None,
) -> AsyncIterator[Miosa]:
    """Serve a simulator and open a provider that talks to it; `simulated` says what the rest means."""
    async with (
        simulated(behind, dialect=dialect, plan=plan, without=without, left_behind=left_behind) as simulator,
        MiosaProvider(
            api_key=simulator.key, base_url=simulator.base_url, timeout=timeout, workspace_id=workspace_id
        ) as provider,
    ):
        yield Miosa(simulator, provider)
