"""The event log: numbered, append-only, one per run; and the one that lives in memory.

An append is synchronous and numbers at once; `EventLog.barrier` waits until what was appended is on stable storage and
raises what went wrong. Each claim of a run raises its epoch, and an append under an older one is refused: of two
processes that hold one run, only the newer writes.
"""

from __future__ import annotations

import abc
import bisect
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from types import TracebackType
from typing import ClassVar, Self

import anyio

from deskhand.errors import ConflictError, FencedError, JournalError
from deskhand.harness.events import Event, EventBase

__all__ = ["EventLog", "LogEntry", "MemoryLog", "RunSummary"]

MEMORY_LIMIT = 100_000
"""Events that a memory log takes before it lets no further action start."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a log tells of a run: its first and last events' times, and its last number."""

    run_id: str
    started_at: datetime
    updated_at: datetime
    last_seq: int
    finished: bool


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event with its place among all runs of a log."""

    position: int
    event: Event


Committed = Callable[[int], None]
"""Told, on the event loop, the newest number of a run that is committed."""


class EventLog(abc.ABC):
    """Where the events of runs are kept; an async context manager.

    Attributes:
        durable: Whether what it has taken outlives a power cut once `barrier` has returned.
    """

    durable: ClassVar[bool] = False

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Open the log."""

    @abc.abstractmethod
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is waiting, and close."""

    @abc.abstractmethod
    async def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer: raise its epoch and return it; older writers are fenced.

        Args:
            run_id: The run.
            listener: Told whenever numbers of this run are committed.
        """

    @abc.abstractmethod
    def release(self, run_id: str, epoch: int) -> None:
        """Be no longer the run's writer: its listener is told nothing more, and nothing of it is kept in memory."""

    @abc.abstractmethod
    async def owner(self, run_id: str) -> int | None:
        """Return the id of the living process that claimed a run last; ``None`` where there is none any more."""

    @abc.abstractmethod
    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number events and hand them over to be written.

        Returns:
            The events as they are kept, numbered without a gap from the run's last.

        Raises:
            FencedError: If it is known already that a newer epoch owns the run.
            JournalError: If the log is closed.
        """

    @abc.abstractmethod
    def check(self) -> None:
        """Refuse what would add to a log that is full.

        Raises:
            JournalError: If no further action may start.
        """

    @abc.abstractmethod
    async def barrier(self, run_id: str) -> None:
        """Wait until everything appended so far is on stable storage.

        Args:
            run_id: The run on whose behalf; only what concerns it is raised.

        Raises:
            JournalError: If it cannot be; a later barrier may succeed.
            FencedError: If a newer epoch owns the run.
        """

    @abc.abstractmethod
    async def read(
        self, run_id: str, after: int = 0, *, limit: int = 1000, types: Collection[str] | None = None
    ) -> list[Event]:
        """Read committed events of a run with numbers above ``after``, oldest first; ``types`` are globs."""

    @abc.abstractmethod
    async def bounds(self, run_id: str) -> tuple[int, int]:
        """Return the run's first and last kept numbers; ``(1, 0)`` where there are none."""

    @abc.abstractmethod
    async def wait(self, run_id: str, after: int) -> None:
        """Wait until a number above ``after`` is committed."""

    @abc.abstractmethod
    async def wait_all(self, after: int) -> None:
        """Wait until an event of any run with a position above ``after`` is committed."""

    @abc.abstractmethod
    async def trim(self, run_id: str, before: int) -> None:
        """Forget the run's events with numbers below ``before``; readers are told of the gap."""

    @abc.abstractmethod
    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """List the log's runs, newest first."""

    @abc.abstractmethod
    async def read_all(self, after: int = 0, *, limit: int = 1000) -> list[LogEntry]:
        """Read committed events of all runs with positions above ``after``, in the order of their commit."""


def matches(kind: str, types: Collection[str] | None) -> bool:
    """Whether an event's type is one of these names or globs."""
    return types is None or any(kind == wanted or fnmatchcase(kind, wanted) for wanted in types)


def fenced(run_id: str) -> FencedError:
    """Make the error of a writer that a newer one has replaced."""
    return FencedError(f"the run {run_id} belongs to another writer")


@dataclass(eq=False)
class _MemoryRun:
    """One run's events in memory."""

    epoch: int = 0
    claimed: bool = False
    first: int = 1
    events: list[Event] = field(default_factory=list)
    listener: Committed | None = None
    grown: anyio.Event | None = None

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1


