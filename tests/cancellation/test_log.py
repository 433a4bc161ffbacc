"""Logs and blob stores cancelled at every suspension: the file is sound, nothing is left open, the log goes on."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import anyio
import pytest

from deskhand import MemoryLog, SqliteLog
from deskhand.harness import DirectoryBlobs, EventLog
from tests.cancellation.injector import Mode, explore, explore_pairs, open_descriptors, pairs_of
from tests.harness.logs import custom, value_of

pytestmark = pytest.mark.slow


class Bench:
    """A folder with a log and a blob store, everything that both can do, and what must hold afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.descriptors = len(open_descriptors())

    @property
    def path(self) -> Path:
        """The log's file."""
        return self.folder / "log.db"

    async def in_file(self) -> None:
        """Use a log in a file, from its making on."""
        shutil.rmtree(self.folder, ignore_errors=True)
        await self._use(SqliteLog(self.path))

    async def in_memory(self) -> None:
        """Use a log in memory."""
        await self._use(MemoryLog())

    async def in_blobs(self) -> None:
        """Keep and read blobs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        blobs = DirectoryBlobs(self.folder)
        keys = [await blobs.put(bytes([n]) * 5000) for n in range(3)]
        for key in keys:
            await blobs.get(key)

    async def _use(self, log: EventLog) -> None:
        async with log:
            epoch = await log.claim("a")
            for value in range(1, 4):
                log.append("a", epoch, [custom("a", value)])
                await log.barrier("a")
            await log.read("a")
            await log.read_all()
            await log.bounds("a")
            await log.wait("a", 2)
            await log.wait_all(0)
            await log.trim("a", 2)
            await log.runs()
            log.release("a", epoch)

    def check(self) -> None:
        """Hold that nothing is left open, and that the log can be gone on with."""
        assert len(open_descriptors()) <= self.descriptors
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(5)
                assert not thread.is_alive(), thread
        if self.path.exists():
            anyio.run(self._go_on)
        for blob in self.folder.glob("??/*") if self.folder.exists() else ():
            anyio.run(DirectoryBlobs(self.folder).get, blob.name)

    async def _go_on(self) -> None:
        async with SqliteLog(self.path) as log:
            events = await log.read("a")
            values = [value_of(event) for event in events]
            assert values in ([], [1], [1, 2], [1, 2, 3], [2, 3]), values
            epoch = await log.claim("a")
            [event] = log.append("a", epoch, [custom("a", 4)])
            await log.barrier("a")
            assert event.seq == (events[-1].seq or 0) + 1 if events else event.seq == 1


@pytest.mark.parametrize("scenario", ["in_file", "in_memory", "in_blobs"])
def test_log_cancelled_once_at_any_suspension_stays_sound(scenario: str, tmp_path: Path) -> None:
    """By a scope and natively."""
    bench = Bench(tmp_path / "kept")
    assert explore(getattr(bench, scenario), bench.check) >= {"in_file": 10, "in_memory": 0, "in_blobs": 6}[scenario]


@pytest.mark.parametrize("mode", ["native", "mixed"])
def test_log_cancelled_twice_at_any_pair_of_suspensions_stays_sound(mode: Mode, tmp_path: Path) -> None:
    """The second time while it is being closed because of the first."""
    bench = Bench(tmp_path / "kept")
    explore_pairs(bench.in_file, bench.check, pairs_of(bench.in_file, most=60), mode=mode)
