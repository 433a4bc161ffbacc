"""A run whose computer fails it: each failure is told truly, what acts is done once at most, and the run goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest
from pydantic import JsonValue

from deskhand import open_run
from deskhand.providers import ExternalComputer
from deskhand.providers.e2b import E2BProvider
from deskhand.testing.simulators import (
    CuaSimulator,
    DaytonaSimulator,
    E2BSimulator,
    MiosaSimulator,
    OpenComputersSimulator,
)
from tests.providers.vendors import ACTS, VENDORS, Vendor

TOOLS: Mapping[str, tuple[str, Mapping[str, JsonValue], str]] = {
    "miosa": ("left_click", {"x": 3, "y": 4}, "miosa: click"),
    "opencomputers": ("exec", {"command": "echo marked"}, "opencomputers: exec"),
    "cua": ("left_click", {"x": 3, "y": 4}, "cua: click"),
    "daytona": ("left_click", {"x": 3, "y": 4}, "daytona: click"),
    "e2b": ("exec", {"command": "echo marked"}, "e2b: exec"),
}
"""What acts at each vendor, as a tool, and what that is without a run."""

FAULTS: Mapping[str, tuple[Callable[[Vendor, str], None], str, str]] = {
    "refused": (lambda simulator, route: simulator.fail(409, route=route), "conflict", "no"),
    "too many": (lambda simulator, route: simulator.fail(429, route=route), "rate_limited", "no"),
    "key": (lambda simulator, route: simulator.fail(401, route=route), "auth", "no"),
    "failed": (lambda simulator, route: simulator.fail(500, route=route, after_effect=True), "provider", "unknown"),
    "gateway": (lambda simulator, route: simulator.fail(504, route=route), "outcome_unknown", "unknown"),
    "lost": (lambda simulator, route: simulator.drop(route=route, after_effect=True), "outcome_unknown", "unknown"),
    "a page": (lambda simulator, route: simulator.respond(route=route), "protocol", "unknown"),
}


@pytest.mark.parametrize("vendor", TOOLS)
async def test_run_tells_what_its_computer_failed_at_and_goes_on(vendor: str) -> None:
    """The observation of each failure is none of success, and says what is known of the effect."""
    tool, arguments, name = TOOLS[vendor]
    act = ACTS[name]
    async with VENDORS[vendor]() as served, open_run(served.computer, goal="Go.") as run:
        for fault, (arrange, code, effect) in FAULTS.items():
            before = len(act.sent(served.simulator))
            arrange(served.simulator, act.route)
            seen = await run.act(tool, check=False, **arguments)
            assert (seen.ok, seen.effect) == (False, effect), fault
            assert seen.error is not None, fault
            assert seen.error.code == code, fault
            assert len(act.sent(served.simulator)) == before + 1, fault
            assert (await run.act(tool, check=False, **arguments)).ok, fault
    assert (await run.result()).outcome == "completed"


async def idle(simulator: Vendor, computer: ExternalComputer) -> None:
    """Let the idle time be over after which a computer of MIOSA's stops by itself."""
    assert isinstance(simulator, MiosaSimulator)
    await simulator.pass_time(100_000)
    assert simulator.computers[computer.info.id].status == "stopped"


async def disconnect(simulator: Vendor, computer: ExternalComputer) -> None:
    """Let the agent of a host go away."""
    assert isinstance(simulator, OpenComputersSimulator)
    await simulator.disconnect(computer.info.id)


async def connect(simulator: Vendor, computer: ExternalComputer) -> None:
    """Let the agent of a host come back."""
    assert isinstance(simulator, OpenComputersSimulator)
    await simulator.connect(computer.info.id)


async def switch_off(simulator: Vendor, computer: ExternalComputer) -> None:
    """Stop a machine of Cua's as somebody else would."""
    assert isinstance(simulator, CuaSimulator)
    await simulator.stop_machine(computer.info.id)


async def start(simulator: Vendor, computer: ExternalComputer) -> None:
    """Start it again."""
    del simulator
    await computer.start()


async def fall_idle(simulator: Vendor, computer: ExternalComputer) -> None:
    """Let the idle time be over after which a sandbox of Daytona's stops by itself."""
    assert isinstance(simulator, DaytonaSimulator)
    await simulator.pass_time(61)
    assert simulator.computers[computer.info.id].state == "stopped"


async def pause(simulator: Vendor, computer: ExternalComputer) -> None:
    """Pause a sandbox of E2B's as somebody else would."""
    assert isinstance(simulator, E2BSimulator)
    async with E2BProvider(**simulator.options()) as other:  # type: ignore[arg-type]
        await (await other.get(computer.info.id)).stop()


Change = Callable[[Vendor, ExternalComputer], Awaitable[None]]
STOPS: Mapping[str, tuple[Change, Change, str, str]] = {
    "miosa": (idle, start, "conflict", "no"),
    "opencomputers": (disconnect, connect, "conflict", "no"),
    "cua": (switch_off, start, "outcome_unknown", "unknown"),  # a gateway answers for a machine that is off
    "daytona": (fall_idle, start, "conflict", "no"),
    "e2b": (pause, start, "conflict", "no"),
}


@pytest.mark.parametrize("vendor", STOPS)
async def test_computer_that_stops_in_the_middle_of_a_run_is_told(vendor: str) -> None:
    """What is asked of it meanwhile is an error, after one request; once it is back, the run goes on with it."""
    tool, arguments, name = TOOLS[vendor]
    stop, bring_back, code, effect = STOPS[vendor]
    async with VENDORS[vendor]() as served, open_run(served.computer, goal="Go.") as run:
        assert (await run.act(tool, check=False, **arguments)).ok
        before = len(ACTS[name].sent(served.simulator))
        await stop(served.simulator, served.computer)
        seen = await run.act(tool, check=False, **arguments)
        assert seen.error is not None
        assert (seen.error.code, seen.effect) == (code, effect)
        assert len(ACTS[name].sent(served.simulator)) == before + 1
        await bring_back(served.simulator, served.computer)
        assert (await run.act(tool, check=False, **arguments)).ok
