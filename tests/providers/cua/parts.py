"""What the tests of the Cua adapter share: a simulator, a provider that talks to it, and what is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deskhand.providers.cua import CuaComputer, CuaProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import CuaSimulator
from tests.providers.behind import Behind


@dataclass(frozen=True, slots=True)
class Cua:
    """A simulator and a provider that talks to it."""

    simulator: CuaSimulator
    provider: CuaProvider

    async def create(self, machine: str | None = None) -> CuaComputer:
        """Start a machine, the one that is named or any."""
        return await self.provider.create(name="box", machine=machine)

    def sent(self) -> list[str]:
        """Return the commands that the servers got, the oldest first."""
        bodies = [request.body for request in self.simulator.asked("cmd")]
        return [str(body["command"]) for body in bodies if isinstance(body, dict)]

    def params(self, command: str) -> list[object]:
        """Return the parameters of each time that a command was given some."""
        bodies = [request.body for request in self.simulator.asked("cmd")]
        return [
            body["params"]
            for body in bodies
            if isinstance(body, dict) and body["command"] == command and body["params"]
        ]


@asynccontextmanager
async def simulated(
    behind: Behind | None = FakeComputer,
    *,
    machines: int = 3,
    is_open: bool = False,
    without: tuple[str, ...] = (),
    left_running: int = 0,
) -> AsyncIterator[CuaSimulator]:
    """Serve a simulator, and see afterwards that no machine of it runs and nothing went wrong in it.

    Args:
        behind: Gives the machine behind each; ``None`` for a real desktop.
        machines: How many machines the account has.
        is_open: Whether the servers ask for no key.
        without: Commands that the servers do not know.
        left_running: How many machines are to run in the end.
    """
    async with CuaSimulator(behind=behind, machines=machines, is_open=is_open) as simulator:
        for command in without:
            simulator.remove_command(command)
        yield simulator
        assert [*simulator.errors] == []
        assert len(simulator.computers) == left_running


@asynccontextmanager
async def cua(
    behind: Behind | None = FakeComputer,
    *,
    machines: int = 3,
    without: tuple[str, ...] = (),
    left_running: int = 0,
    timeout: float | None = None,
) -> AsyncIterator[Cua]:
    """Serve a simulator and open a provider that talks to its cloud; `simulated` says what the rest means."""
    async with (
        simulated(behind, machines=machines, without=without, left_running=left_running) as simulator,
        CuaProvider(api_key=simulator.key, cloud_url=simulator.origin, timeout=timeout) as provider,
    ):
        yield Cua(simulator, provider)
