"""Hand events to a run's feed, and report the CPU of one; the floor does the least that could stand in its place."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path

from measuring import arguments, cpu, report

from deskhand import EventLog, MemoryLog, SqliteLog
from deskhand.harness.events import CustomData, CustomEvent, EventBase, ModelDelta, ModelDeltaData
from deskhand.harness.stream import Feed

_RUN = "run_1"
_ROWS = "INSERT INTO events (run_id, seq, epoch, type, time, payload) VALUES (?, ?, ?, ?, ?, ?)"
_TABLE = "CREATE TABLE events (run_id TEXT, seq INTEGER, epoch INTEGER, type TEXT, time TEXT, payload BLOB)"


def _event(*, durable: bool) -> EventBase:
    if durable:
        return CustomEvent(source=f"/runs/{_RUN}", run_id=_RUN, data=CustomData(name="benchmark.event", value=1))
    data = ModelDeltaData(kind="text", message_id="m", delta="on")
    return ModelDelta(source=f"/runs/{_RUN}", run_id=_RUN, data=data)


async def _published(log: EventLog, events: int, *, durable: bool) -> float:
    feed = await Feed.open(log, _RUN)
    event = _event(durable=durable)
    used = cpu()
    for _ in range(events):
        feed.emit(event)
    await feed.barrier()
    return (cpu() - used) / events


def _appended(events: int) -> float:
    kept: list[EventBase] = []
    event = _event(durable=True)
    used = cpu()
    for _ in range(events):
        kept.append(event)  # noqa: PERF401 (a call an event is what is measured)
    return (cpu() - used) / events


def _inserted(path: Path, events: int) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(_TABLE)
    event = _event(durable=True)
    payload, time = event.to_json(), event.time.isoformat()
    used = cpu()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_ROWS, ((_RUN, seq, 1, event.type, time, payload) for seq in range(events)))
    connection.execute("COMMIT")
    used = cpu() - used
    connection.close()
    return used / events


async def main() -> None:
    """Measure one mode: ``transient``, ``durable`` (numbered, in memory) or ``sqlite``."""
    given = arguments()
    events = given["events"]
    with tempfile.TemporaryDirectory() as folder:
        if given["mode"] == "sqlite":
            floor = _inserted(Path(folder) / "floor.db", events)
            async with SqliteLog(Path(folder) / "log.db") as log:
                seconds = await _published(log, events, durable=True)
        else:
            floor = _appended(events)
            async with MemoryLog() as memory:
                seconds = await _published(memory, events, durable=given["mode"] == "durable")
    report(seconds=seconds, floor=floor)


if __name__ == "__main__":
    asyncio.run(main())
