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
    DaytonaPlan,
    DaytonaSimulator,
    E2BPlan,
    E2BSimulator,
    OrgoPlan,
    OrgoSimulator,
    Simulator,
)

MANY = 200
ROOM = 64 + 16
"""Connections that a provider may have at most."""

SIMULATORS: dict[str, Callable[[], Simulator]] = {
    "orgo": partial(OrgoSimulator, behind=FakeComputer, plan=OrgoPlan(computers=MANY)),
    "e2b": partial(E2BSimulator, behind=FakeComputer, plan=E2BPlan(sandboxes=MANY)),
    "daytona": partial(
        DaytonaSimulator, behind=FakeComputer, plan=DaytonaPlan(sandboxes=MANY, cpu=MANY, memory=4 * MANY)
    ),
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
        assert vendor.connections <= ROOM
    assert not vendor.computers


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATORS)
async def test_requests_one_after_the_other_use_one_connection(name: str) -> None:
    """Nothing is opened anew for each."""
    async with SIMULATORS[name]() as vendor, provider(name, **vendor.options()) as entered:
        computer = await entered.create(name="box")
        before = vendor.connections
        for _ in range(20):
            await computer.refresh()
        assert vendor.connections <= before + 1
