"""Daytona's own package drives the simulated Daytona: what its users see, and what happens in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.testing.simulators import DaytonaSimulator
from tests.judges.environments import driven

pytestmark = [pytest.mark.judge, pytest.mark.needs_x, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).with_name("daytona_program.py")


async def test_the_vendors_package_drives_the_simulator() -> None:
    """Every call does what it says, and each refusal is the package's own class for it."""
    async with DaytonaSimulator() as simulator:
        told = await driven("daytona", simulator.base_url, simulator.key)
        refused = {request.route for request in simulator.requests if (request.status or 0) >= 400 and request.route}
    assert (told["state"], told["name"], told["listed"], told["again"]) == ("started", "judged", ["judged"], "started")
    shell = told["shell"]
    assert shell["exec"] == [3, "out\nerr\n"]
    assert shell["variable"] == "b"
    assert shell["late"].startswith("DaytonaProcessExecutionTimeoutError")
    assert shell["session"] == [0, "/tmp\n", "c\n"]
    assert (shell["followed"], shell["code"]) == (["one\n", "two\n"], 4)
    assert shell["twice"].startswith("DaytonaConflictError")
    assert shell["sessions"] == ["s"]
    assert told["terminal"] == {"code": 7, "size": True, "resized": [70, 15]}
    assert told["files"] == {
        "same": True,
        "listed": [["file", 256_000]],
        "info": 256_000,
        "missing": "DaytonaFileNotFoundError",
    }
    desk = told["desktop"]
    assert (desk["started"], desk["status"]) == (["novnc", "x11vnc", "xfce4", "xvfb"], "active")
    assert (desk["size"], desk["picture"], desk["scroll"]) == ([1024, 768], "89504e47", True)
    assert desk["places"] == [[300, 200], [310, 210], [400, 300], [400, 300]]
    assert desk["unknown"].startswith("DaytonaBadRequestError")
    assert told["preview"] == [True, True]
    assert told["ssh"] == [True, True]
    assert (told["off"], told["nobody"]) == ("DaytonaBadRequestError", "DaytonaNotFoundError")
    assert told["wrong key"] == "DaytonaAuthenticationError"
    assert (told["snapshot"], told["no snapshot"]) == ("before", "DaytonaBadRequestError")
    assert refused == {"execute", "create_session", "key", "get", "create"}
    assert not simulator.computers
    assert not simulator.errors
