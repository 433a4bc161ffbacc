"""A run's switch: go on, pause, one action at a time, stop."""

from __future__ import annotations

import anyio

from deskhand.errors import RunStoppedError

__all__ = ["Control"]


class Control:
    """What a run was told, and the gate that every action passes."""

    def __init__(self) -> None:
        self._changed = anyio.Event()
        self._paused = False
        self._permits = 0
        self._stop_reason: str | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        state = "stopping" if self.stopping else "paused" if self._paused else "open"
        return f"<Control {state}>"

    @property
    def paused(self) -> bool:
        """Whether actions wait."""
        return self._paused

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
        return self._paused and not stepped and not self.stopping

    async def passed(self) -> bool:
        """Wait while the run is paused, then take the permit for one action; tell whether it took one.

        Raises:
            RunStoppedError: If the run was stopped.
        """
        while True:
            self.check()
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
