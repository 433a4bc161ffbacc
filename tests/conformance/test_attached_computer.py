"""A computer used from beside its owner, over the owner's socket, under the suite that every computer must pass."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from deskhand.providers import Capability
from deskhand.providers.local.attached import attached_computer
from deskhand.providers.local.share import share_computer
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import CASES, Case, Target, Verdict

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep away from the computers of the machine, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="dh-") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield


LACKING = frozenset({Capability.PAUSE, Capability.CLONE, Capability.SNAPSHOT})
"""What the computer that is shared has not."""


@asynccontextmanager
async def an_attached_computer() -> AsyncIterator[Target]:
    """Share a fake computer and attach to it."""
    async with (
        FakeComputer() as owned,
        share_computer(owned),
        attached_computer(owned.info.id) as computer,
    ):
        yield Target(computer, owned.ground_truth)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_attached_computer_conforms(case: Case) -> None:
    """Whoever attaches gets what the owner has, errors and cancellation included."""
    async with an_attached_computer() as target:
        assert await case.run(target) is (Verdict.UNSUPPORTED if case.needs & LACKING else Verdict.VERIFIED)
