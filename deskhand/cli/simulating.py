"""A simulator in the place of a vendor's service, for the time of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from deskhand.errors import ConfigError

if TYPE_CHECKING:
    from deskhand.testing.simulators import Simulator
    from deskhand.testing.simulators.latency import LatencyName

__all__ = ["KEYLESS", "SIMULATED", "Vendor", "simulated", "simulator"]

Vendor: TypeAlias = Literal["orgo", "miosa", "opencomputers", "e2b", "daytona", "cua"]
"""Providers whose vendor can be simulated."""

SIMULATED: Final[tuple[Vendor, ...]] = get_args(Vendor)

_SIMULATORS: Final[Mapping[Vendor, str]] = MappingProxyType(
    {
        "orgo": "OrgoSimulator",
        "miosa": "MiosaSimulator",
        "opencomputers": "OpenComputersSimulator",
        "e2b": "E2BSimulator",
        "daytona": "DaytonaSimulator",
        "cua": "CuaSimulator",
    }
)

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
    async with simulator(name, latency=latency) as served:
        yield served.options()


def simulator(name: Vendor, *, latency: LatencyName = "none", port: int = 0, fake_desktop: bool = False) -> Simulator:
    """Make a simulator, to be entered with ``async with``.

    Args:
        name: One of `SIMULATED`.
        latency: How long its answers take.
        port: The port; 0 takes a free one.
        fake_desktop: Whether the desktops behind it are made up.

    Raises:
        ConfigError: If the extra that it needs is not installed.
    """
    try:
        from deskhand.testing import simulators
    except ImportError as error:
        raise ConfigError(
            f"the simulators need a package that is not installed: {error}", hint="pip install 'deskhand[simulate]'"
        ) from error
    made: Simulator = getattr(simulators, _SIMULATORS[name])(
        port=port, latency=latency, behind=simulators.made_up_machine if fake_desktop else None
    )
    return made
