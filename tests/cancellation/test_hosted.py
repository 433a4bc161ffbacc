"""Hosted computers cancelled at every suspension of whoever uses them: none is left, nothing runs on or is held."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import pytest

from deskhand.providers import Capability, ComputeProvider, ExternalComputer
from deskhand.providers.cua import CuaProvider
from deskhand.providers.daytona import DaytonaProvider
from deskhand.providers.e2b import E2BProvider
from deskhand.providers.miosa import MiosaProvider
from deskhand.providers.opencomputers import OpenComputersProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import (
    CuaSimulator,
    DaytonaSimulator,
    E2BSimulator,
    MiosaSimulator,
    OpenComputersSimulator,
    made_up_machine,
)
from tests.cancellation.injector import Mode, inject
from tests.cancellation.lives import Lives
from tests.providers.behind import Behind, shell_only

pytestmark = pytest.mark.slow

LONG = str(40_000 + os.getpid() % 20_000)
"""Seconds of a command that nobody waits for, by which its process is known."""
CLEAN_UP = 10.0
INPUT = f"input of {LONG}".encode()
OLD, NEW = b"old", b"new" * 30_000


class MiosaSandboxes(MiosaSimulator):
    """MIOSA seen by those who use its sandboxes."""

    def options(self) -> Mapping[str, object]:
        """Return the options that make sandboxes."""
        return {**super().options(), "kind": "sandbox"}

    @property
    def computers(self) -> Mapping[str, Any]:
        """The sandboxes that exist."""
        return self.sandboxes


Vendor = DaytonaSimulator | E2BSimulator | MiosaSimulator | OpenComputersSimulator | CuaSimulator
VENDORS: Mapping[str, Callable[[Behind], AbstractAsyncContextManager[Vendor]]] = {
    "e2b": lambda behind: E2BSimulator(behind=behind),
    "daytona": lambda behind: DaytonaSimulator(behind=behind),
    "miosa": lambda behind: MiosaSimulator(behind=behind),
    "miosa sandbox": lambda behind: MiosaSandboxes(behind=behind),
    "opencomputers": lambda behind: OpenComputersSimulator(behind=behind),
    "cua": lambda behind: CuaSimulator(behind=behind),
}
PROVIDERS: Mapping[type[Vendor], type[ComputeProvider]] = {
    E2BSimulator: E2BProvider,
    DaytonaSimulator: DaytonaProvider,
    MiosaSimulator: MiosaProvider,
    MiosaSandboxes: MiosaProvider,
    OpenComputersSimulator: OpenComputersProvider,
    CuaSimulator: CuaProvider,
}


def provider_of(simulator: Vendor) -> ComputeProvider:
    """Return the provider that talks to a simulator."""
    return PROVIDERS[type(simulator)](**simulator.options())


def machine_of(simulator: Vendor, computer_id: str) -> ExternalComputer:
    """Return the machine behind a computer that is up."""
    if isinstance(simulator, CuaSimulator):
        machine = simulator.machines[computer_id].hardware.machine
    else:
        machine = simulator.computers[computer_id].machine
    assert machine is not None
    return machine


async def life(simulator: Vendor) -> None:
    """A computer, a command, a copy where there are any, an end, and leaving the copy to the provider."""
    async with provider_of(simulator) as provider:
        first = await provider.create(name="first")
        await (first.exec("echo done") if not isinstance(simulator, CuaSimulator) else first.left_click(1, 1))
        if Capability.CLONE in first.capabilities:
            await first.clone("twin")
        await first.destroy()


@pytest.mark.parametrize("mode", ["scope", "native"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_sandbox_cancelled_once_leaves_none(vendor: str, mode: Mode) -> None:
    """At every suspension of the one who creates, copies and ends it."""
    async with VENDORS[vendor](FakeComputer) as simulator:
        assert await Lives(simulator, partial(life, simulator)).cancelled_once(mode) > 10


@pytest.mark.parametrize("vendor", VENDORS)
async def test_sandbox_cancelled_twice_leaves_none(vendor: str) -> None:
    """At pairs of suspensions, drawn by a seed, the second often in the clean-up."""
    async with VENDORS[vendor](FakeComputer) as simulator:
        await Lives(simulator, partial(life, simulator)).cancelled_twice("native")


def running() -> list[str]:
    """Return the processes that a command of these tests has started and that still run."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if place.read_bytes().split(b"\0")[:2] == [b"sleep", LONG.encode()]:
                found.append(place.parent.name)
    return found


