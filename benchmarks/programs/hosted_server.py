"""A simulated vendor with one computer, a local desktop full of text; it prints what leads there, and ends with input.

``python hosted_server.py '{"vendor": "orgo"}'``
"""

from __future__ import annotations

import asyncio
import json
import sys

import anyio
from measuring import arguments

from deskhand.providers import ExternalComputer, provider
from deskhand.testing.simulators import (
    CuaSimulator,
    DaytonaSimulator,
    E2BSimulator,
    MiosaSimulator,
    OpenComputersSimulator,
    OrgoSimulator,
    Simulator,
)

_SIMULATORS: dict[str, type[Simulator]] = {
    "orgo": OrgoSimulator,
    "miosa": MiosaSimulator,
    "opencomputers": OpenComputersSimulator,
    "e2b": E2BSimulator,
    "daytona": DaytonaSimulator,
    "cua": CuaSimulator,
}
_LASTS = 1800.0
_TEXT = "xterm -geometry 100x30+100+100 -e 'seq -s \" \" 1 3000; sleep 3600'"
_FULL = 40_000
"""Bytes of a picture of which it is known that the text is in it."""


async def _created(simulator: Simulator) -> str:
    """Return the id of a new computer that is up, which nobody destroys before the simulator ends."""
    async with provider(simulator.vendor, **simulator.options()) as entered:
        if isinstance(simulator, OpenComputersSimulator):
            return (await simulator.add_host("benchmark")).id
        computer = await entered.create(name="benchmark")
        computer.keep()
        return computer.info.id


async def _until_full(computer: ExternalComputer) -> None:
    with anyio.fail_after(30):
        while len(await computer.screenshot()) < _FULL:  # noqa: ASYNC110 (nobody tells when a program has drawn)
            await anyio.sleep(0.1)


async def main() -> None:
    """Serve until standard input ends."""
    async with _SIMULATORS[arguments()["vendor"]](keep_requests=10) as simulator:
        computer_id = await _created(simulator)
        async with provider(simulator.vendor, **simulator.options()) as entered, anyio.create_task_group() as tasks:
            computer = await entered.get(computer_id)
            tasks.start_soon(lambda: computer.exec(_TEXT, timeout=_LASTS))
            await _until_full(computer)
            where = {"options": dict(simulator.options()), "computer_id": computer_id}
            sys.stdout.write(json.dumps(where) + "\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    asyncio.run(main())
