"""A person's turn at the computers of a run: exclusive, recorded, and told to the agent when it is over."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import anyio
from pydantic import JsonValue

from deskhand.errors import ConflictError, InvalidInputError, JournalError, RunStoppedError
from deskhand.harness.events import ControlReturned
from deskhand.harness.executor import UNGATED_STAGES, Executor
from deskhand.harness.inbox import LONGEST, check_length
from deskhand.harness.state import RunState
from deskhand.tools.calls import Frame, Observation, ToolCall

__all__ = ["LEASE", "Takeover"]

LEASE: Final = 900.0
"""Seconds without an action after which the computers go back to the run."""

_TOLD: Final = 20
"""Actions of a person that the agent is told of, the newest."""

_CLEANUP: Final = 10.0


class Takeover:
    """A person has the computers: the run's own actions wait until they are handed back.

    What the person does goes through the same executor, and is recorded under their name. It is a lease: without an
    action for its time, the computers go back by themselves.
    """

    def __init__(self, run: RunState, actor: str, lease: float) -> None:
        self._run = run
        self._actor = actor
        self._lease = lease
        self._until = time.monotonic() + lease
        self._began = time.monotonic()
        self._done: list[str] = []
        self._before: dict[str, str | None] = {
            key: computer.frame.sha256 if computer.frame else None for key, computer in run.computers.items()
        }
        self._executor = Executor(run, UNGATED_STAGES)
        self._over = anyio.Event()

    def __repr__(self) -> str:
        """Who has it."""
        return f"<Takeover by {self._actor}{', over' if self.over else ''}>"

    @property
    def over(self) -> bool:
        """Whether the computers went back."""
        return self._over.is_set()

    async def __aenter__(self) -> Self:
        """Return the takeover; leaving the block hands back."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hand back, if that has not been done."""
        if not self.over:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEANUP):
                await self.hand_back()

    async def act(self, call: str | ToolCall, /, **arguments: JsonValue) -> Observation:
        """Do one thing; coordinates are pixels of the newest frame.

        Args:
            call: A tool's name with its arguments as keywords, or a whole call.
            **arguments: The tool's arguments.

        Raises:
            ConflictError: If the computers went back already, or the run has ended.
        """
        if self.over:
            raise ConflictError(f"{self._actor} has handed the computer back", hint="take it over again")
        call = ToolCall(call, arguments) if isinstance(call, str) else call
        self._until = time.monotonic() + self._lease
        observation = await self._executor.execute(call, actor=f"user:{self._actor}")
        self._done.append(f"{observation.call.name} → {observation.outcome}")
        return observation

    async def look(self, computer_id: str | None = None) -> Frame | None:
        """Take a screenshot and return its frame; ``None`` where there is none to be had."""
        return (await self.act(ToolCall("screenshot", computer_id=computer_id))).frame

    async def hand_back(self, summary: str | None = None) -> None:
        """Give the computers back; the agent is told who had them, what was done, and whether the screen changed.

        Args:
            summary: What the person says about it.

        Raises:
            InvalidInputError: If that is too long; the person keeps the computers.
        """
        if self.over:
            return
        check_length(summary, "summary")
        self._over.set()
        changed = ""
        try:
            await self._release()
            changed = await self._look_again()
        finally:
            told = self._run.without_secrets(f"{self._told(summary)}{changed}")[:LONGEST]
            data: dict[str, JsonValue] = {
                "actor": self._actor,
                "summary": summary,
                "told": told,
                "actions": len(self._done),
                "duration": time.monotonic() - self._began,
            }
            self._run.emit(ControlReturned, data)
            self._run.control.give_back()
            with suppress(InvalidInputError):  # (a hundred messages wait: one more would not be heard either)
                self._run.inbox.put(told)

    async def expire(self) -> None:
        """Hand back when the lease has run out; returns when the computers went back, whoever gave them."""
        while not self.over:
            with anyio.move_on_after(max(0.0, self._until - time.monotonic())):
                await self._over.wait()
            if not self.over and time.monotonic() >= self._until:
                await self.hand_back(f"nothing was done for {self._lease:g} s")

    async def _release(self) -> None:
        for computer in self._run.computers.values():
            if computer.held:
                await self._quietly(ToolCall("left_mouse_up", computer_id=computer.id))

    async def _look_again(self) -> str:
        """Take a fresh frame of each computer, mark what was planned on earlier ones, and say what changed."""
        changed: list[str] = []
        for key, computer in self._run.computers.items():
            computer.watch.forgive()
            if "screenshot" not in computer.tools:
                continue
            computer.overtaken = self._actor
            seen = await self._quietly(ToolCall("screenshot", computer_id=key))
            if seen is not None and seen.frame is not None and seen.frame.sha256 != self._before[key]:
                changed.append(key)
        if not changed:
            return " The screen is as it was."
        return " The screen has changed since." if len(self._run.computers) == 1 else f" Changed: {', '.join(changed)}."

    async def _quietly(self, call: ToolCall) -> Observation | None:
        try:
            return await self._executor.execute(call, actor="deskhand")
        except (JournalError, RunStoppedError, ConflictError):
            return None  # the run is over, and says so itself

    def _told(self, summary: str | None) -> str:
        took = time.monotonic() - self._began
        lines = [f"{self._actor} had the computer for {took:.0f} s."]
        if self._done:
            lines.append(f"Done meanwhile: {'; '.join(self._done[-_TOLD:])}.")
        if summary:
            lines.append(f"{self._actor} says: {summary}")
        return " ".join(lines)