async def nothing_left(machine: ExternalComputer, place: str) -> None:
    """Wait until nothing is left; what cleans up goes on for a moment after whoever was cancelled in the middle of it.

    Raises:
        AssertionError: If that takes too long.
    """
    files = ""
    with anyio.move_on_after(CLEAN_UP):
        while True:
            files = (await machine.exec("ls -A /tmp folder | grep '^.deskhand'")).output
            if not (files or running()):
                return
            await anyio.sleep(0.01)
    raise AssertionError(f"{place} left processes {running()} and files {files!r}")


async def command(computer: ExternalComputer) -> None:
    """Run a command with an input, which takes too long."""
    await computer.exec(f"sleep {LONG} & sleep {LONG}", timeout=0.2, stdin=INPUT)


async def follow(computer: ExternalComputer) -> None:
    """Follow a command and leave it in the middle."""
    async with computer.exec_stream(f"echo begun; sleep {LONG}") as stream:
        async for _ in stream:
            break


async def terminal(computer: ExternalComputer) -> None:
    """Let a program run in a terminal and leave it."""
    async with computer.terminal() as shell:
        await shell.send(f"sleep {LONG} & echo be''gun\r".encode())
        seen = b""
        async for data in shell:
            seen += data
            if b"begun" in seen:
                break


async def write(computer: ExternalComputer) -> None:
    """Write a large file in the place of another."""
    await computer.write_file("folder/file", NEW)


async def read(computer: ExternalComputer) -> None:
    """Read a large file."""
    assert await computer.read_bytes("folder/large") == NEW


USES: Mapping[str, Callable[[ExternalComputer], Awaitable[None]]] = {
    "command": command,
    "follow": follow,
    "terminal": terminal,
    "write": write,
    "read": read,
}


BEHIND: Mapping[str, Behind] = {"cua": made_up_machine}
"""What is behind a computer where that is no shell alone: Cua's have a screen in any case."""
LACKING = {("opencomputers", "terminal"), ("cua", "follow"), ("cua", "terminal")}
"""What a vendor has no way for."""


@pytest.mark.parametrize("mode", ["scope", "native"])
@pytest.mark.parametrize(("vendor", "use"), [pair for pair in product(VENDORS, USES) if pair not in LACKING])
async def test_sandbox_in_use_is_left_as_it_was(vendor: str, use: str, mode: Mode) -> None:
    """At every suspension: no process runs on, no input lies about, and a file is the old one or the new one, whole."""
    behind = BEHIND.get(vendor, shell_only)
    async with VENDORS[vendor](behind) as simulator, provider_of(simulator) as provider:
        computer = await provider.create(name="box")
        machine = machine_of(simulator, computer.info.id)
        await machine.write_file("folder/file", OLD)
        await machine.write_file("folder/large", NEW)

        async def try_at(n: int) -> int:
            schedule = await inject(lambda: USES[use](computer), frozenset({n}), mode)  # type: ignore[arg-type, return-value]
            place = f"{mode} cancel at {n}: {schedule.where}"
            await nothing_left(machine, place)
            assert [*simulator.errors] == [], place
            if use == "write":
                assert await machine.read_bytes("folder/file") in {OLD, NEW}, place
            return schedule.seen

        total = await try_at(0)
        assert total > 3
        for n in range(1, total + 1):
            await try_at(n)
