"""Many computers of one provider object: no thread each, few connections, and those used again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import anyio
import pytest

from deskhand.providers import ExternalComputer, provider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import (
    CuaSimulator,
    DaytonaPlan,
    DaytonaSimulator,
    E2BPlan,
    E2BSimulator,
    MiosaPlan,
    MiosaSimulator,
    OpenComputersSimulator,
    OrgoPlan,
    OrgoSimulator,
    Simulator,
)

MANY = 200
ROOM = {"opencomputers": 64 + 64 + 16, "e2b": 64 + 16 + 64 + 64 + 16, "cua": 64 + 16 + 2 * MANY}
"""Connections that a provider may have at most, where that is more than for requests alone: those for answers that are
followed come on top, as does the address of E2B's daemons. Each machine of Cua is a server of its own, with two."""

CONNECTIONS = {"cua": 2}
"""Connections that operations one after the other take, where that is more than one: a picture and the pointer's place
are asked for at once."""

SIMULATORS: dict[str, Callable[[], Simulator]] = {
    "orgo": partial(OrgoSimulator, behind=FakeComputer, plan=OrgoPlan(computers=MANY)),
    "miosa": partial(MiosaSimulator, behind=FakeComputer, plan=MiosaPlan(computers=MANY)),
    "opencomputers": partial(OpenComputersSimulator, behind=FakeComputer, most_hosts=MANY),
    "e2b": partial(E2BSimulator, behind=FakeComputer, plan=E2BPlan(sandboxes=MANY)),
    "daytona": partial(
        DaytonaSimulator, behind=FakeComputer, plan=DaytonaPlan(sandboxes=MANY, cpu=MANY, memory=4 * MANY)
    ),
    "cua": partial(CuaSimulator, behind=FakeComputer, machines=MANY),
}


VENDORS: dict[str, type[Simulator]] = {
    simulator.vendor: simulator
    for simulator in (
        *(OrgoSimulator, MiosaSimulator, OpenComputersSimulator),
        *(E2BSimulator, DaytonaSimulator, CuaSimulator),
    )
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATORS)
async def test_two_hundred_computers_take_no_thread_and_no_connection_each(name: str) -> None:
    """All of them are made at once and asked at once."""
    async with SIMULATORS[name]() as vendor, provider(name, **vendor.options()) as entered:
        computers: list[ExternalComputer] = []

        async def make(number: int) -> None:
            computers.append(await entered.create(name=f"box-{number}"))

        before = threading.active_count()
        async with anyio.create_task_group() as tasks:
            for number in range(MANY):
                tasks.start_soon(make, number)
        async with anyio.create_task_group() as tasks:
            for computer in computers:
                tasks.start_soon(computer.refresh)
        assert len(vendor.computers) == MANY
        assert threading.active_count() <= before + 40  # the loop's own workers, however many computers there are
        assert vendor.connections <= ROOM.get(name, 64 + 16)
    assert not vendor.computers


@pytest.mark.needs_x
@pytest.mark.parametrize("name", VENDORS)
async def test_one_operation_after_the_other_uses_one_connection(name: str) -> None:
    """Nothing is opened anew for each, whichever way the vendor answers: also not where a command is followed."""
    async with VENDORS[name]() as vendor, provider(name, **vendor.options()) as entered:
        computer = await entered.create(name="box")
        before = vendor.connections_made
        for _ in range(5):
            await computer.refresh()
            assert (await computer.exec("echo done")).ok
            await computer.write_file("/tmp/notes.txt", "done")
            assert await computer.read_file("/tmp/notes.txt") == "done"
            await computer.screenshot()
            await computer.left_click(5, 5)
        assert vendor.connections_made <= before + CONNECTIONS.get(name, 1)