class MemoryLog(EventLog):
    """Keeps events in memory; bounded, and never trims by itself.

    Args:
        limit: Events that it takes before `barrier` refuses, so that no further action starts.
    """

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._limit = limit
        self._runs: dict[str, _MemoryRun] = {}
        self._entries: list[LogEntry] = []
        self._position = 0
        self._grown: anyio.Event | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<MemoryLog {len(self._runs)} runs, {len(self._entries)} events>"

    async def __aenter__(self) -> Self:
        """Open the log; nothing needs opening."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the log; what it holds can still be read."""

    async def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer; see `EventLog.claim`."""
        run = self._runs.setdefault(run_id, _MemoryRun())
        run.epoch += 1
        run.claimed = True
        run.listener = listener
        return run.epoch

    async def owner(self, run_id: str) -> int | None:
        """Return this process where it has claimed the run; see `EventLog.owner`."""
        run = self._runs.get(run_id)
        return os.getpid() if run is not None and run.claimed else None

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number and keep events; see `EventLog.append`."""
        run = self._runs.get(run_id)
        if run is None or epoch != run.epoch:
            raise fenced(run_id)
        numbered = [event.numbered(seq) for seq, event in enumerate(events, run.last + 1)]
        for event in numbered:
            self._position += 1
            run.events.append(event)  # type: ignore[arg-type]
            self._entries.append(LogEntry(self._position, event))  # type: ignore[arg-type]
        if run.listener is not None:
            run.listener(run.last)
        if run.grown is not None:
            run.grown.set()
            run.grown = None
        if self._grown is not None:
            self._grown.set()
            self._grown = None
        return numbered

    def release(self, run_id: str, epoch: int) -> None:
        """Forget the run's writer; see `EventLog.release`."""
        run = self._runs.get(run_id)
        if run is not None and run.epoch == epoch:
            run.listener, run.claimed = None, False
            run.epoch += 1

    async def barrier(self, run_id: str) -> None:
        """Refuse when the log is full; memory has no other barrier."""
        del run_id
        self.check()

    def check(self) -> None:
        """Refuse further actions when the log is full; see `EventLog.check`."""
        if len(self._entries) >= self._limit:
            raise JournalError(
                f"the memory log holds {len(self._entries)} events, its limit", hint="use a SqliteLog for long runs"
            )

    async def read(
        self, run_id: str, after: int = 0, *, limit: int = 1000, types: Collection[str] | None = None
    ) -> list[Event]:
        """Read a run's events; see `EventLog.read`."""
        run = self._runs.get(run_id)
        if run is None:
            return []
        kept = run.events[max(0, after + 1 - run.first) :]
        return [event for event in kept if matches(event.type, types)][:limit]

    async def bounds(self, run_id: str) -> tuple[int, int]:
        """Return the first and last kept numbers; see `EventLog.bounds`."""
        run = self._runs.get(run_id)
        return (run.first, run.last) if run is not None else (1, 0)

    async def wait(self, run_id: str, after: int) -> None:
        """Wait for a number above ``after``; see `EventLog.wait`."""
        run = self._runs.setdefault(run_id, _MemoryRun())
        while run.last <= after:
            run.grown = run.grown or anyio.Event()
            await run.grown.wait()

    async def wait_all(self, after: int) -> None:
        """Wait for a position above ``after``; see `EventLog.wait_all`."""
        while self._position <= after:
            self._grown = self._grown or anyio.Event()
            await self._grown.wait()

    async def trim(self, run_id: str, before: int) -> None:
        """Forget old events; see `EventLog.trim`."""
        run = self._runs.get(run_id)
        if run is None:
            return
        dropped = run.events[: max(0, before - run.first)]
        if dropped:
            gone = {id(event) for event in dropped}
            run.events = run.events[len(dropped) :]
            run.first += len(dropped)
            self._entries = [entry for entry in self._entries if id(entry.event) not in gone]

    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """List runs, newest first; see `EventLog.runs`."""
        found = [
            RunSummary(run_id, run.events[0].time, run.events[-1].time, run.last, run.events[-1].type == "run.finished")
            for run_id, run in self._runs.items()
            if run.events
        ]
        return sorted(found, key=lambda summary: summary.started_at, reverse=True)[:limit]

    async def read_all(self, after: int = 0, *, limit: int = 1000) -> list[LogEntry]:
        """Read the events of all runs; see `EventLog.read_all`."""
        start = bisect.bisect_right(self._entries, after, key=lambda entry: entry.position)
        return self._entries[start : start + limit]


def died(run_id: str) -> ConflictError:
    """Make the error of whoever waits for what comes of a run whose process is gone."""
    return ConflictError(f"the run {run_id} died: it has no end", hint=f"deskhand recover {run_id}")
