"""Ports, at all vendors."""

from __future__ import annotations

import pytest

from deskhand.errors import InvalidInputError
from deskhand.providers import Capability
from deskhand.testing import FakeComputer
from tests.providers.vendors import VENDORS


@pytest.mark.parametrize("vendor", [name for name in VENDORS if name != "cua"])
async def test_what_is_no_port_is_refused(vendor: str) -> None:
    """Before anything is asked of the vendor."""
    async with VENDORS[vendor]() as served:
        assert Capability.PORTS in served.computer.capabilities
        before = len(served.simulator.requests)
        for port in (0, -1, 65_536, True):
            with pytest.raises(InvalidInputError, match="is no port"):
                await served.computer.preview_url(port)
        assert len(served.simulator.requests) == before


async def test_what_is_no_port_of_a_fake_is_refused() -> None:
    """As at the vendors."""
    async with FakeComputer() as computer:
        for port in (0, 65_536, True):
            with pytest.raises(InvalidInputError, match="is no port"):
                await computer.preview_url(port)
