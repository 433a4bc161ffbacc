"""Collecting a run's events in a test, and waiting for one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Final, TypeVar, cast, overload

import anyio

from deskhand.errors import DeadlineExceededError, DeskhandError, NotFoundError
from deskhand.harness import EventStream, Run
from deskhand.harness.events import Event, EventBase

__all__ = ["CapturedEvents", "capture_events"]

EventT = TypeVar("EventT", bound=EventBase)
OutputT = TypeVar("OutputT")

DEADLINE: Final = 5.0
_CATCH_UP: Final = 5.0


class CapturedEvents(Sequence[Event]):
    """The events of a run so far, in order: a sequence that grows, and that can wait to grow."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._grown = anyio.Event()
        self._error: DeskhandError | None = None
        self._is_complete = False

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...

    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        """Return an event by its place, not its number."""
        return self._events[index]

    def __len__(self) -> int:
        """Count the events."""
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        """Iterate over the events that are there."""
        return iter(tuple(self._events))

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<CapturedEvents {', '.join(self.types) or 'none'}>"

    @property
    def types(self) -> list[str]:
        """The events' types, in order."""
        return [event.type for event in self._events]

    @property
    def is_complete(self) -> bool:
        """Whether ``run.finished`` has come, so that nothing follows."""
        return self._is_complete

    @overload
    def of(self, kind: type[EventT]) -> list[EventT]: ...

    @overload
    def of(self, kind: str) -> list[Event]: ...

    def of(self, kind: str | type[EventT]) -> list[Event] | list[EventT]:
        """Return the events of a type: its name, a glob (``action.*``) or an event class."""
        if isinstance(kind, str):
            return [event for event in self._events if fnmatchcase(event.type, kind)]
        return [cast("EventT", event) for event in self._events if isinstance(event, kind)]

    @overload
    async def until(self, kind: type[EventT], *, count: int = 1, timeout: float = DEADLINE) -> EventT: ...

    @overload
    async def until(self, kind: str, *, count: int = 1, timeout: float = DEADLINE) -> Event: ...

    async def until(self, kind: str | type[EventT], *, count: int = 1, timeout: float = DEADLINE) -> Event | EventT:
        """Wait until an event of a type is there, and return it; one that came before counts.

        Args:
            kind: The type's name, a glob (``action.*``) or an event class.
            count: Which of them: the first, the second, ...
            timeout: Seconds to wait at most.

        Raises:
            DeadlineExceededError: If it does not come in time; tells what came instead.
            NotFoundError: If the run has ended without it.
        """
        name = kind if isinstance(kind, str) else kind.__name__
        wanted = name if count == 1 else f"{name} number {count}"
        with anyio.move_on_after(timeout):
            while True:
                grown = self._grown
                found: Sequence[Event | EventT] = self.of(kind)
                if len(found) >= count:
                    return found[count - 1]
                if self._error is not None:
                    raise self._error
                if self._is_complete:
                    raise NotFoundError(f"the run has ended without {wanted}; it had {', '.join(self.types)}")
                await grown.wait()
        raise DeadlineExceededError(
            f"no {wanted} within {timeout:g} s; there came {', '.join(self.types) or 'nothing'}"
        )

    async def _follow(self, stream: EventStream) -> None:
        """Collect until the run ends."""
        try:
            async for event in stream:
                self._events.append(event)
                self._wake()
            self._is_complete = True
        except DeskhandError as error:
            self._error = error
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = anyio.Event()

    async def _finish(self, stream: EventStream) -> None:
        """Catch up with a run that has ended."""
        with anyio.move_on_after(_CATCH_UP):
            while not (self._is_complete or self._error):
                await self._grown.wait()
        await stream.aclose()


@asynccontextmanager
async def capture_events(
    run: Run[OutputT], *, types: Collection[str | type[EventBase]] | None = None, after: int = 0
) -> AsyncIterator[CapturedEvents]:
    """Collect a run's events while the block lasts; of a run that ended within, all of them.

    ::

        async with harness.start(computer, "goal") as run, capture_events(run) as events:
            started = await events.until("action.started")
            await run.result()
        assert events.types[-1] == "run.finished"

    Args:
        run: The run; what it did before is collected too.
        types: Only these: names, globs (``action.*``) or event classes.
        after: Only what comes behind this number.
    """
    events = CapturedEvents()
    stream = run.events(after=after, types=types)
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    try:
        tasks.start_soon(events._follow, stream)
        yield events
        if run.ended:
            await events._finish(stream)
    finally:
        tasks.cancel_scope.cancel()
        # Following keeps its errors to itself; told of the block's own error, the group would wrap that for nothing.
        await tasks.__aexit__(None, None, None)
