"""The conformance suite for computers: what every adapter of a provider must do, as cases to run against it.

It works with any test runner and imports none. A provider's author writes, with pytest::

    from deskhand.testing.conformance import CASES, Case, Target, Verdict

    @pytest.mark.parametrize("case", CASES, ids=str)
    async def test_computer_conforms(case: Case) -> None:
        async with open_computer("mine") as computer:
            assert await case.run(Target(computer)) is not Verdict.UNVERIFIED

A case about a capability that the computer lacks checks that it says so, and returns ``Verdict.UNSUPPORTED``; a test
that knows its machine compares ``capabilities`` with what it expects (`SHELL_AND_FILES`, `SCREEN`, `DESKTOP`).

Cases with ``needs_truth`` perform input and compare what arrived on the machine with what was asked for. For X desktops
`deskhand.testing.x_ground_truth` is the one who tells; `FakeComputer.ground_truth` is a fake's. Where a target has none
they return ``Verdict.UNVERIFIED``.

What an adapter makes of a vendor that fails, the ``WIRE_CASES`` show. They break the wire between the two, so that they
are for adapters that speak HTTP with one, or with a simulator of it; each runs with a computer opened through `Wire`::

    @pytest.mark.parametrize("case", WIRE_CASES, ids=str)
    async def test_computer_tells_what_fails(case: Case) -> None:
        async with Wire(vendor_url) as wire, provider("mine", base_url=wire.base_url) as mine:
            computer = await mine.create(name="box")
            assert await case.run(Target(computer, wire=wire)) is not Verdict.UNVERIFIED

Every case leaves the computer as it was, so that one computer may serve them all in turn, but for those with
``ends_computer``, which need one each.
"""

from __future__ import annotations

from typing import Final

from deskhand.providers import INPUT, Capability
from deskhand.testing.conformance import faults, files, keyboard, life, pointer, screen, shell
from deskhand.testing.conformance.case import Case, ConformanceError, Target, Verdict
from deskhand.testing.conformance.wire import Wire

__all__ = [
    "CASES",
    "DESKTOP",
    "SCREEN",
    "SHELL_AND_FILES",
    "WIRE_CASES",
    "Case",
    "ConformanceError",
    "Target",
    "Verdict",
    "Wire",
]

SHELL_AND_FILES: Final = frozenset(
    {Capability.EXEC, Capability.EXEC_STREAM, Capability.SHELL, Capability.TERMINAL, Capability.FILES}
)
"""What a machine without a screen can do."""

SCREEN: Final = SHELL_AND_FILES | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}
"""What a machine can do whose screen can be seen."""

DESKTOP: Final = SCREEN | INPUT
"""What a whole desktop can do."""

CASES: Final[tuple[Case, ...]] = (
    *life.CASES,
    *shell.CASES,
    *files.CASES,
    *screen.CASES,
    *pointer.CASES,
    *keyboard.CASES,
)
"""Every case that needs nothing but a computer, and where it is about input, somebody who tells what arrived."""

WIRE_CASES: Final[tuple[Case, ...]] = tuple(faults.CASES)
"""Every case that breaks the wire between an adapter and its vendor."""
