"""The event log in one SQLite file: a writer thread with group commit, and readers beside it.

The file is in WAL mode. A commit that no barrier waits for is not synced: a crash of the process loses nothing of it, a
power cut may. A commit that a barrier waits for is synced, and with it everything before.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import anyio
import anyio.to_thread

from deskhand.errors import ConfigError, CorruptJournalError, DeskhandError, FencedError, JournalError
from deskhand.harness.events import Event, EventBase, parse_event
from deskhand.harness.log import Committed, EventLog, LogEntry, RunSummary

__all__ = ["SqliteLog"]

SCHEMA_VERSION = 1
_BUSY = 5.0
_BATCH = 2_000
_POLL = 1.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    type TEXT NOT NULL, time TEXT NOT NULL, payload BLOB NOT NULL, UNIQUE (run_id, seq)
);
"""
_INSERT = "INSERT INTO events (run_id, seq, epoch, type, time, payload) VALUES (?, ?, ?, ?, ?, ?)"
_READ = "SELECT payload FROM events WHERE run_id = ? AND seq > ? {types} ORDER BY seq LIMIT ?"
_RUNS = """
SELECT r.run_id, f.time, l.time, r.last_seq, l.type FROM runs r
JOIN events f ON f.run_id = r.run_id AND f.seq = r.first_seq
JOIN events l ON l.run_id = r.run_id AND l.seq = r.last_seq
ORDER BY f.time DESC LIMIT ?
"""

ResultT = TypeVar("ResultT")


@dataclass(eq=False)
class _Rows:
    """Events of one run, waiting to be written."""

    run_id: str
    epoch: int
    events: Sequence[EventBase]


@dataclass(eq=False)
class _Job:
    """Something that the writer does in its order: a function of the connection, or a barrier where there is none."""

    run_id: str | None = None
    do: Callable[[sqlite3.Connection], object] | None = None
    done: anyio.Event = field(default_factory=anyio.Event)
    value: object = None
    error: DeskhandError | None = None


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    """Map what SQLite raises to the errors of this package."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(f"the log {path} cannot be used: {error}", hint=_advice(str(error))) from error
    except sqlite3.DatabaseError as error:
        raise CorruptJournalError(
            f"the log {path} is damaged: {error}", hint="move the file away, or restore it from a copy"
        ) from error


def _advice(message: str) -> str:
    advice = {
        "full": "free some space on that disk",
        "readonly": "make the file and its folder writable",
        "unable to open": "make the folder, and make it writable",
        "locked": "another program holds it; end that one, or use another file",
    }
    return next((said for word, said in advice.items() if word in message), "deskhand doctor")


class _Writer:
    """The thread that writes: everything in the order in which it came, many rows a commit."""

    def __init__(self, path: Path, tell: Callable[[dict[str, int], list[_Job], dict[str, FencedError]], None]) -> None:
        self._path = path
        self._tell = tell
        self._pending: deque[_Rows] = deque()
        self._unsynced = False
        self.queue: queue.SimpleQueue[_Rows | _Job | None] = queue.SimpleQueue()

    def run(self, connection: sqlite3.Connection) -> None:
        """Write until told to end."""
        try:
            going = True
            while going:
                items = [self.queue.get()]
                while len(items) < _BATCH and not self.queue.empty():
                    items.append(self.queue.get())
                going = None not in items
                self._work(connection, [item for item in items if item is not None])
        finally:
            connection.close()

    def _work(self, connection: sqlite3.Connection, items: Sequence[_Rows | _Job]) -> None:
        barriers: list[_Job] = []
        for item in items:
            if isinstance(item, _Rows):
                self._pending.append(item)
            elif item.do is None:
                barriers.append(item)
            else:
                self._flush(connection, barriers)
                barriers = []
                self._do(connection, item)
        self._flush(connection, barriers)

    def _do(self, connection: sqlite3.Connection, job: _Job) -> None:
        try:
            with _mapped(self._path), connection:
                assert job.do is not None  # noqa: S101 (barriers are handled apart)
                job.value = job.do(connection)
        except DeskhandError as error:
            job.error = error
        self._tell({}, [job], {})

    def _flush(self, connection: sqlite3.Connection, barriers: list[_Job]) -> None:
        """Commit what is pending, synced where a barrier waits; keep it for the next time where that fails."""
        if not self._pending and not barriers:
            return
        committed: dict[str, int] = {}
        fenced: dict[str, FencedError] = {}
        try:
            with _mapped(self._path):
                if self._pending or (barriers and self._unsynced):
                    committed = self._commit(connection, fenced, synced=bool(barriers))
            self._pending.clear()
        except DeskhandError as error:
            committed = {}
            for job in barriers:
                job.error = error
        for job in barriers:
            if job.error is None and job.run_id in fenced:
                job.error = fenced[job.run_id]
        self._tell(committed, barriers, fenced)

    def _commit(
        self, connection: sqlite3.Connection, fenced: dict[str, FencedError], *, synced: bool
    ) -> dict[str, int]:
        connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
        committed: dict[str, int] = {}
        connection.execute("BEGIN IMMEDIATE")
        try:
            for rows in self._pending:
                if self._insert(connection, rows):
                    committed[rows.run_id] = rows.events[-1].seq or 0
                else:
                    fenced[rows.run_id] = FencedError(
                        f"the run {rows.run_id} belongs to another writer", hint="another process took it over"
                    )
            if synced:  # a commit that changes nothing is not synced
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('synced', hex(randomblob(8)))")
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        self._unsynced = not synced
        return committed

    def _insert(self, connection: sqlite3.Connection, rows: _Rows) -> bool:
        found = connection.execute("SELECT epoch FROM runs WHERE run_id = ?", (rows.run_id,)).fetchone()
        if found is None or found[0] != rows.epoch:
            return False
        connection.executemany(
            _INSERT,
            (
                (rows.run_id, event.seq, rows.epoch, event.type, event.time.isoformat(), event.to_json())
                for event in rows.events
            ),
        )
        connection.execute("UPDATE runs SET last_seq = ? WHERE run_id = ?", (rows.events[-1].seq, rows.run_id))
        return True


@dataclass(eq=False)
class _Known:
    """What this process knows of a run's place in the log."""

    epoch: int = 0
    last: int = 0
    committed: int = 0
    listener: Committed | None = None
    fenced: FencedError | None = None
    grown: anyio.Event = field(default_factory=anyio.Event)


