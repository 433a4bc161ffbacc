"""How events reach subscribers: one ring per live run, and a cursor each.

A subscriber costs nothing while it waits, and a slow one slows nobody: what has left the ring it reads from the log.
Transient events live in the ring alone, so a subscriber that lags misses some of those, never a durable one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import anyio
import anyio.lowlevel

from deskhand.errors import InvalidInputError, JournalError, NotFoundError
from deskhand.harness.events import Event, EventBase, StreamGap
from deskhand.harness.log import EventLog, matches

__all__ = ["EventStream", "Feed", "event_name", "subscribe"]

RING = 4096
"""Events that the ring of a live run holds."""

_PAGE = 500
_LAST = "run.finished"
_GAP = "stream.gap"
_BREATHER = 255


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events that a subscriber takes at once, from one absolute index to another."""

    start: int
    stop: int
    events: Sequence[EventBase]
    seq: int  # the last number among them; 0 where there is none


_NOTHING = _Batch(-1, -1, (), 0)


class Feed:
    """The one writer's door to a run's log, and the ring that subscribers of this process read."""

    def __init__(self, log: EventLog, run_id: str, ring: int = RING) -> None:
        self._log = log
        self._run_id = run_id
        self._size = ring
        self._epoch = 0
        self._ring: deque[EventBase] = deque()
        self._base = 0  # the absolute index of the ring's first event
        self._visible = 0  # the absolute index behind the last event that subscribers may see
        self._committed = 0
        self._last = 0
        self._dropped = 0  # the highest number that has left the ring
        self._grown: anyio.Event | None = None  # only while somebody waits, so that idle subscribers cost nothing
        self._wakes = 0
        self._taken = _NOTHING
        self._refused: JournalError | None = None
        self._failed: JournalError | None = None

    @classmethod
    async def open(cls, log: EventLog, run_id: str, *, ring: int = RING) -> Self:
        """Become the run's writer."""
        feed = cls(log, run_id, ring)
        feed._epoch = await log.claim(run_id, feed._commit)
        first, last = await log.bounds(run_id)
        feed._last = feed._committed = feed._dropped = last if last >= first else 0
        return feed

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<Feed {self._run_id} epoch {self._epoch}: {self._last} appended, {self._committed} committed>"

    @property
    def last_seq(self) -> int:
        """The newest number."""
        return self._last

    @property
    def wakes(self) -> int:
        """How often those who wait were woken, all at once each time."""
        return self._wakes

    def emit(self, event: EventBase) -> None:
        """Hand an event to the log and the subscribers; a durable one is numbered.

        Never raises: what the log could not take, `barrier` and `check` tell.
        """
        if event.durable:
            try:
                [event] = self._log.append(self._run_id, self._epoch, (event,))
            except JournalError as error:
                self._refused = error
                return
            self._last = event.seq or 0
        self._ring.append(event)
        if len(self._ring) > self._size:
            gone = self._ring.popleft()
            self._base += 1
            self._dropped = max(self._dropped, gone.seq or 0)
        self._show()

    def check(self) -> None:
        """Tell at once, without waiting, what is known to keep the log from taking more.

        Raises:
            FencedError: If another writer owns the run.
            JournalError: If the log is full or closed.
        """
        if self._refused is not None:
            raise self._refused
        self._log.check()

    async def barrier(self) -> None:
        """Wait until everything emitted so far is on stable storage.

        Raises:
            FencedError: If another writer owns the run.
            JournalError: If the log cannot be written.
        """
        self.check()
        await self._log.barrier(self._run_id)

    def close(self) -> None:
        """Write no more; subscribers still get everything that was emitted."""
        self._log.release(self._run_id, self._epoch)

    def fail(self, error: JournalError) -> None:
        """Write no more, the log having refused the run's end: subscribers get what was committed, then this error."""
        self._failed = error
        self.wake()

    def subscribe(self, *, after: int = 0, types: Collection[str | type[EventBase]] | None = None) -> EventStream:
        """Follow the run's events behind a number."""
        return EventStream(self._log, self._run_id, after, types, self)

    def _commit(self, seq: int) -> None:
        self._committed = max(self._committed, seq)
        self._show()

    def _show(self) -> None:
        """Let subscribers see what is committed, in order, and wake those that wait."""
        end = self._base + len(self._ring)
        visible = max(self._visible, self._base)
        while visible < end:
            seq = self._ring[visible - self._base].seq
            if seq is not None and seq > self._committed:
                break
            visible += 1
        if visible != self._visible:
            self._visible = visible
            if self._grown is not None:
                self.wake()

    # What an EventStream needs

    def wake(self) -> None:
        """Let those who wait look again."""
        if self._grown is not None:
            self._wakes += 1
            self._grown.set()
            self._grown = None

    def join(self, seq: int) -> int | None:
        """Return the absolute index behind a number, or ``None`` where the ring no longer reaches back so far."""
        if self._dropped > seq:
            return None
        if seq >= self._last:
            after = next((n for n, event in enumerate(reversed(self._ring)) if event.seq is not None), len(self._ring))
            return self._base + len(self._ring) - after
        for index, event in enumerate(self._ring):
            if event.seq is not None and event.seq > seq:
                return self._base + self._transient_before(index)
        return self._base + len(self._ring)

    def _transient_before(self, index: int) -> int:
        """Step back over the transient events that came before a durable one."""
        while index and self._ring[index - 1].seq is None:
            index -= 1
        return index

    def take(self, cursor: int) -> _Batch | None:
        """Return the events that can be seen behind an index; ``None`` where they left the ring."""
        if cursor >= self._visible:
            return _NOTHING
        batch = self._taken
        if batch.start == cursor and batch.stop == self._visible:
            return batch  # those who read at the same place share it
        if cursor < self._base:
            return None
        events = tuple(islice(self._ring, cursor - self._base, self._visible - self._base))
        seq = next((event.seq for event in reversed(events) if event.seq is not None), 0)
        self._taken = _Batch(cursor, self._visible, events, seq)
        return self._taken

    def growth(self) -> anyio.Event:
        """Return what is set when there is more to be seen.

        Raises:
            JournalError: If there will never be more, though the run's end is missing.
        """
        if self._failed is not None:
            raise self._failed
        if self._grown is None:
            self._grown = anyio.Event()
        return self._grown


