"""The event log in one SQLite file: a writer thread with group commit, and readers beside it.

The file is in WAL mode. A commit that no barrier waits for is not synced: a crash of the process loses nothing of it, a
power cut may. A commit that a barrier waits for is synced, and with it everything before.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import anyio
import anyio.to_thread

from deskhand.errors import ConfigError, CorruptJournalError, DeskhandError, FencedError, JournalError
from deskhand.harness.events import Event, EventBase, parse_event
from deskhand.harness.log import Committed, EventLog, LogEntry, RunSummary, fenced
from deskhand.harness.ownership import Mark, living_process
from deskhand.harness.sqlite_writer import Job, News, Rows, Writer, advice, mapped

__all__ = ["SqliteLog"]

SCHEMA_VERSION = 1
PENDING_LIMIT = 100_000
"""Events that wait to be written before no further action starts: on a full disk, or one that is far too slow."""

_OWNER = "owner/"
"""What the keys of the runs' owners begin with."""

_BUSY = 5.0
_POLL = 1.0

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    type TEXT NOT NULL, time TEXT NOT NULL, payload BLOB NOT NULL, UNIQUE (run_id, seq)
);
INSERT OR IGNORE INTO meta VALUES ('schema', '1');
COMMIT;
"""
_READ = "SELECT seq, payload FROM events WHERE run_id = ? AND seq > ? {types} ORDER BY seq LIMIT ?"
_RUNS = """
SELECT r.run_id, f.time, l.time, r.last_seq, l.type FROM runs r
JOIN events f ON f.run_id = r.run_id AND f.seq = r.first_seq
JOIN events l ON l.run_id = r.run_id AND l.seq = r.last_seq
ORDER BY f.time DESC LIMIT ?
"""

ResultT = TypeVar("ResultT")


@dataclass(eq=False)
class _Known:
    """What this process knows of a run's place in the log."""

    epoch: int = 0
    last: int = 0
    committed: int = 0
    listener: Committed | None = None
    fenced: FencedError | None = None
    grown: anyio.Event = field(default_factory=anyio.Event)

    def commit(self, seq: int) -> None:
        """Tell the listener and whoever waits."""
        self.committed = max(self.committed, seq)
        if self.listener is not None:
            self.listener(seq)
        self.wake()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self.grown.set()
        self.grown = anyio.Event()


def _newest(connection: sqlite3.Connection) -> int:
    [position] = connection.execute("SELECT max(position) FROM events").fetchone()
    return int(position or 0)


