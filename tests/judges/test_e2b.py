"""E2B's own packages judge both sides: they drive the simulator, and their generated server serves the adapter."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from deskhand.errors import FileMissingError
from deskhand.providers.e2b import E2BProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import E2BSimulator
from tests.judges.environments import ENVIRONMENT, driven, judge

pytestmark = [pytest.mark.judge, pytest.mark.timeout(600)]

HERE = Path(__file__).parent


@pytest.mark.needs_x
async def test_the_vendors_packages_drive_the_simulator(tmp_path: Path) -> None:
    """Every call that they have does what it says, on a machine and on a desktop."""
    async with E2BSimulator() as simulator:
        told = await driven("e2b", simulator.base_url, simulator.key, HOME=str(tmp_path))
    shell, desktop = told["shell"], told["desktop"]
    assert shell.pop("id").startswith("i")
    assert shell == {
        "run": ["creation\n", "err\n", 0],
        "code": 3,
        "listed": [True],
        "killed": [True, False],
        "fed": "given",
        "read": "written",
        "entries": [["note.txt", "file"]],
        "exists": [True, False],
        "made": [True, False],
        "moved": "written",
        "removed": True,
        "terminal": True,
        "running": [True, False],
        "paused": [True, False],
        "again": "again\n",
        "snapshot": ["simulated-team/judged:default", ["simulated-team/judged:default"], "before"],
        "snapshot ended": [True, True, False],
        "info": [True, {"is": "judged"}, "running"],
        "page": [True],
        "host": True,
        "ended": [True, False],
    }
    assert desktop == {
        "picture": "89504e47",
        "clicked": [300, 200],
        "dragged": [400, 300],
        "stream": True,
        "ended": True,
    }
    assert not simulator.computers
    assert not simulator.errors


@asynccontextmanager
async def the_vendors_server(home: Path) -> AsyncIterator[str]:
    """Serve a daemon made of the vendor's generated server; give its address."""
    python = await judge("e2b")
    (home / "bin").mkdir()
    stub = home / "bin" / "Xvfb"  # what the adapter starts in a sandbox must not be started on this machine
    stub.write_text("#!/bin/sh\nexit 127\n")
    stub.chmod(0o755)
    (home / ".bash_profile").write_text('PATH="$HOME/bin:$PATH"\n')
    server = await anyio.open_process(
        [str(python), str(HERE / "e2b_server.py")],
        env={**ENVIRONMENT, "HOME": str(home)},
        cwd=home,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.stdout is not None
        with anyio.fail_after(30):
            yield f"http://127.0.0.1:{(await server.stdout.receive()).decode().strip()}"
    finally:
        with anyio.CancelScope(shield=True):
            server.terminate()
            await server.wait()
            await server.aclose()


async def test_the_vendors_server_understands_the_adapter(tmp_path: Path) -> None:
    """Commands, their ends, and files, in the words that the vendor's own code reads and writes."""
    async with (
        the_vendors_server(tmp_path) as daemon,
        E2BSimulator(behind=FakeComputer) as simulator,
        E2BProvider(api_key=simulator.key, base_url=simulator.base_url, sandbox_url=daemon) as provider,
    ):
        computer = await provider.create(name="judged")
        assert not [request for request in simulator.requests if request.route == "start"]
        ran = await computer.exec('echo "$GIVEN"; echo err >&2; exit 3', env={"GIVEN": "here"})
        assert (ran.stdout, ran.stderr, ran.exit_code) == ("here\n", "err\n", 3)
        assert (await computer.exec("true")).ok
        assert (await computer.exec("cat; pwd", stdin=b"in\n", cwd="/")).output == "in\n/\n"
        late = await computer.exec(f"(sleep 300; touch {tmp_path}/later) & sleep 300", timeout=0.5)
        assert (late.exit_code, late.error) == (None, "timed out after 0.5 s")
        survivors = await computer.exec("ps -eo args | grep -c '^sleep 30[0]'")
        assert survivors.output.strip() == "0"
        with pytest.raises(FileMissingError):
            await computer.exec("true", cwd="/nowhere")
        async with computer.exec_stream("printf one; printf two >&2") as stream:
            pieces = {(piece.stream, piece.data) async for piece in stream}
        assert (pieces, stream.exit_code) == ({("stdout", b"one"), ("stderr", b"two")}, 0)
        path = f"{tmp_path}/folder/file"
        await computer.write_file(path, bytes(range(256)) * 1000)
        assert await computer.read_bytes(path) == bytes(range(256)) * 1000
        assert [one.path for one in await computer.list_dir(f"{tmp_path}/folder")] == [path]
        assert (await computer.stat(path)).size == 256_000
        await computer.delete(f"{tmp_path}/folder", recursive=True)
        with pytest.raises(FileMissingError):
            await computer.read_bytes(path)
