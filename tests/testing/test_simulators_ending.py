"""The end of a simulator's block: whoever is cancelled in it finds the vendor there until everything was ended."""

from __future__ import annotations

import logging

import anyio
import pytest

from deskhand.cli.simulating import SIMULATED, Vendor, simulator
from deskhand.providers import provider
from deskhand.testing.simulators import Simulator


async def hold(served: Simulator, name: Vendor, created: anyio.Event) -> None:
    """Serve a vendor, create a computer there, and wait to be cancelled."""
    async with served, provider(name, **served.options()) as chosen:
        await chosen.create(name="box")
        created.set()
        await anyio.sleep_forever()


@pytest.mark.parametrize("name", SIMULATED)
async def test_block_that_is_cancelled_ends_its_computers_at_the_vendor(
    name: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    """As it would at the real one, which is not gone because a program was interrupted; nothing is told to be left."""
    caplog.set_level(logging.WARNING)
    served, created = simulator(name, fake_desktop=True), anyio.Event()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(hold, served, name, created)
            await created.wait()
            group.cancel_scope.cancel()
    assert not served.computers
    assert not [*served.errors]
    assert "left behind" not in caplog.text