class EventStream:
    """The events of one run behind a number: an async iterator that ends after ``run.finished``.

    It can be left at any time; `aclose` ends it for whoever else iterates.
    """

    __slots__ = (
        "_batch",
        "_closed",
        "_cursor",
        "_feed",
        "_index",
        "_log",
        "_run_id",
        "_seq",
        "_started",
        "_types",
        "_waiting",
    )

    def __init__(
        self,
        log: EventLog,
        run_id: str,
        after: int,
        types: Collection[str | type[EventBase]] | None,
        feed: Feed | None = None,
    ) -> None:
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise InvalidInputError(f"after={after!r} is no event number", hint="the last seq already seen, or 0")
        self._log = log
        self._run_id = run_id
        self._seq = after
        self._types = None if types is None else tuple(event_name(kind) for kind in types)
        self._feed = feed
        self._cursor: int | None = None
        self._batch: Sequence[EventBase] = ()
        self._index = 0
        self._started = False
        self._closed = False
        self._waiting: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<EventStream {self._run_id} after {self._seq}>"

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            InvalidInputError: If the stream was to begin behind the run's last event.
            NotFoundError: If the log has no such run.
            JournalError: If the log cannot be read, or could not take the run's last events.
        """
        while not self._closed:
            if self._index >= len(self._batch) and not self._advance():
                if self._cursor is None or self._feed is None or self._ended():
                    await self._catch_up()
                else:
                    await self._feed.growth().wait()
                continue
            event = self._batch[self._index]
            self._index += 1
            if self._types is None or event.type == _GAP or matches(event.type, self._types):
                return event  # type: ignore[return-value]
            if self._index & _BREATHER == 0:
                await anyio.lowlevel.checkpoint()  # a filter that lets little through must not hold up the loop
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream."""
        self._closed = True
        self._batch = ()
        if self._waiting is not None:
            self._waiting.cancel()
        if self._feed is not None:
            self._feed.wake()

    def _advance(self) -> bool:
        """Take the next batch from the ring; tell whether there was one."""
        if self._cursor is None or self._feed is None:
            return False
        batch = self._feed.take(self._cursor)
        if batch is None:
            self._cursor = None  # too slow for the ring: read on in the log
            return False
        if not batch.events:
            return False
        self._batch, self._index, self._cursor = batch.events, 0, batch.stop
        self._seq = batch.seq or self._seq
        return True

    def _ended(self) -> bool:
        """Close the stream behind the run's last event."""
        if self._batch and self._batch[-1].type == _LAST:
            self._closed = True
        return self._closed

    async def _catch_up(self) -> None:
        """Go on in the ring where it reaches back to the last number seen, else in the log."""
        if self._ended():
            return
        if not self._started:
            await self._start()
        if self._feed is not None:
            self._cursor = self._feed.join(self._seq)
            if self._cursor is not None:
                return
        with anyio.CancelScope() as self._waiting:
            await self._read()

    async def _start(self) -> None:
        """Refuse a beginning that cannot be."""
        self._started = True
        last = self._feed.last_seq if self._feed is not None else (await self._log.bounds(self._run_id))[1]
        if self._feed is None and last == 0:
            raise NotFoundError(f"the log has no run {self._run_id!r}", hint="see the list: deskhand events")
        if self._seq > last:
            raise InvalidInputError(
                f"after={self._seq} lies behind the run's last event, {last}", hint="give the last seq already seen"
            )

    async def _read(self) -> None:
        """Read on in the log; tell of a gap where history was trimmed; wait where there is nothing yet."""
        events = await self._log.read(self._run_id, self._seq, limit=_PAGE)
        if events:
            self._receive(events)
            return
        first, last = await self._log.bounds(self._run_id)
        if last > self._seq and first > last:
            self._receive([self._gap(last)])
            return
        newest = await self._log.read(self._run_id, last - 1, limit=1) if last >= first else []
        if self._seq >= last and newest and newest[0].type == _LAST:
            self._closed = True
            return
        await self._log.wait(self._run_id, self._seq)

    def _receive(self, events: Collection[EventBase]) -> None:
        """Queue events for the reader, with a gap in front where numbers are missing."""
        batch: list[EventBase] = []
        for event in events:
            if event.seq is not None:
                if event.seq > self._seq + 1 and event.type != _GAP:
                    batch.append(self._gap(event.seq - 1))
                self._seq = event.seq
            batch.append(event)
        self._batch, self._index = batch, 0

    def _gap(self, to_seq: int) -> EventBase:
        """Make the event that tells of numbers that are gone."""
        gap = StreamGap.model_validate(
            {
                "source": f"/runs/{self._run_id}",
                "run_id": self._run_id,
                "data": {"from_seq": self._seq + 1, "to_seq": to_seq},
            }
        )
        self._seq = to_seq
        return gap


def event_name(kind: str | type[EventBase]) -> str:
    """Return the type's name or glob that a subscriber gave."""
    return kind if isinstance(kind, str) else str(kind.model_fields["type"].default)


def subscribe(
    log: EventLog, run_id: str, *, after: int = 0, types: Collection[str | type[EventBase]] | None = None
) -> EventStream:
    """Follow a run through its log alone: one of another process, or one that has ended.

    Args:
        log: The log.
        run_id: The run.
        after: The last number already seen.
        types: Only these: names, globs (``action.*``) or event classes.
    """
    return EventStream(log, run_id, after, types)
