"""What people say to a run while it goes: taken at once, before the next turn, or when the run would be done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import anyio

from deskhand.errors import ConflictError, InvalidInputError

__all__ = ["Inbox", "When", "check_length"]

When: TypeAlias = Literal["now", "next", "idle"]
"""When a message counts: what is under way is broken off for it; before the next turn; when the run would be done."""

MOST_WAITING: Final = 100
LONGEST: Final = 64 * 1024
"""Characters of one message."""


def check_length(text: str | None, what: str) -> None:
    """Check what a person says to a run, which becomes an event and is told to a model.

    Raises:
        InvalidInputError: If it is too long.
    """
    if text is not None and len(text) > LONGEST:
        raise InvalidInputError(f"the {what} has {len(text)} characters; allowed are {LONGEST}")


class Inbox:
    """The messages of one run that its harness has not taken yet."""

    def __init__(self) -> None:
        self._messages: deque[tuple[When, str]] = deque()
        self._came = anyio.Event()
        self._interrupts: set[Callable[[], None]] = set()
        self._branches: dict[str, Inbox] = {}

    def __repr__(self) -> str:
        """How many wait."""
        return f"<Inbox {len(self._messages)} messages>"

    def __len__(self) -> int:
        """How many wait."""
        return len(self._messages)

    @property
    def urgent(self) -> bool:
        """Whether a message waits for which what is under way must be broken off."""
        return any(when == "now" for when, _ in self._messages)

    @contextmanager
    def branch(self, name: str) -> Iterator[Inbox]:
        """Let a loop have an inbox of its own for the time of a block: what is put here, each of them gets.

        Raises:
            ConflictError: If one of that name is there.
        """
        if name in self._branches:
            raise ConflictError(f"{name} has a loop of its own already", hint="one loop a computer")
        branch = self._branches[name] = Inbox()
        branch._messages.extend(self._messages)
        try:
            yield branch
        finally:
            del self._branches[name]

    def put(self, text: str, when: When = "next", *, to: str | None = None) -> None:
        """Add a message.

        Args:
            text: What is said.
            when: When it counts.
            to: The branch that it is for; all of them where not given.

        Raises:
            InvalidInputError: If it is empty or too long, or too many wait, or there is no such branch.
        """
        if to is not None:
            if to not in self._branches:
                raise InvalidInputError(f"{to} has no loop of its own", hint="say it to the whole run")
            self._branches[to].put(text, when)
            return
        if self._branches:
            for branch in self._branches.values():
                branch.put(text, when)
            return
        if not text.strip():
            raise InvalidInputError("the message is empty", hint="say what the run is to do otherwise")
        check_length(text, "message")
        if len(self._messages) >= MOST_WAITING:
            raise InvalidInputError(f"{MOST_WAITING} messages wait already", hint="wait until the run has read them")
        self._messages.append((when, text))
        self._came.set()
        self._came = anyio.Event()
        if when == "now":
            for interrupt in tuple(self._interrupts):
                interrupt()

    def take(self, *, idle: bool = False) -> list[str]:
        """Take the messages that count now, oldest first.

        Args:
            idle: Whether the run would be done, so that those count too that were put for then.
        """
        taken = [text for when, text in self._messages if idle or when != "idle"]
        self._messages = deque(() if idle else (one for one in self._messages if one[0] == "idle"))
        return taken

    async def wait(self) -> list[str]:
        """Wait for a message, and take all that there are."""
        while not self._messages:
            await self._came.wait()
        return self.take(idle=True)

    def on_urgent(self, interrupt: Callable[[], None]) -> Callable[[], None]:
        """Have something called for each urgent message; returns what ends that."""
        self._interrupts.add(interrupt)
        return lambda: self._interrupts.discard(interrupt)
