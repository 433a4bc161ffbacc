"""A shared computer cancelled at every suspension of whoever shares it or uses it: nothing held, nothing left."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import anyio
import pytest

from deskhand.providers.local.attached import attached_computer
from deskhand.providers.local.share import list_shared, share_computer
from tests.cancellation.injector import Mode, explore, explore_pairs, open_descriptors, run_once
from tests.providers.local.held import HeldComputer


class Bench:
    """An owner and a guest, and what must hold after both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.computer = HeldComputer()
        self.descriptors = len(open_descriptors())

    async def share_and_use(self) -> None:
        """Share, attach, and do one of everything that is open or under way for a while."""
        self.computer = HeldComputer()
        async with (
            share_computer(self.computer),
            attached_computer("cmp_held") as attached,
            attached.lease("run"),
            attached.terminal() as terminal,
        ):
            await terminal.send(b"x")
            await attached.write_file("x", bytes(600_000))
            await attached.read_bytes("x")
            await attached.exec("true")
            async with attached.exec_stream("echo; exec sleep 60") as running:
                async for _ in running:
                    await running.kill()
            await attached.destroy()

    async def only_use(self) -> None:
        """The same without a process, where the owner is another task that lives on."""
        self.computer = HeldComputer()
        async with share_computer(self.computer), attached_computer("cmp_held") as attached, attached.lease("run"):
            await attached.screenshot()
            async with attached.shell() as shell:
                await shell.run("x")

    async def _look(self) -> None:
        assert await list_shared() == []
        async with self.computer.lease("test"):
            pass

    def check(self) -> None:
        """Hold every invariant."""
        anyio.run(self._look)
        assert list(self.folder.iterdir()) == []
        assert len(open_descriptors()) <= self.descriptors, open_descriptors()


@pytest.fixture
def bench() -> Bench:
    """A bench in the runtime folder of the test's own."""
    return Bench(Path(os.environ["XDG_RUNTIME_DIR"]) / "deskhand")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sharing_cancelled_once_at_any_suspension_leaves_nothing(bench: Bench) -> None:
    """Scope and native cancellation."""
    assert explore(bench.share_and_use, bench.check) > 20


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["scope", "native"])
def test_sharing_cancelled_twice_leaves_nothing(bench: Bench, mode: Mode) -> None:
    """A second cancellation during the clean-up after the first changes nothing."""
    total = run_once(bench.only_use, frozenset(), "scope").seen
    pairs = list(itertools.combinations(range(1, total + 3), 2))
    explore_pairs(bench.only_use, bench.check, random.Random(7).sample(pairs, min(150, len(pairs))), mode=mode)
