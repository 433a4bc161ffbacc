"""The thread that writes a SQLite log: everything in the order in which it came, many rows a commit."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import anyio

from deskhand.errors import CorruptJournalError, DeskhandError, FencedError, JournalError
from deskhand.harness.events import EventBase
from deskhand.harness.log import fenced
from deskhand.harness.stable import sync_way_to

__all__ = ["Job", "News", "Rows", "Writer", "advice", "mapped"]

_BATCH = 2_000
_LINGER = 0.004
"""Seconds that an event waits for others to be committed with it, unless a barrier or another job comes."""

_INSERT = "INSERT INTO events (run_id, seq, epoch, type, time, payload) VALUES (?, ?, ?, ?, ?, ?)"
_ADVICE = {
    "full": "free some space on that disk",
    "readonly": "make the file and its folder writable",
    "unable to open": "make the folder, and make it writable",
    "locked": "another program holds it; end that one, or use another file",
    "disk I/O error": "look at the disk and its file system, then open the log again",
}


@contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Map what SQLite raises to the errors of this package."""
    try:
        yield
    except sqlite3.OperationalError as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        raise JournalError(
            f"the log {path} cannot be used: {error}", hint=advice(str(error)), retryable=full
        ) from error
    except sqlite3.ProgrammingError as error:
        raise JournalError(f"the log {path} cannot be used: {error}", hint="open it again") from error
    except sqlite3.DatabaseError as error:
        raise CorruptJournalError(
            f"the log {path} is damaged: {error}", hint="move the file away, or restore it from a copy"
        ) from error


def advice(message: str) -> str:
    """Say what to do about a message of SQLite's."""
    return next((said for word, said in _ADVICE.items() if word in message), "deskhand doctor")


@dataclass(eq=False)
class Rows:
    """Events of one run, waiting to be written."""

    run_id: str
    epoch: int
    events: Sequence[EventBase]


@dataclass(eq=False)
class Job:
    """Something that the writer does in its order: a function of the connection, or a barrier where there is none."""

    run_id: str | None = None
    epoch: int = 0
    do: Callable[[sqlite3.Connection], object] | None = None
    done: anyio.Event = field(default_factory=anyio.Event)
    value: object = None
    error: DeskhandError | None = None

    async def wait(self) -> object:
        """Wait for its end; return what the function returned, or raise what it raised."""
        await self.done.wait()
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(eq=False)
class News:
    """What the writer tells after each commit: numbers that are committed, jobs that are done, writers without a run.

    ``written`` counts the events that no longer wait to be written.
    """

    committed: dict[str, int] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    fenced: dict[tuple[str, int], FencedError] = field(default_factory=dict)
    written: int = 0


