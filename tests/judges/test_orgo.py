"""Orgo's own package drives the simulated Orgo: what its users see, what arrives, what happens on the desktop."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.testing.simulators import OrgoDialect, OrgoSimulator
from tests.judges.environments import driven

pytestmark = [pytest.mark.judge, pytest.mark.needs_x, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).with_name("orgo_program.py")


async def test_the_vendors_package_drives_the_simulator() -> None:
    """Every call that it has does what it says, seen from the package, from the log and from the desktop itself."""
    async with OrgoSimulator() as simulator:
        told = await driven("orgo", simulator.base_url, simulator.key)
    assert told["bash"] == "out\nerr\n"
    assert (told["exec"]["success"], told["exec"]["output"]) == (True, "42\n")
    assert (told["raised"]["success"], told["raised"]["error_type"]) == (False, "ZeroDivisionError")
    assert told["size"] == [1280, 720]
    assert told["base64"] == "iVBORw0K"
    # Where the pointer is, another program on the desktop tells.
    places = [told[action].strip() for action in ("left", "double", "drag", "scroll")]
    assert places == ["300,200", "320,220", "400,300", "640,360"]
    assert (told["type"], told["key"], told["status"]) == (True, True, "running")
    assert [answer.get("status", "stopped") for answer in told["stream"]] == ["streaming", "streaming", "stopped"]
    assert (told["listed"], told["project"]) == (["box"], "judged")
    assert told["missing"] == "Computer not found"
    assert told["wrong key"].startswith("Invalid API key")
    assert told["restart"] == {"success": True, "status": "restarting"}
    assert told["destroy"] == {"success": True}
    assert not simulator.computers
    assert not simulator.workspaces
    assert not simulator.errors


async def test_what_the_vendors_package_sends_is_what_the_log_has() -> None:
    """The bodies are those of the package, so that the simulator is not strict about what nobody sends."""
    async with OrgoSimulator() as simulator:
        told = await driven("orgo", simulator.base_url, simulator.key)
        sent = {
            route: [request.body for request in simulator.asked(route)]
            for route in ("create", "click", "drag", "scroll", "type", "key", "wait", "exec")
        }
        others = [(request.route, request.status) for request in simulator.requests if request.status != 200]
    (created,) = sent["create"]
    assert isinstance(created, dict)
    fields = {name: value for name, value in created.items() if name != "workspace_id"}
    assert fields == {"name": "box", "os": "linux", "gpu": "none", "ram": 4, "cpu": 1}
    assert sent["click"] == [
        {"button": "left", "x": 300, "y": 200},
        {"button": "right", "x": 310, "y": 210},
        {"button": "left", "x": 320, "y": 220, "double": True},
    ]
    drag = {"start_x": 100, "start_y": 100, "end_x": 400, "end_y": 300, "button": "left", "duration": 0.5}
    assert sent["drag"] == [drag]
    assert sent["scroll"] == [
        {"direction": "down", "amount": 2, "x": 640, "y": 360},
        {"direction": "up", "amount": 1, "x": 640, "y": 360},
    ]
    assert sent["key"] == [{"key": "Escape"}, {"key": "ctrl+shift+Tab"}]
    assert sent["wait"] == [{"duration": 0.1}]
    # Two requests that were to be refused, and two that made something.
    assert others == [("create_workspace", 201), ("create", 201), ("get", 404), ("get", 401)]
    assert told["id"]


@pytest.mark.parametrize("screenshot", ["path", "absolute"])
async def test_the_vendors_package_reads_the_other_screenshots(screenshot: str) -> None:
    """Stored copies too: with the key from the API itself, without it from elsewhere."""
    dialect = OrgoDialect(screenshot="path" if screenshot == "path" else "absolute", id_field="fly_instance_id")
    async with OrgoSimulator(dialect=dialect) as simulator:
        told = await driven("orgo", simulator.base_url, simulator.key)
        fetched = simulator.asked("storage" if screenshot == "path" else "signed_storage")
    assert told["size"] == [1280, 720]
    assert [request.status for request in fetched] == [200, 200]
