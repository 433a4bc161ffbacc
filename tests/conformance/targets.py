"""What the suite's tests of several computers share: its cases in two kinds, and a computer that is watched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

from deskhand.providers import Capability, ExternalComputer
from deskhand.providers.local import LocalComputer
from deskhand.testing.conformance import CASES, Case, Target, Verdict
from deskhand.testing.x_ground_truth import x_ground_truth

ALONE = [case for case in CASES if case.ends_computer]
"""What wants a computer for itself."""
IN_TURN = [case for case in CASES if not case.ends_computer]
"""What can be run one after the other on one computer."""


@asynccontextmanager
async def watched(computer: ExternalComputer, machine: object) -> AsyncIterator[Target]:
    """Give a computer to run cases on, watched on the desktop of the machine behind it where that has one."""
    access = machine.x_access if isinstance(machine, LocalComputer) else None
    if access is None:
        yield Target(computer)
        return
    async with x_ground_truth(*access) as truth:
        yield Target(computer, truth)


def verdict_of(case: Case, lacking: Collection[Capability]) -> Verdict:
    """Return what a case is to show of a computer that lacks something."""
    return Verdict.VERIFIED if case.needs.isdisjoint(lacking) else Verdict.UNSUPPORTED


async def run_in_turn(target: Target, cases: Iterable[Case], lacking: Collection[Capability]) -> None:
    """Run cases one after the other on one computer that lacks something."""
    for case in cases:
        assert await case.run(target) is verdict_of(case, lacking), case.name
