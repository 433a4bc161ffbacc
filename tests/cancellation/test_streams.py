"""Subscribers cancelled at every suspension: the run, the others, and the one who comes back lose nothing."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from deskhand.harness import EventLog, LogEntry, LogStream
from deskhand.harness.stream import EventStream, Feed, subscribe
from tests.cancellation.injector import explore
from tests.harness.logs import LOGS, custom, finished

pytestmark = pytest.mark.slow
LAST = 5


class Bench:
    """A run that is written by one task, followed by one that is cancelled, and by one that is not."""

    def __init__(self, folder: Path, kind: str, way: str) -> None:
        self.folder = folder
        self.kind = kind
        self.way = way
        self.count = 0
        self.began = False
        self.seen: list[int] = []
        self.rest: list[int] = []
        self.other: list[int] = []

    async def follow(self) -> None:
        """Follow to the end; cancelled or not, go on from where it was and hear the rest."""
        self.count += 1
        self.began = False
        self.seen, self.rest, self.other = [], [], []
        folder = self.folder / str(self.count)
        folder.mkdir(parents=True)
        async with LOGS[self.kind](folder) as log:
            feed = await Feed.open(log, "a", ring=4)
            feed.emit(custom("a", 1))
            await feed.barrier()
            async with anyio.create_task_group() as tasks:
                stream = self._stream(log, feed)
                with anyio.CancelScope(shield=True):
                    await tasks.start(self._shielded, self._write, feed)
                    await tasks.start(self._shielded, self._read, feed.subscribe(), self.other)
                self.began = True
                try:
                    await self._read(stream, self.seen)
                finally:
                    with anyio.CancelScope(shield=True):
                        if LAST not in self.seen:
                            await self._read(stream, self.rest)

    def _stream(self, log: EventLog, feed: Feed) -> EventStream | LogStream:
        if self.way == "ring":
            return feed.subscribe()
        return subscribe(log, "a") if self.way == "log" else LogStream(log)

    async def _shielded(self, do, *arguments, task_status=anyio.TASK_STATUS_IGNORED):  # type: ignore[no-untyped-def]
        with anyio.CancelScope(shield=True):
            task_status.started()
            await do(*arguments)

    async def _write(self, feed: Feed) -> None:
        for value in range(2, LAST):
            feed.emit(custom("a", value))
            await feed.barrier()
            await anyio.lowlevel.checkpoint()
        feed.emit(finished("a"))
        await feed.barrier()
        feed.close()

    async def _read(self, stream: EventStream | LogStream, into: list[int]) -> None:
        async for item in stream:
            event = item.event if isinstance(item, LogEntry) else item
            into.append(event.seq or 0)
            if into[-1] == LAST:
                return

    def check(self) -> None:
        """Hold that each got everything once, if the subscriber came to follow at all."""
        if not self.began:
            return
        assert self.other == list(range(1, LAST + 1))
        assert self.seen + self.rest == list(range(1, LAST + 1))


WAYS = [
    ("memory", "ring"),
    ("memory", "log"),
    ("memory", "all"),
    ("sqlite", "ring"),
    ("sqlite", "log"),
    ("sqlite", "all"),
]


@pytest.mark.parametrize(("kind", "way"), WAYS, ids=str)
def test_subscriber_cancelled_at_any_suspension_can_go_on(kind: str, way: str, tmp_path: Path) -> None:
    """Where it was, with no hole and no double; the other one and the run notice nothing."""
    bench = Bench(tmp_path, kind, way)
    explore(bench.follow, bench.check, every=1 if kind == "memory" else 3)
