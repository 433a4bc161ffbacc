"""Following every run of a log at once, in the order of commits."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Self

import anyio

from deskhand.errors import InvalidInputError
from deskhand.harness.events import EventBase
from deskhand.harness.log import EventLog, LogEntry, matches
from deskhand.harness.stream import event_name

__all__ = ["LogStream"]

_PAGE = 500


class LogStream:
    """The durable events of all runs behind a position: an async iterator of entries that ends when it is closed.

    An entry's ``position`` is the cursor with which to go on later. Positions rise; they may leave some out.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        after: int = 0,
        types: Collection[str | type[EventBase]] | None = None,
        workspace: str | None = None,
        user: str | None = None,
    ) -> None:
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise InvalidInputError(f"after={after!r} is no position", hint="an entry's position, or 0")
        self._log = log
        self._position = after
        self._types = None if types is None else tuple(event_name(kind) for kind in types)
        self._workspace = workspace
        self._user = user
        self._page: deque[LogEntry] = deque()
        self._last = False
        self._closed = False
        self._waiting: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<LogStream after {self._position}>"

    def __aiter__(self) -> Self:
        """Iterate over the entries."""
        return self

    async def __anext__(self) -> LogEntry:
        """Return the next entry.

        Raises:
            JournalError: If the log cannot be read.
        """
        while not self._closed:
            if not self._page:
                await self._fill()
                continue
            entry = self._page.popleft()
            self._position = entry.position
            if self._wants(entry):
                return entry
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream at once."""
        self._closed = True
        self.end()

    def end(self) -> None:
        """End the stream behind what is in the log by now, instead of waiting for more."""
        self._last = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _fill(self) -> None:
        last = self._last  # (told to end while it reads, it reads once more)
        self._page.extend(await self._log.read_all(self._position, limit=_PAGE))
        if self._page:
            return
        if last:
            self._closed = True
            return
        if self._last:
            return
        with anyio.CancelScope() as self._waiting:
            await self._log.wait_all(self._position)
        self._waiting = None

    def _wants(self, entry: LogEntry) -> bool:
        event = entry.event
        return (
            (self._workspace is None or event.workspace_id == self._workspace)
            and (self._user is None or event.user_id == self._user)
            and matches(event.type, self._types)
        )