class SqliteLog(EventLog):
    """Keeps events in one SQLite file, mode 0600; several processes may share it.

    Args:
        path: The file; made, with its folder, where it is not there.
    """

    durable = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._known: dict[str, _Known] = {}
        self._grown = anyio.Event()
        self._waiting = 0  # events handed to the writer and not yet written
        self._writer = Writer(self._path)
        self._mark = Mark(self._path)
        self._reading = threading.Lock()
        self._readers = anyio.CapacityLimiter(1)
        self._reader: sqlite3.Connection | None = None
        self._open = False

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
        stack = AsyncExitStack()
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(self._writer.put, None)
        opened = Job()
        try:
            tasks.start_soon(self._write, asyncio.get_running_loop(), opened)
            await opened.wait()
        except BaseException:
            await stack.__aexit__(None, None, None)  # (told of the error, the task group would wrap it in a group)
            raise
        self._stack = stack
        self._open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is waiting, and close."""
        self._open = False
        for run in self._known.values():
            run.wake()
        # Told of the block's own error, the task group would wrap that in a group for nothing.
        await self._stack.__aexit__(None, None, None)

    async def _write(self, loop: asyncio.AbstractEventLoop, opened: Job) -> None:
        """Own the thread that owns the connections: whatever is cancelled, it is that thread that closes them."""

        def tell(news: News) -> None:
            loop.call_soon_threadsafe(self._told, news)

        def work() -> None:
            try:
                with closing(self._connect()) as connection:
                    self._prepare(connection)
                    with closing(self._connect(query_only=True)) as reader:
                        self._reader = reader
                        tell(News(jobs=[opened]))
                        self._writer.run(connection)
                        with self._reading:  # a cancelled reader's thread may still be at it
                            self._reader = None
            except DeskhandError as error:
                opened.error = error
                tell(News(jobs=[opened]))
            finally:
                self._mark.remove()

        self._writer.tell = tell
        with anyio.CancelScope(shield=True):  # the thread ends by itself once told
            await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))

    def _connect(self, *, query_only: bool = False) -> sqlite3.Connection:
        if not query_only:
            self._make_file()
        with mapped(self._path):
            connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            if query_only:
                connection.execute("PRAGMA query_only = 1")
        return connection

    def _make_file(self) -> None:
        wal, shared = (self._path.with_name(self._path.name + ending) for ending in ("-wal", "-shm"))
        if shared.exists() and not wal.exists():
            raise CorruptJournalError(
                f"the log {self._path} was not closed, and its newest events, in {wal.name}, are gone",
                hint=f"restore that file; or delete {shared.name} to go on without them",
            )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise JournalError(
                f"the log {self._path} cannot be opened: {error.strerror}", hint=advice("unable to open")
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables of a new log; refuse, untouched, what is no log or a newer one."""
        with mapped(self._path):
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
            elif "meta" not in tables:
                raise CorruptJournalError(f"{self._path} is a database, but no event log", hint="use another file")
            found = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
            if found is None or not str(found[0]).isdigit():
                raise CorruptJournalError(f"{self._path} does not say which schema it has", hint="use another file")
            if int(found[0]) > SCHEMA_VERSION:
                raise ConfigError(
                    f"the log {self._path} has schema {found[0]}, of a newer deskhand; this one knows {SCHEMA_VERSION}",
                    hint="pip install --upgrade deskhand",
                )
            connection.execute("PRAGMA synchronous = NORMAL")  # the writer syncs where a barrier waits
            connection.execute("BEGIN IMMEDIATE")  # tells now, not at the first action, that it cannot be written
            connection.execute("ROLLBACK")

    def _told(self, news: News) -> None:
        """Hear from the writer, on the loop."""
        self._waiting -= news.written
        for (run_id, epoch), error in news.fenced.items():
            run = self._known.get(run_id)
            if run is not None and run.epoch == epoch:
                run.fenced = error
        for run_id, seq in news.committed.items():
            run = self._known.get(run_id)
            if run is not None:
                run.commit(seq)
        if news.committed:
            self._grown.set()
            self._grown = anyio.Event()
        for job in news.jobs:
            job.done.set()

    def _run(self, run_id: str) -> _Known:
        return self._known.setdefault(run_id, _Known())

    def _is_closed(self) -> JournalError:
        return JournalError(f"the log {self._path} is closed", hint="use it inside its async with block")

    async def _ask(self, job: Job) -> object:
        if not self._open:
            raise self._is_closed()
        self._writer.put(job)
        return await job.wait()

    async def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer; see `EventLog.claim`."""

        def raise_epoch(connection: sqlite3.Connection) -> tuple[int, int]:
            try:
                owner = self._mark.set()
            except OSError as error:
                raise JournalError(
                    f"the file {error.filename} cannot be made: {error.strerror}", hint=advice("unable to open")
                ) from error
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_OWNER + run_id, owner))
            connection.execute("INSERT OR IGNORE INTO runs VALUES (?, 0, 1, 0)", (run_id,))
            connection.execute("UPDATE runs SET epoch = epoch + 1 WHERE run_id = ?", (run_id,))
            row: tuple[int, int] = connection.execute(
                "SELECT epoch, last_seq FROM runs WHERE run_id = ?", (run_id,)
            ).fetchone()
            return row

        epoch, last = cast("tuple[int, int]", await self._ask(Job(do=raise_epoch)))
        self._known[run_id] = _Known(epoch, last, last, listener)
        return epoch

    async def owner(self, run_id: str) -> int | None:
        """Return the living process that claimed the run last; see `EventLog.owner`."""

        def look(connection: sqlite3.Connection) -> int | None:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_OWNER + run_id,)).fetchone()
            if row is None or (row[0] == self._mark.name and (run is None or not run.epoch)):
                return None
            return living_process(self._path, row[0])

        run = self._known.get(run_id)
        return await self._query(look)

    def release(self, run_id: str, epoch: int) -> None:
        """Forget the run's writer; see `EventLog.release`."""
        run = self._known.get(run_id)
        if run is not None and run.epoch == epoch:
            del self._known[run_id]
            run.wake()

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number events and hand them to the writer; see `EventLog.append`."""
        run = self._known.get(run_id)
        if run is None or run.epoch != epoch or run.fenced is not None:
            raise fenced(run_id)
        if not self._open:
            raise self._is_closed()
        if not events:
            return []
        numbered = [event.numbered(seq) for seq, event in enumerate(events, run.last + 1)]
        run.last += len(numbered)
        self._waiting += len(numbered)
        self._writer.put(Rows(run_id, epoch, numbered))
        return numbered

    def check(self) -> None:
        """Refuse further actions while too much waits to be written; see `EventLog.check`."""
        if self._waiting >= PENDING_LIMIT:
            raise JournalError(
                f"{self._waiting} events wait to be written to {self._path}",
                hint="free some space on that disk",
                retryable=True,
            )

    async def barrier(self, run_id: str) -> None:
        """Wait until everything appended so far is synced; see `EventLog.barrier`."""
        run = self._known.get(run_id)
        await self._ask(Job() if run is None else Job(run_id=run_id, epoch=run.epoch))
        if run is not None and run.fenced is not None:
            raise run.fenced

    async def _query(self, do: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def guarded() -> ResultT:
            with self._reading:
                if self._reader is None:
                    raise self._is_closed()
                with mapped(self._path):
                    return do(self._reader)

        return await anyio.to_thread.run_sync(guarded, limiter=self._readers)

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
            if rows and not wanted and rows[-1][0] - rows[0][0] != len(rows) - 1:
                raise CorruptJournalError(
                    f"the log {self._path} lacks events of {run_id} between {rows[0][0]} and {rows[-1][0]}",
                    hint="restore it from a copy",
                )
            return [parse_event(payload) for _, payload in rows]

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
            with anyio.move_on_after(_POLL):  # another process may write it
                await grown.wait()

    async def wait_all(self, after: int) -> None:
        """Wait for a position above ``after``, of this process or another; see `EventLog.wait_all`."""
        while True:
            grown = self._grown
            if await self._query(_newest) > after:
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

        await self._ask(Job(do=delete))

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
