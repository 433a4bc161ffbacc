"""A desktop composed through ``exec`` alone under the suite that every computer must pass, judged by an X client."""

from __future__ import annotations

import shutil

import pytest

from deskhand.providers import INPUT, Capability
from deskhand.testing.conformance import Case, Target, keyboard, life, pointer, screen
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.conformance.targets import ALONE, run_in_turn
from tests.providers.shell_machines import FilesMachine, ShellMachine, a_bare_machine, a_machine

DESKTOP = INPUT | {Capability.EXEC, Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}
SLOW = {"type_many_different_characters", "type_five_hundred_characters"}
"""What takes many seconds at the pace of keys that are bound for a stroke; the plain shell does it."""
BARE: dict[str, list[Case]] = {"screen": screen.CASES, "pointer": pointer.CASES, "keyboard": keyboard.CASES}
MANAGED: dict[str, tuple[type[ShellMachine], list[Case]]] = {
    "screen through files": (FilesMachine, screen.CASES),
    "pointer": (ShellMachine, pointer.CASES),
    "keyboard": (ShellMachine, [case for case in keyboard.CASES if case.name not in SLOW]),
    "life": (ShellMachine, [case for case in life.CASES if not case.ends_computer]),
}
pytestmark = [pytest.mark.needs_x, pytest.mark.slow]
with_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")


async def check(cases: list[Case], target: Target) -> None:
    """Run cases one after the other; what is about something that a shell does not give must be said to be missing."""
    capabilities = target.computer.capabilities
    assert capabilities >= DESKTOP
    await run_in_turn(target, cases, frozenset(Capability) - capabilities)


@with_xvfb
@pytest.mark.parametrize("group", BARE)
async def test_desktop_through_a_plain_shell_conforms(group: str) -> None:
    """Beside an X server and nothing else, its screen is seen, and every kind of input arrives as asked for."""
    async with a_bare_machine() as (machine, display), x_ground_truth(display) as truth:
        await check(BARE[group], Target(machine, truth))


@pytest.mark.parametrize("group", MANAGED)
async def test_desktop_through_a_shell_conforms(group: str) -> None:
    """On a desktop with a window manager and applications likewise."""
    kind, cases = MANAGED[group]
    async with a_machine(kind) as (machine, behind):
        assert behind.x_access is not None
        async with x_ground_truth(*behind.x_access) as truth:
            await check(cases, Target(machine, truth))


@pytest.mark.parametrize("case", ALONE, ids=str)
async def test_desktop_through_a_shell_ends_as_others_do(case: Case) -> None:
    """What is asked of it afterwards is refused as everywhere."""
    async with a_machine() as (machine, _):
        await check([case], Target(machine))
