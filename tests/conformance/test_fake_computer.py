"""The fake computer under the suite that every computer must pass."""

from __future__ import annotations

import pytest

from deskhand.providers import Capability
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import CASES, DESKTOP, SHELL_AND_FILES, Case, Target, Verdict

LACKING = frozenset({Capability.PAUSE, Capability.CLONE, Capability.SNAPSHOT})
"""What belongs to a vendor's machines, and a fake has not."""


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_fake_computer_conforms(case: Case) -> None:
    """A fake passes every case about using a computer, verified."""
    async with FakeComputer() as computer:
        assert computer.capabilities >= DESKTOP | {Capability.RESIZE, Capability.PORTS}
        wanted = Verdict.UNSUPPORTED if case.needs & LACKING else Verdict.VERIFIED
        assert await case.run(Target(computer, computer.ground_truth)) is wanted


TOUCHED = [case for case in CASES if not (case.needs and case.needs <= SHELL_AND_FILES)]


@pytest.mark.parametrize("case", TOUCHED, ids=str)
async def test_fake_computer_without_a_screen_says_so(case: Case) -> None:
    """A fake with shell and files alone says that it lacks the rest, and tells no more of itself than is true."""
    async with FakeComputer(capabilities=SHELL_AND_FILES) as computer:
        verdict = await case.run(Target(computer))
    assert verdict is (Verdict.VERIFIED if case.needs <= SHELL_AND_FILES else Verdict.UNSUPPORTED)
