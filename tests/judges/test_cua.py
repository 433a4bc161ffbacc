"""Cua's own package drives the simulated computer server: what its users see, and what happens on the desktop."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.testing.simulators import CuaSimulator
from tests.judges.environments import driven

pytestmark = [pytest.mark.judge, pytest.mark.needs_x, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).with_name("cua_program.py")


async def test_the_vendors_package_drives_the_simulator() -> None:
    """Every call that it has does what it says, by both of the ways that it knows to a server."""
    silent = {"CUA_TELEMETRY_DISABLED": "1", "CUA_TELEMETRY_ENABLED": "false"}
    async with CuaSimulator(machines=1) as simulator:
        url = await simulator.start_machine("box-1")
        told = await driven("cua", url, "box-1", simulator.key, **silent)
        machine = simulator.machines["box-1"].hardware.machine
        assert machine is not None
        assert await machine.read_file("judged/note") == "grüße\n"
        assert simulator.asked("ws")
    assert told["size"] == {"width": 1280, "height": 720}
    assert told["picture"] == [1280, 720]
    assert told["left"] == {"x": 300, "y": 200}
    assert told["dragged"] == told["by socket"] == {"x": 400, "y": 300}
    assert told["ran"] == ["out\n", "err\n", 3]
    assert (told["bytes"], told["file size"], told["text"]) == (True, True, "grüße\n")
    assert (told["listed"], told["exist"], told["gone"]) == (["deep", "note"], [True, True], [False, False])
    assert "No such file" in told["missing"]
    assert not simulator.errors
