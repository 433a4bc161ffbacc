"""The vendor's own computer server, at work on a real desktop of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2

from deskhand.testing.received import GroundTruth
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.judges.environments import judge

READY = 40.0


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and who tells what arrived on its desktop."""

    base_url: str
    truth: GroundTruth


@asynccontextmanager
async def computer_server(home: Path, *, without: tuple[str, ...] = ()) -> AsyncIterator[Served]:
    """Serve a desktop by the vendor's server, in a home folder of its own.

    Args:
        home: The home folder.
        without: Programs that its commands do not find.
    """
    python = await judge("cua_server")
    async with AsyncExitStack() as stack:
        display = await stack.enter_async_context(_screen())
        path = _programs(home, without) if without else os.environ["PATH"]
        environment = {
            "PATH": path,
            "HOME": str(home),
            "DISPLAY": display,
            "XAUTHORITY": os.devnull,
            "XDG_SESSION_TYPE": "x11",
            "LANG": "C.UTF-8",
            "CUA_TELEMETRY_ENABLED": "false",
        }  # and no CONTAINER_NAME, which would make it ask the vendor's cloud who calls
        port = _free_port()
        command = [str(python), "-m", "computer_server", "--host", "127.0.0.1", "--port", str(port), "--no-restart"]
        log = home / ".server.log"
        with log.open("wb") as into:
            process = await anyio.open_process(
                command, env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=into
            )
        try:
            base_url = f"http://127.0.0.1:{port}"
            await _until_ready(base_url, process, log)
            truth = await stack.enter_async_context(x_ground_truth(display, os.devnull))
            yield Served(base_url, truth)
        finally:
            await _ended(process)


@asynccontextmanager
async def _screen() -> AsyncIterator[str]:
    """Give an X display that asks for no cookie: the vendor's libraries do not find those of every kind."""
    options = ["-displayfd", "1", "-ac", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    server = await anyio.open_process(["Xvfb", *options], stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        with anyio.fail_after(READY):
            number = b""
            while not number.endswith(b"\n"):
                number += await server.stdout.receive()
        yield f":{int(number)}"
    finally:
        await _ended(server)


async def _ended(process: anyio.abc.Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()
        await process.aclose()


def _programs(home: Path, without: tuple[str, ...]) -> str:
    """Make a folder of links to the machine's programs, but for some; return it as a ``PATH``."""
    folder = home / ".programs"
    folder.mkdir()
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            if program.name not in without and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _until_ready(base_url: str, process: anyio.abc.Process, log: Path) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        with anyio.fail_after(READY):
            while True:
                assert process.returncode is None, (await anyio.Path(log).read_text())[-2000:]
                try:
                    if (await client.get(f"{base_url}/status")).status_code == 200:
                        return
                except httpx2.TransportError:
                    await anyio.sleep(0.05)
