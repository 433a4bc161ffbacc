"""MIOSA's own package drives the simulated MIOSA: what its users see, what arrives, what happens on the desktop."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.testing.models import FakeTurn, tool_use
from deskhand.testing.simulators import MiosaSimulator
from tests.judges.environments import driven

pytestmark = [pytest.mark.judge, pytest.mark.needs_x, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).with_name("miosa_program.py")


async def test_the_vendors_package_does_all_that_it_can() -> None:
    """Every call that is known to work against the vendor works against the simulator, on a real desktop."""
    model = [FakeTurn([tool_use("weather", city="Bonn")]), FakeTurn("Take an umbrella.")]
    async with MiosaSimulator(model=model) as simulator:
        told = await driven("miosa", simulator.origin, simulator.key, simulator.models_key)
        assert told.pop("created") == "provisioning"
        asked = simulator.asked("create")[0].body
        assert isinstance(asked, dict)
        assert asked["external_workspace_id"] == "theirs"
        assert told.pop("id")
        assert told.pop("agent")[0] == "completed"
        assert told.pop("balance") == 997  # (the agent cost one, and two answers of a model)
        assert told.pop("sandboxes") == SANDBOXES
        assert told == {
            "page": "https://",
            "listed": [["box", "w1"]],
            "unlisted": 0,
            "bash": ["out\n", "err\n", 2, False],
            "python": "42\n",
            "size": [1280, 720],
            "screenshot": "PNG",
            "region": "PNG",
            "cursor": [300, 200],
            "act": [True] * 6,
            "file": [0, 255],
            "stat": 2,
            "folder": ["one"],
            "port": 8123,
            "auto stop": 600,
            "spawned": {"terminal": True, "terminal code": 3, "pipe": "through a pipe", "pipe code": 0},
            "snapshot": ["creating", "ready"],
            "restored": True,
            "clone": "twin",
            "models": {
                "called": ["tool_calls", "weather", {"city": "Bonn"}],
                "unanswered": "ValidationError",
                "said": "Take an umbrella.",
                "counted": True,
                "listed": "glm-5.2:cloud",
                "unknown": "NotFoundError",
                "computers": "ScopeNotAllowedError",
            },
            "models by another key": "ScopeNotAllowedError",
            "missing": "NotFoundError",
            "wrong key": "AuthenticationError",
            "destroy": True,
            "left": 0,
        }
        assert [*simulator.errors] == []
    assert not simulator.computers
    assert not simulator.sandboxes


SANDBOXES = {
    "first state": "creating",
    "ready": True,
    "polled": True,
    "again": True,
    "state": ["running", 2, 4096, "u1"],
    "exec": ["c\n/usr\n", "err\n", 2],
    "stream": [["stdout", {"line": "one"}], ["stderr", {"line": "two"}], ["exit", {"exit_code": 4}]],
    "file": [0, 255, 13, 10],
    "stat": 4,
    "listed file": True,
    "url": "/a",
    "terminal": {"size": True, "last": {"type": "exit", "code": 3}},
    "extended": 900,
    "snapshot": True,
    "restored": [True, True],
    "fork": ["twin", True],
    "names": ["box", "box (restored)", "twin"],
    "by name": True,
    "paused": "pausing",
    "checkpoint": True,
    "paused exec": "MiosaError",
    "resumed": True,
    "missing": "NotFoundError",
    "left": 0,
}
"""What the package makes of a sandbox."""
