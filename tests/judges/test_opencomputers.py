"""MIOSA's own package uses a host of the simulated OpenComputers: what its users see, and what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.testing.simulators import OpenComputersDialect, OpenComputersSimulator
from tests.judges.environments import driven
from tests.providers.behind import shell_only

pytestmark = [pytest.mark.judge, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).with_name("opencomputers_program.py")


@pytest.mark.parametrize("registered", ["flat", "both"])
async def test_the_vendors_package_uses_a_host(registered: str) -> None:
    """Every call that a harness needs does what it says, seen from the package and from the simulator."""
    dialect = OpenComputersDialect(registered="flat" if registered == "flat" else "both")
    async with OpenComputersSimulator(behind=shell_only, dialect=dialect) as simulator:
        told = await driven("opencomputers", simulator.origin, simulator.key)
    assert (told["key"], told["status"], told["labels"]) == ("hk_", "online", {"team": "red"})
    assert (told["listed"], told["got"]) == (["judged"], ["judged", None])  # its key is told once
    assert told["run"] == [3, "a b\n", "/\n"]
    assert told["streamed"] == [["stderr", "err\n"], ["stdout", "out\n"]]
    assert told["stream ends"] == ["exec_result", 4]
    assert told["late"] == ["exec_error", "timeout"]
    assert told["followed"] == ["exec_chunk", "exec_result"]
    assert (told["job"], told["followed after its end"]) == (["failed", 5], [])
    assert told["canceled"] == "canceled"
    assert told["canceled twice"][1] == 409
    assert told["audit"] == ["job.failed", "job.dispatched"]
    assert (told["uploaded"], told["downloaded"], told["stat"]) == (131_072, True, 131_072)
    assert told["files"] == [["deep", True]]
    assert told["deleted"][:2] == ["NotFoundError", 404]
    assert told["tickets"] == ["ws://", "tkt_"]
    assert (told["tunnel"], told["tunnels"]) == ([True, 3000], [True])
    assert told["closed"][:2] == ["NotFoundError", 404]
    assert told["agent tells"] == ["session.started", "session.completed"]
    assert (told["agent"], told["sessions"]) == (["completed", "look around"], [True])
    assert told["no command"][:2] == ["ValidationError", 422]
    assert told["wrong key"][:2] == ["AuthenticationError", 401]
    assert told["after"][:2] == ["NotFoundError", 404]
    assert not simulator.computers
    assert not simulator.errors
