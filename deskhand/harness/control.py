"""A run's switch: go on, pause, one action at a time, a person's turn, stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from deskhand.errors import ConflictError, RunStoppedError

__all__ = ["Control", "Stopwatch"]


class Stopwatch:
    """Counts a run's time; it stands still while the run waits for a person."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._since = time.monotonic()
        self._holders = 0

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return self._elapsed if self._holders else self._elapsed + time.monotonic() - self._since

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it stand still for the time of a block."""
        self._elapsed = self.elapsed
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._since = time.monotonic()


class Control:
    """What a run was told, and the gate that every action passes."""

    def __init__(self) -> None:
        self._changed = anyio.Event()
        self._paused = False
        self._permits = 0
        self._holder: str | None = None
        self._stop_reason: str | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        held = f"held by {self._holder}" if self._holder is not None else None
        return f"<Control {'stopping' if self.stopping else held or ('paused' if self._paused else 'open')}>"

    @property
    def paused(self) -> bool:
        """Whether actions wait for `resume`."""
        return self._paused

    @property
    def holder(self) -> str | None:
        """The person who has the computers instead of the run."""
        return self._holder

    @property
    def waits(self) -> bool:
        """Whether an action would have to wait now."""
        return (self._paused and not self._permits) or self._holder is not None

    @property
    def stopping(self) -> bool:
        """Whether no further action may start."""
        return self._stop_reason is not None

    def pause(self) -> bool:
        """Let no further action start; tell whether that is news."""
        news = not self._paused
        self._paused, self._permits = True, 0
        return news

    def resume(self) -> bool:
        """Let actions start again; tell whether that is news."""
        news = self._paused
        self._paused, self._permits = False, 0
        self._wake()
        return news

    def step(self) -> bool:
        """Let one action start, then pause; tell whether the pause is news."""
        news = not self._paused
        self._paused = True
        self._permits += 1
        self._wake()
        return news

    def take(self, actor: str) -> None:
        """Give the computers to a person.

        Raises:
            ConflictError: If a person has them.
        """
        if self._holder is not None:
            raise ConflictError(f"{self._holder} has the computer", hint="wait until it is handed back")
        self._holder = actor

    def give_back(self) -> None:
        """Give the computers back to the run."""
        self._holder = None
        self._wake()

    def stop(self, reason: str) -> bool:
        """Let no further action start, for good; tell whether that is news."""
        news = self._stop_reason is None
        if news:
            self._stop_reason = reason
        self._wake()
        return news

    def check(self) -> None:
        """Raise if the run was stopped.

        Raises:
            RunStoppedError: If it was.
        """
        if self._stop_reason is not None:
            raise RunStoppedError("the run was stopped", reason=self._stop_reason)

    def holds(self, *, stepped: bool) -> bool:
        """Whether an action that has passed must wait again: the run was paused since, and not for its own step."""
        return not self.stopping and (self._holder is not None or (self._paused and not stepped))

    async def passed(self) -> bool:
        """Wait while the run is paused, or a person has the computers, then take the permit for one action.

        Returns:
            Whether it took one.

        Raises:
            RunStoppedError: If the run was stopped.
        """
        while True:
            self.check()
            if self._holder is None:
                if not self._paused:
                    return False
                if self._permits:
                    self._permits -= 1
                    return True
            await self._changed.wait()

    async def stopped(self) -> None:
        """Wait until the run is stopped."""
        while self._stop_reason is None:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
