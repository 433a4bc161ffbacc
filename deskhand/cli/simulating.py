"""A simulator in the place of a vendor's service, for the time of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from deskhand.errors import ConfigError

if TYPE_CHECKING:
    from deskhand.testing.simulators import OrgoSimulator
    from deskhand.testing.simulators.latency import LatencyName

__all__ = ["KEYLESS", "SIMULATED", "simulated", "simulator"]

SIMULATED: Final = ("orgo",)
"""Providers whose vendor can be simulated."""

KEYLESS: Final = ("local",)
"""Providers that are on this machine anyway: there is nothing to simulate."""


@asynccontextmanager
async def simulated(name: str, *, latency: LatencyName = "none") -> AsyncIterator[Mapping[str, object]]:
    """Serve a simulated vendor, and yield the options that lead its provider there.

    Raises:
        ConfigError: If there is no simulator of it.
    """
    if name in KEYLESS:
        yield {}
        return
    if name not in SIMULATED:
        raise ConfigError(f"there is no simulator of {name}", hint=f"use {', '.join((*KEYLESS, *SIMULATED))}")
    async with simulator(latency=latency) as served:
        workspace = served.add_workspace("deskhand")  # named, so that one that is set for the vendor is not looked for
        yield {"api_key": served.key, "base_url": served.base_url, "workspace_id": workspace.id}


def simulator(*, latency: LatencyName = "none", port: int = 0, fake_desktop: bool = False) -> OrgoSimulator:
    """Make the simulator, to be entered with ``async with``.

    Raises:
        ConfigError: If the extra that it needs is not installed.
    """
    try:
        from deskhand.testing.simulators import OrgoSimulator
    except ImportError as error:
        raise ConfigError(
            f"the simulators need a package that is not installed: {error}", hint="pip install 'deskhand[simulate]'"
        ) from error
    from deskhand.testing import FakeComputer

    return OrgoSimulator(port=port, latency=latency, behind=FakeComputer if fake_desktop else None)