class SqliteLog(EventLog):
    """Keeps events in one SQLite file, mode 0600; several processes may share it.

    Args:
        path: The file; made, with its folder, where it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._known: dict[str, _Known] = {}

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<SqliteLog {self._path}>"

    async def __aenter__(self) -> Self:
        """Open the file and start the writer.

        Raises:
            JournalError: If the file cannot be opened or written.
            CorruptJournalError: If it is damaged or no log.
            ConfigError: If a newer deskhand wrote it.
        """
        async with AsyncExitStack() as stack:
            loop = asyncio.get_running_loop()

            def tell(committed: dict[str, int], jobs: list[_Job], fenced: dict[str, FencedError]) -> None:
                loop.call_soon_threadsafe(self._told, committed, jobs, fenced)

            self._writer = _Writer(self._path, tell)
            self._readers = anyio.CapacityLimiter(1)
            connection = await anyio.to_thread.run_sync(self._open)
            self._reader = await anyio.to_thread.run_sync(self._connect)
            stack.callback(self._reader.close)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            self._tasks.start_soon(self._write, connection)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is waiting, and close."""
        self._writer.queue.put(None)
        # Told of the block's own error, the task group would wrap that in a group for nothing.
        await self._stack.__aexit__(None, None, None)

    async def _write(self, connection: sqlite3.Connection) -> None:
        limiter = anyio.CapacityLimiter(1)
        with anyio.CancelScope(shield=True):  # the thread ends by itself once told, in __aexit__
            await anyio.to_thread.run_sync(self._writer.run, connection, limiter=limiter)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = 1")
        return connection

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise JournalError(
                f"the log {self._path} cannot be opened: {error.strerror}", hint=_advice("unable to open")
            ) from error
        with _mapped(self._path):
            connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "meta" not in tables:
            raise CorruptJournalError(f"{self._path} is a database, but no event log", hint="use another file")
        connection.executescript(_SCHEMA)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
        [version] = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        if int(version) > SCHEMA_VERSION:
            raise ConfigError(
                f"the log {self._path} has schema {version}, of a newer deskhand; this one knows {SCHEMA_VERSION}",
                hint="pip install --upgrade deskhand",
            )

    def _told(self, committed: dict[str, int], jobs: list[_Job], fenced: dict[str, FencedError]) -> None:
        """Hear from the writer, on the loop."""
        for run_id, error in fenced.items():
            self._run(run_id).fenced = error
        for run_id, seq in committed.items():
            run = self._run(run_id)
            run.committed = max(run.committed, seq)
            if run.listener is not None:
                run.listener(seq)
            run.grown.set()
            run.grown = anyio.Event()
        for job in jobs:
            job.done.set()

    def _run(self, run_id: str) -> _Known:
        return self._known.setdefault(run_id, _Known())

    async def _ask(self, job: _Job) -> object:
        self._writer.queue.put(job)
        await job.done.wait()
        if job.error is not None:
            raise job.error
        return job.value

    async def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer; see `EventLog.claim`."""

        def raise_epoch(connection: sqlite3.Connection) -> tuple[int, int]:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR IGNORE INTO runs VALUES (?, 0, 1, 0)", (run_id,))
            connection.execute("UPDATE runs SET epoch = epoch + 1 WHERE run_id = ?", (run_id,))
            row: tuple[int, int] = connection.execute(
                "SELECT epoch, last_seq FROM runs WHERE run_id = ?", (run_id,)
            ).fetchone()
            return row

        job = _Job(do=raise_epoch)
        await self._ask(job)
        epoch, last = cast("tuple[int, int]", job.value)
        self._known[run_id] = _Known(epoch, last, last, listener)
        return epoch

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number events and hand them to the writer; see `EventLog.append`."""
        run = self._known.get(run_id)
        if run is None or run.epoch != epoch or run.fenced is not None:
            raise FencedError(f"the run {run_id} belongs to another writer", hint="another process took it over")
        numbered = [event.numbered(seq) for seq, event in enumerate(events, run.last + 1)]
        run.last += len(numbered)
        self._writer.queue.put(_Rows(run_id, epoch, numbered))
        return numbered

    async def barrier(self, run_id: str) -> None:
        """Wait until everything appended so far is synced; see `EventLog.barrier`."""
        await self._ask(_Job(run_id=run_id))
        run = self._known.get(run_id)
        if run is not None and run.fenced is not None:
            raise run.fenced

    async def _query(self, do: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def mapped() -> ResultT:
            with _mapped(self._path):
                return do(self._reader)

        return await anyio.to_thread.run_sync(mapped, limiter=self._readers)

    async def read(
        self, run_id: str, after: int = 0, *, limit: int = 1000, types: Collection[str] | None = None
    ) -> list[Event]:
        """Read a run's events; see `EventLog.read`."""
        wanted = tuple(types or ())
        clause = f"AND ({' OR '.join(['type GLOB ?'] * len(wanted))})" if wanted else ""
        if types is not None and not wanted:
            return []

        def select(connection: sqlite3.Connection) -> list[Event]:
            rows = connection.execute(_READ.format(types=clause), (run_id, after, *wanted, limit)).fetchall()
            return [parse_event(payload) for (payload,) in rows]

        return await self._query(select)

    async def bounds(self, run_id: str) -> tuple[int, int]:
        """Return the first and last kept numbers; see `EventLog.bounds`."""

        def select(connection: sqlite3.Connection) -> tuple[int, int]:
            row = connection.execute("SELECT first_seq, last_seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            return (row[0], row[1]) if row is not None else (1, 0)

        return await self._query(select)

    async def wait(self, run_id: str, after: int) -> None:
        """Wait for a number above ``after``, of this process or another; see `EventLog.wait`."""
        while True:
            run = self._run(run_id)
            if run.committed > after:
                return
            grown = run.grown
            if (await self.bounds(run_id))[1] > after:
                return
            with anyio.move_on_after(_POLL):
                await grown.wait()

    async def trim(self, run_id: str, before: int) -> None:
        """Forget old events; see `EventLog.trim`."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM events WHERE run_id = ? AND seq < ?", (run_id, before))
            connection.execute(
                "UPDATE runs SET first_seq = min(max(first_seq, ?), last_seq + 1) WHERE run_id = ?", (before, run_id)
            )

        await self._ask(_Job(do=delete))

    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """List runs, newest first; see `EventLog.runs`."""

        def select(connection: sqlite3.Connection) -> list[RunSummary]:
            return [
                RunSummary(
                    run_id, datetime.fromisoformat(first), datetime.fromisoformat(last), seq, kind == "run.finished"
                )
                for run_id, first, last, seq, kind in connection.execute(_RUNS, (limit,))
            ]

        return await self._query(select)

    async def read_all(self, after: int = 0, *, limit: int = 1000) -> list[LogEntry]:
        """Read the events of all runs; see `EventLog.read_all`."""

        def select(connection: sqlite3.Connection) -> list[LogEntry]:
            rows = connection.execute(
                "SELECT position, payload FROM events WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
            ).fetchall()
            return [LogEntry(position, parse_event(payload)) for position, payload in rows]

        return await self._query(select)
