"""``deskhand simulate``: it serves until it is stopped, and leaves nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import anyio
import httpx2
import pytest

from deskhand.cli.exits import Exit
from tests.cli.program import Program

pytestmark = pytest.mark.slow


async def test_simulated_service_is_there_until_ctrl_c(tmp_path: Path) -> None:
    """The printed variables reach it; Ctrl-C ends it and its computers, and what was left behind is told."""
    async with Program(tmp_path).start("simulate", "orgo", "--fake-desktop") as running:
        lines = running.lines()
        with anyio.fail_after(30):
            said = [await anext(lines, "") for _ in range(2)]
        variables = dict(line.removeprefix("export ").split("=", 1) for line in said)
        assert set(variables) == {"ORGO_API_BASE", "ORGO_API_KEY"}
        headers = {"authorization": f"Bearer {variables['ORGO_API_KEY']}"}
        base = variables["ORGO_API_BASE"] + "/"
        async with httpx2.AsyncClient(base_url=base, headers=headers, trust_env=False) as http:
            workspace = (await http.post("workspaces", json={"name": "mine"})).json()["id"]
            made = await http.post("computers", json={"workspace_id": workspace, "name": "box"})
            assert made.status_code == 201
        running.signal(signal.SIGINT)
        ended = await running.end()
        assert (ended.code, ended.out) == (Exit.INTERRUPTED, "")
        assert ended.err == "serving until Ctrl-C\n1 computer was left behind, and ended with it\n"
        assert running.members() == []


async def test_simulated_service_tells_programs_its_variables(tmp_path: Path) -> None:
    """With ``--json`` it is one line; a port that is taken is an error with a hint."""
    program = Program(tmp_path)
    async with program.start("simulate", "orgo", "--fake-desktop", "--json") as running:
        with anyio.fail_after(30):
            told = json.loads(await anext(running.lines(), ""))
        assert (told["type"], told["vendor"]) == ("simulator", "orgo")
        port = told["environment"]["ORGO_API_BASE"].rsplit(":", 1)[1].partition("/")[0]
        taken = await program.run("simulate", "orgo", "--port", port)
        assert taken.code == Exit.CONFIGURATION
        assert f"port {port} cannot be had" in taken.err
        running.signal(signal.SIGTERM)
        assert (await running.end()).code == Exit.TERMINATED


async def test_simulated_service_needs_a_vendor_that_there_is(tmp_path: Path) -> None:
    """Another name is a usage error that names those that there are."""
    ended = await Program(tmp_path).run("simulate", "acme")
    assert ended.code == Exit.USAGE
    assert "orgo" in ended.err
