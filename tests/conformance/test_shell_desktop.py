"""A desktop composed through ``exec`` alone under the suite that every computer must pass, judged by an X client."""

from __future__ import annotations

import pytest

from deskhand.providers import INPUT, Capability
from deskhand.providers.local.xserver import available_server
from deskhand.testing.conformance import CASES, Case, Target, Verdict, keyboard, life, pointer, screen
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.providers.shell_machines import FilesMachine, ShellMachine, a_machine

DESKTOP = INPUT | {Capability.EXEC, Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}
GROUPS: dict[str, tuple[type[ShellMachine], list[Case]]] = {
    "screen": (ShellMachine, screen.CASES),
    "screen through files": (FilesMachine, screen.CASES),
    "pointer": (ShellMachine, pointer.CASES),
    "keyboard": (ShellMachine, keyboard.CASES),
    "life": (ShellMachine, [case for case in life.CASES if not case.ends_computer]),
}
pytestmark = [
    pytest.mark.needs_x,
    pytest.mark.slow,
    pytest.mark.skipif(available_server() is None, reason="neither Xvnc nor Xvfb is installed"),
]


async def check(cases: list[Case], kind: type[ShellMachine] = ShellMachine) -> None:
    """Run cases one after the other; what is about something that a shell does not give must be said to be missing."""
    async with a_machine(kind) as (machine, behind):
        assert machine.capabilities >= DESKTOP
        assert behind.x_access is not None
        async with x_ground_truth(*behind.x_access) as truth:
            for case in cases:
                wanted = Verdict.VERIFIED if case.needs <= machine.capabilities else Verdict.UNSUPPORTED
                assert await case.run(Target(machine, truth)) is wanted, case.name


@pytest.mark.parametrize("group", GROUPS)
async def test_desktop_through_a_shell_conforms(group: str) -> None:
    """Its screen is seen, and every kind of input arrives on it as asked for."""
    kind, cases = GROUPS[group]
    await check(cases, kind)


@pytest.mark.parametrize("case", [case for case in CASES if case.ends_computer], ids=str)
async def test_desktop_through_a_shell_ends_as_others_do(case: Case) -> None:
    """What is asked of it afterwards is refused as everywhere."""
    await check([case])
