"""MIOSA's sandboxes under the suite that every computer must pass, over a simulator with real machines behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand.errors import UnsupportedError
from deskhand.providers import Capability
from deskhand.providers.miosa import MiosaProvider
from deskhand.testing.conformance import CASES, WIRE_CASES, Case, Target, Verdict, Wire
from deskhand.testing.simulators import MIOSA_ROUTES, MiosaDialect
from deskhand.tools import computer_tools
from tests.conformance.targets import ALONE, IN_TURN, run_in_turn, verdict_of
from tests.providers.behind import shell_only
from tests.providers.miosa.parts import miosa, simulated

SHELL = frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES, Capability.TERMINAL, Capability.PORTS})
SANDBOX = SHELL | {Capability.EXTEND, Capability.PAUSE, Capability.SNAPSHOT, Capability.CLONE}


@asynccontextmanager
async def a_target(*, without: tuple[str, ...] = (), dialect: MiosaDialect | None = None) -> AsyncIterator[Target]:
    """Create a sandbox."""
    async with miosa(shell_only, without=without, dialect=dialect) as hosted:
        yield Target(await hosted.sandbox("conformance"))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_miosa_sandbox_conforms() -> None:
    """Shell, files and ports are as everywhere, and what needs a screen is refused."""
    async with a_target() as target:
        assert target.computer.capabilities == SANDBOX
        await run_in_turn(target, IN_TURN, frozenset(Capability) - SANDBOX)


@pytest.mark.parametrize("case", ALONE, ids=str)
async def test_miosa_sandbox_ends_as_every_computer_does(case: Case) -> None:
    """A case that ends the sandbox has one for itself."""
    async with a_target() as target:
        assert await case.run(target) is Verdict.VERIFIED


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["text", "bytes"])
async def test_miosa_sandbox_is_the_same_to_an_older_server(terminal: str) -> None:
    """Events without names and a terminal without frames are understood, but for what these cannot tell."""
    dialect = MiosaDialect(events="bare", terminal=terminal)  # type: ignore[arg-type]
    streamed = [case for case in IN_TURN if case.needs & {Capability.EXEC_STREAM, Capability.TERMINAL}]
    untold = {"exec_stream_follows_the_output", "terminal_interrupts_and_ends"}  # which stream, which exit code
    assert untold <= {case.name for case in streamed}
    async with a_target(dialect=dialect) as target:
        await run_in_turn(target, [case for case in streamed if case.name not in untold], ())


LOST: dict[str, frozenset[Capability]] = {
    "sandbox_exec": frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES}),
    "sandbox_exec_stream": frozenset({Capability.EXEC_STREAM}),
    "sandbox_terminal": frozenset({Capability.TERMINAL}),
    "expose_sandbox_port": frozenset({Capability.PORTS}),
    "extend_sandbox": frozenset({Capability.EXTEND}),
    "resume_sandbox": frozenset({Capability.PAUSE}),
    "restore_sandbox": frozenset({Capability.SNAPSHOT}),
    "fork_sandbox": frozenset({Capability.CLONE}),
}
"""What a sandbox cannot do any more when a route is removed; whatever is not here has another way, or is not used."""
NEEDED = {"create_sandbox", "delete_sandbox", "get_sandbox"}
"""Without these there is no sandbox, or no end of one."""
OF_SANDBOXES = sorted({route for route in MIOSA_ROUTES if "sandbox" in route} - NEEDED)


@pytest.mark.parametrize("route", OF_SANDBOXES)
async def test_miosa_sandbox_without_a_route_says_so(route: str) -> None:
    """A route that is removed takes its capabilities and their tools along, and nothing else."""
    gone = LOST.get(route, frozenset())
    async with a_target(without=(route,)) as target:
        computer = target.computer
        assert computer.capabilities == SANDBOX - gone
        told = next(case for case in CASES if case.name == "capabilities_are_told_truly")
        offered = next(case for case in CASES if case.name == "tools_are_those_it_can_back")
        assert await offered.run(target) is Verdict.VERIFIED
        assert await told.run(target) is Verdict.VERIFIED
        for capability in gone:
            with pytest.raises(UnsupportedError):
                computer.require(capability)
    assert not {"screenshot", "left_click"} & {tool.name for tool in computer_tools(computer)}


@pytest.mark.parametrize("routes", [("pause_sandbox", "stop_sandbox"), ("take_sandbox_snapshot", "save_sandbox")])
async def test_miosa_sandbox_with_neither_of_two_ways_says_so(routes: tuple[str, str]) -> None:
    """One of the two ways is enough; without both the capability is gone, at the latest when it is tried."""
    async with a_target(without=(*routes, "list_sandbox_snapshots")) as target:
        lost = Capability.PAUSE if "pause_sandbox" in routes else Capability.SNAPSHOT
        assert lost not in target.computer.capabilities
        assert target.computer.capabilities == SANDBOX - {lost}


@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_miosa_sandbox_tells_what_fails(case: Case) -> None:
    """Whatever the vendor or the way to it does wrong is told, in time, and nothing is done twice."""
    async with (
        simulated(shell_only) as simulator,
        Wire(simulator.base_url) as wire,
        MiosaProvider(api_key=simulator.key, base_url=wire.base_url, kind="sandbox") as provider,
    ):
        computer = await provider.create(name="conformance")
        lacking = case.needs - computer.capabilities
        assert await case.run(Target(computer, wire=wire)) is verdict_of(case, lacking)
