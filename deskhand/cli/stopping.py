"""Ctrl-C: once stops cleanly, twice stops now, and from any state the process ends soon after the second."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Protocol

import anyio

from deskhand.cli.exits import Exit

__all__ = ["Stopper", "stoppable"]

CLEAN_UP = 5.0
"""Seconds from the second signal until everything is cancelled."""

LAST = 11.0
"""Seconds from the second signal until the process ends, whatever it does."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stoppable(Protocol):
    """What a signal stops: a run."""

    def stop(self, *, now: bool = False, reason: str = "user") -> Awaitable[None]:
        """Let no further action start; with ``now`` also cancel what is in flight."""
        ...


class Stopper:
    """Takes the signals of one command: tells the run where there is one, else cancels the command."""

    def __init__(self, scope: anyio.CancelScope, say: Callable[[str], None]) -> None:
        self._scope = scope
        self._say = say
        self._run: Stoppable | None = None
        self.exit: Exit | None = None

    @contextmanager
    def stops(self, run: Stoppable) -> Iterator[None]:
        """Have signals stop this run while the block lasts, rather than cancel the command."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    async def receive(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Act on signals for as long as the command runs."""
        count = 0
        async for received in signals:
            count = count + 1 if received is signal.SIGINT else 2
            self.exit = self.exit or (Exit.INTERRUPTED if received is signal.SIGINT else Exit.TERMINATED)
            if self._run is None:
                self._scope.cancel()
            elif count == 1:
                self._say("stopping before the next action; Ctrl-C again stops now")
                await self._run.stop(reason="signal")
            else:
                self._say("stopping now")
                self._scope.deadline = min(self._scope.deadline, anyio.current_time() + CLEAN_UP)
                await self._run.stop(now=True, reason="signal")


class _LastResort:
    """Ends the process some seconds after the second signal, whatever the event loop is at."""

    def __init__(self) -> None:
        self._count = 0
        self._timer: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Count a signal; Python calls this between two bytecodes of the main thread."""
        self._count += 1 if number == signal.SIGINT else 2
        if self._count >= 2 and self._timer is None:
            code = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
            self._timer = threading.Timer(LAST, os._exit, (int(code),))
            self._timer.daemon = True
            self._timer.start()


@asynccontextmanager
async def stoppable(say: Callable[[str], None]) -> AsyncIterator[Stopper]:
    """Run the block so that signals stop it; `Stopper.exit` then says by which.

    Args:
        say: Prints a line for the person at the terminal.
    """
    last = _LastResort()
    failure: Exception | None = None
    with anyio.CancelScope() as scope:
        stopper = Stopper(scope, say)
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            for number in _SIGNALS:  # besides: the receiver hears of signals through the loop, which may be stuck
                signal.signal(number, last)
            async with anyio.create_task_group() as group:
                group.start_soon(stopper.receive, signals)
                try:
                    yield stopper
                except Exception as error:  # told to the task group, it would come out wrapped in a group
                    failure = error
                group.cancel_scope.cancel()
    if failure is not None:
        raise failure