class Writer:
    """Writes in a thread of its own; `run` is that thread.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tell: Callable[[News], None] = lambda news: None
        self._pending: deque[Rows] = deque()
        self._unsynced = True  # a process that died may have left what it had not synced
        self._wal = -1
        self._files: list[tuple[int, int]] = []
        self._broken: JournalError | None = None
        self._queue: queue.SimpleQueue[Rows | Job | None] = queue.SimpleQueue()
        self._awaited = threading.Event()

    def put(self, item: Rows | Job | None) -> None:
        """Have events written, a job done, or the thread end."""
        self._queue.put(item)
        if not isinstance(item, Rows):
            self._awaited.set()

    def run(self, connection: sqlite3.Connection) -> None:
        """Write until told to end."""
        self._wal = os.open(self._wal_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._files = self._identities()
            sync_way_to(self._path)  # the files may be new, and the folders
            going = True
            while going:
                items = [self._queue.get()]
                if isinstance(items[0], Rows):  # nobody waits for it: let others come along
                    self._awaited.wait(_LINGER)
                self._awaited.clear()
                while len(items) < _BATCH and not self._queue.empty():
                    items.append(self._queue.get())
                going = None not in items
                self._work(connection, [item for item in items if item is not None])
        finally:
            os.close(self._wal)

    def _work(self, connection: sqlite3.Connection, items: Sequence[Rows | Job]) -> None:
        barriers: list[Job] = []
        for item in items:
            if isinstance(item, Rows):
                self._pending.append(item)
            elif item.do is None:
                barriers.append(item)
            else:
                self._flush(connection, barriers)
                barriers = []
                self._do(connection, item)
        self._flush(connection, barriers)

    def _do(self, connection: sqlite3.Connection, job: Job) -> None:
        try:
            with mapped(self._path), connection:
                assert job.do is not None  # noqa: S101 (barriers are handled apart)
                job.value = job.do(connection)
            self._unsynced = True
        except DeskhandError as error:
            job.error = error
        self.tell(News(jobs=[job]))

    def _flush(self, connection: sqlite3.Connection, barriers: list[Job]) -> None:
        """Commit what is pending, synced where a barrier waits; keep it for the next time where that fails."""
        if not self._pending and not barriers:
            return
        news = News(jobs=barriers)
        try:
            if self._pending:
                with mapped(self._path):
                    self._commit(connection, news)
                news.written = sum(len(rows.events) for rows in self._pending)
                self._pending.clear()
            if barriers:
                with mapped(self._path):
                    self._find_fenced(connection, barriers, news)
                self._sync()
        except DeskhandError as error:
            for job in barriers:
                job.error = error
        except Exception as error:
            for job in barriers:
                job.error = JournalError(f"events cannot be written to {self._path}: {error}")
        for job in barriers:
            if job.error is None:
                job.error = next((error for (run_id, _), error in news.fenced.items() if run_id == job.run_id), None)
        self.tell(news)

    def _find_fenced(self, connection: sqlite3.Connection, barriers: list[Job], news: News) -> None:
        """Find the runs whose writers were replaced since their last commit: nothing may follow their barriers."""
        for job in barriers:
            if job.run_id is None or job.run_id in news.committed:
                continue
            if not self._owns(connection, job.run_id, job.epoch):
                news.fenced[job.run_id, job.epoch] = fenced(job.run_id)

    def _commit(self, connection: sqlite3.Connection, news: News) -> None:
        connection.execute("BEGIN IMMEDIATE")
        committed: dict[str, int] = {}
        try:
            for (run_id, epoch), several in groupby(self._pending, key=lambda rows: (rows.run_id, rows.epoch)):
                events = [event for rows in several for event in rows.events]
                if self._insert(connection, run_id, epoch, events):
                    committed[run_id] = events[-1].seq or 0
                else:
                    news.fenced[run_id, epoch] = fenced(run_id)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk may have rolled back already
                connection.rollback()
            raise
        news.committed = committed
        self._unsynced = True

    def _insert(self, connection: sqlite3.Connection, run_id: str, epoch: int, events: Sequence[EventBase]) -> bool:
        if not self._owns(connection, run_id, epoch):
            return False
        connection.executemany(
            _INSERT,
            ((run_id, event.seq, epoch, event.type, event.time.isoformat(), event.to_json()) for event in events),
        )
        connection.execute("UPDATE runs SET last_seq = ? WHERE run_id = ?", (events[-1].seq, run_id))
        return True

    def _owns(self, connection: sqlite3.Connection, run_id: str, epoch: int) -> bool:
        found = connection.execute("SELECT epoch FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return found is not None and found[0] == epoch

    @property
    def _wal_path(self) -> str:
        return f"{self._path}-wal"

    def _sync(self) -> None:
        """Bring what is committed to stable storage: in WAL mode, sync the write-ahead file.

        SQLite's own ``synchronous = FULL`` does the same, but does not sync a commit that changes nothing, as one that
        only follows commits without a barrier does.
        """
        if self._broken is not None:
            raise self._broken
        if self._unsynced:
            try:
                os.fdatasync(self._wal)
            except OSError as error:  # the kernel may call the lost pages clean: another try would prove nothing
                self._broken = JournalError(
                    f"the log {self._path} cannot be synced: {error.strerror}", hint=advice("disk I/O error")
                )
                raise self._broken from error
            self._unsynced = False
        self._check_files()

    def _check_files(self) -> None:
        """Refuse to call durable what went to files that were removed or replaced under the open log."""
        try:
            found = self._identities()
        except OSError as error:
            raise JournalError(
                f"the log's file {error.filename} was removed while it was open", hint="end the program; start it again"
            ) from error
        if found != self._files:
            raise JournalError(
                f"the log {self._path} was replaced while it was open", hint="end the program; start it again"
            )

    def _identities(self) -> list[tuple[int, int]]:
        return [(found.st_dev, found.st_ino) for found in (os.stat(self._path), os.stat(self._wal_path))]
