"""How events reach subscribers: one ring per live run, and a cursor each.

A subscriber costs nothing while it waits, and a slow one slows nobody: what has left the ring it reads from the log.
Transient events live in the ring alone, so a subscriber that lags misses some of those, never a durable one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, Self

import anyio
import anyio.lowlevel

from deskhand.errors import InvalidInputError, JournalError, NotFoundError
from deskhand.harness.events import Event, EventBase, StreamGap
from deskhand.harness.lag import Lag
from deskhand.harness.log import EventLog, died, matches

__all__ = ["EventStream", "Feed", "event_name", "subscribe"]

RING = 4096
"""Events that the ring of a live run holds."""

_PAGE = 500
_LAST = "run.finished"
_GAP = "stream.gap"
_BREATHER = 255
_CROWD = 64
_OWNER = 2.0
"""Seconds between two looks whether the process that drives a run still lives."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events that a subscriber takes at once, from one absolute index to another."""

    start: int
    stop: int
    events: Sequence[EventBase]
    seq: int  # the last number among them; 0 where there is none


_NOTHING = _Batch(-1, -1, (), 0)
_NONE: Iterator[EventBase] = iter(())
_Phase = Literal["new", "open", "ended", "closed"]
"""Of a stream: not yet begun, following, nothing comes behind what it has, left."""

_OVER: Final = ("ended", "closed")


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
        self._waiters: list[asyncio.Future[None]] = []
        self._crowd = _CROWD  # how many may wait before those that gave up are cleared away
        self._wakes = 0
        self._taken = _NOTHING
        self._refused: JournalError | None = None
        self._failed: JournalError | None = None
        self._over = False
        self.lag: Lag | None = None

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
    def durable(self) -> bool:
        """Whether the log outlives a power cut."""
        return self._log.durable

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
            self._over = event.type == _LAST
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
            self.wake()

    # What an EventStream needs

    def wake(self) -> None:
        """Let those who wait look again."""
        if self._waiters:
            self._wakes += 1
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            if self.lag is not None:  # behind those who were woken: what went by then is what they took
                asyncio.get_running_loop().call_soon(self._took, self.lag, time.monotonic(), self.lag.spent)

    @staticmethod
    def _took(lag: Lag, since: float, spent: float) -> None:
        lag.took("a subscriber, or other code on the loop", time.monotonic() - since - (lag.spent - spent))

    def ends_at(self, seq: int) -> bool:
        """Whether nothing comes behind a number any more."""
        return self._over and seq >= self._last

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

    def growth(self) -> asyncio.Future[None]:
        """Return what is done once there is more to be seen.

        A bare future for each who waits, and nothing to undo for who gives up: where a thousand subscribers wait, every
        frame between them and it counts.

        Raises:
            JournalError: If there will never be more, though the run's end is missing.
        """
        if self._failed is not None:
            raise self._failed
        if len(self._waiters) >= self._crowd:
            self._waiters = [waiter for waiter in self._waiters if not waiter.done()]
            self._crowd = 2 * len(self._waiters) + _CROWD
        waiter: asyncio.Future[None] = asyncio.Future()
        self._waiters.append(waiter)
        return waiter


class EventStream:
    """The events of one run behind a number: an async iterator that ends after ``run.finished``.

    It can be left at any time; `aclose` ends it for whoever else iterates.
    """

    __slots__ = (
        "_batch",
        "_cursor",
        "_feed",
        "_log",
        "_orphaned",
        "_phase",
        "_run_id",
        "_seq",
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
        self._batch: Iterator[EventBase] = _NONE
        self._phase: _Phase = "new"
        self._waiting: anyio.CancelScope | None = None
        self._orphaned = False

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
            ConflictError: If the process that drove the run died, so that nothing comes until it is recovered.
        """
        while True:
            for event in self._batch:  # an iterator, which goes on where it was left
                if self._types is None or event.type == _GAP or matches(event.type, self._types):
                    return event  # type: ignore[return-value]
                if event.seq is not None and event.seq & _BREATHER == 0:
                    await anyio.lowlevel.checkpoint()  # a filter that lets little through must not hold up the loop
                    if self._phase == "closed":
                        break
            if self._phase in _OVER:
                raise StopAsyncIteration
            if not self._advance():
                if self._cursor is None or self._feed is None:
                    await self._catch_up()
                else:
                    await self._feed.growth()

    async def batch(self) -> list[Event]:
        """Return the next events, as many as there are and at least one; none once the stream has ended.

        Where many follow one run, or one writes what it gets to a socket, this costs a fraction of one by one.

        Raises:
            InvalidInputError: If the stream was to begin behind the run's last event.
            NotFoundError: If the log has no such run.
            JournalError: If the log cannot be read, or could not take the run's last events.
            ConflictError: If the process that drove the run died, so that nothing comes until it is recovered.
        """
        async for first in self:
            rest: list[Event] = list(self._batch)  # type: ignore[arg-type]
            if self._types is not None:
                rest = [event for event in rest if event.type == _GAP or matches(event.type, self._types)]
            return [first, *rest]
        return []

    async def aclose(self) -> None:
        """End the stream."""
        self._phase = "closed"
        self._batch = _NONE
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
        self._cursor = batch.stop
        self._seq = batch.seq or self._seq
        self._hand_on(batch.events)
        return True

    def _hand_on(self, events: Sequence[EventBase]) -> None:
        """Let the reader have events next; behind the run's last there is nothing."""
        if self._phase == "closed":  # meanwhile, by another task
            return
        if events[-1].type == _LAST:
            self._phase = "ended"
        self._batch = iter(events)

    async def _catch_up(self) -> None:
        """Go on in the ring where it reaches back to the last number seen, else in the log."""
        if self._phase == "new":
            await self._start()
        if self._feed is not None:
            if self._feed.ends_at(self._seq):
                self._phase = "ended"
                return
            self._cursor = self._feed.join(self._seq)
            if self._cursor is not None:
                return
        with anyio.CancelScope() as self._waiting:
            await self._read()

    async def _start(self) -> None:
        """Refuse a beginning that cannot be."""
        self._phase = "open"
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
            self._orphaned = False
            self._receive(events)
            return
        first, last = await self._log.bounds(self._run_id)
        if last > self._seq and first > last:
            self._receive([self._gap(last)])
            return
        newest = await self._log.read(self._run_id, last - 1, limit=1) if last >= first else []
        if self._seq >= last and newest and newest[0].type == _LAST:
            self._phase = "ended"
            return
        await self._await_more()

    async def _await_more(self) -> None:
        """Wait until there is more in the log, or it is time to look again whether there can be more.

        Raises:
            ConflictError: If there cannot: no process that lives drives the run.
        """
        if self._feed is None:
            if self._orphaned:  # (when the log was read last: what its owner had written by its death was found)
                raise died(self._run_id)
            if await self._log.owner(self._run_id) is None:
                self._orphaned = True
                return
        with anyio.move_on_after(None if self._feed is not None else _OWNER):
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
        self._hand_on(batch)

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
