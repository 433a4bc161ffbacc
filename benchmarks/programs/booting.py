"""Boot local computers until their first frame: one after the other, from the pool, many at once."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import anyio
from bare_x import BareX
from measuring import arguments, report

from deskhand.providers.local import LocalProvider

_FILLS = 3.0  # seconds in which one more computer of a pool has booted, and the machine is quiet again


async def _first_frame(provider: LocalProvider) -> float:
    began = time.perf_counter()
    computer = await provider.create(name="bench")
    await computer.screenshot()
    took = time.perf_counter() - began
    await computer.destroy()
    return took


async def _cold(times: int) -> float:
    async with LocalProvider() as provider:
        await _first_frame(provider)
        return statistics.median([await _first_frame(provider) for _ in range(times)])


async def _pooled(times: int) -> float:
    took = []
    async with LocalProvider(pool=1) as provider:
        for _ in range(times):
            await anyio.sleep(_FILLS)
            took.append(await _first_frame(provider))
    return statistics.median(took)


def _bare() -> float:
    """Start an X server and a window manager with nothing around them, until a frame is there."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        reader, writer = os.pipe()
        command = ["Xvnc", "-displayfd", str(writer), "-geometry", "1280x800", "-depth", "24", "-rfbport", "-1"]
        command += ["-rfbunixpath", str(Path(folder) / "vnc"), "-SecurityTypes", "None", "-nolisten", "tcp", "-noreset"]
        null = subprocess.DEVNULL
        server = subprocess.Popen(command, pass_fds=(writer,), stdout=null, stderr=null)
        os.close(writer)
        with os.fdopen(reader) as said:
            number = said.readline().strip()
        os.environ["DISPLAY"] = f":{number}"
        os.environ.pop("XAUTHORITY", None)
        manager = subprocess.Popen(["openbox"], stdout=null, stderr=null)
        bare = BareX(1280, 800)
        while not bare.has_window_manager():
            time.sleep(0.002)
        bare.screenshot()
        took = time.perf_counter() - began
        for process in (manager, server):
            process.terminate()
            process.wait()
    return took


def _descendants() -> list[int]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children[parent].append(int(entry.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        mine = children[waiting.pop()]
        found += mine
        waiting += mine
    return found


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


async def _many(count: int) -> dict[str, float]:
    async with LocalProvider() as provider:
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:

            async def boot() -> None:
                computer = await provider.create(name="bench")
                await computer.screenshot()

            for _ in range(count):
                tasks.start_soon(boot)
        seconds = time.perf_counter() - began
        memory = sum(map(_proportional, _descendants()))
    return {"seconds": seconds / count, "memory": memory / count}


async def main() -> None:
    """Measure one mode."""
    given = arguments()
    match given["mode"]:
        case "cold":
            _bare()
            floor = statistics.median([_bare() for _ in range(given["times"])])
            report(seconds=await _cold(given["times"]), floor=floor)
        case "pool":
            report(seconds=await _pooled(given["times"]))
        case "many":
            report(**await _many(given["times"]))


if __name__ == "__main__":
    asyncio.run(main())
