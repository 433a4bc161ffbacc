"""The simulated Orgo with what is behind it where nothing else is said: a real desktop."""

from __future__ import annotations

import base64
import io

import anyio
import httpx2
import pytest
from PIL import Image

from deskhand.testing.simulators import OrgoSimulator
from tests.testing.orgo_parts import Client

pytestmark = [pytest.mark.needs_x, pytest.mark.slow]


async def test_a_click_through_the_api_moves_a_real_pointer() -> None:
    """The desktop itself tells where its pointer is, what was typed into it and how large it is."""
    async with OrgoSimulator() as simulator, httpx2.AsyncClient(timeout=30, trust_env=False) as http:
        client = Client(simulator, http)
        computer_id = await client.create(resolution="1024x768x24")
        path = f"computers/{computer_id}"
        machine = simulator.computers[computer_id].machine
        assert machine is not None
        assert (await client.post(f"{path}/click", {"x": 300, "y": 200})).status_code == 200
        assert await machine.cursor_position() == (300, 200)
        await client.post(f"{path}/move", {"x": 5000, "y": -3})
        assert await machine.cursor_position() == (1023, 0)
        answer = (await client.get(f"{path}/screenshot", response_format="base64")).json()
        assert Image.open(io.BytesIO(base64.b64decode(answer["image"]))).size == (1024, 768)


async def test_commands_and_python_run_on_the_desktop() -> None:
    """Output comes merged in its order; what Python raised is told with its type; a late one says so."""
    async with OrgoSimulator() as simulator, httpx2.AsyncClient(timeout=30, trust_env=False) as http:
        client = Client(simulator, http)
        path = f"computers/{await client.create()}"
        mixed = await client.post(f"{path}/bash", {"command": "echo 1; echo 2 >&2; echo 3; exit 7"})
        assert (mixed.json()["output"], mixed.json()["exit_code"]) == ("1\n2\n3\n", 7)
        large = await client.post(f"{path}/bash", {"command": "head -c 300000 /dev/zero | tr '\\0' x"})
        assert len(large.json()["output"]) == 300_000
        good = (await client.post(f"{path}/exec", {"code": "import os\nos.system('echo below')\nprint(6 * 7)"})).json()
        assert (good["success"], good["output"], good["timeout"]) == (True, "below\n42\n", False)
        raised = (await client.post(f"{path}/exec", {"code": "print(1)\n1/0"})).json()
        assert (raised["success"], raised["output"], raised["error_type"]) == (False, "", "ZeroDivisionError")
        late = (await client.post(f"{path}/exec", {"code": "import time; time.sleep(60)", "timeout": 1})).json()
        assert (late["success"], late["timeout"]) == (False, True)


async def test_a_stopped_desktop_comes_back_with_its_files() -> None:
    """The disk is kept, also by a clone; the processes are not."""
    async with OrgoSimulator() as simulator, httpx2.AsyncClient(timeout=30, trust_env=False) as http:
        client = Client(simulator, http)
        computer_id = await client.create()
        path = f"computers/{computer_id}"
        command = "mkdir -p d; printf '\\001x' > d/f; chmod 750 d/f; sleep 600 >/dev/null 2>&1 &"
        await client.post(f"{path}/bash", {"command": command})
        twin = (await client.post(f"{path}/clone")).json()["id"]
        await client.post(f"{path}/stop")
        with anyio.fail_after(20):
            while (await client.get(path)).json()["status"] != "stopped":
                pass
        assert (await client.post(f"{path}/ensure-running")).json()["status"] == "running"
        for box in (path, f"computers/{twin}"):
            found = await client.post(f"{box}/bash", {"command": "stat -c '%a %s' d/f; pgrep -x sleep"})
            assert (found.json()["output"], found.json()["exit_code"]) == ("750 2\n", 1)
        await client.ask("DELETE", path)
        await client.ask("DELETE", f"computers/{twin}")
    assert not simulator.computers
    assert not simulator.errors
