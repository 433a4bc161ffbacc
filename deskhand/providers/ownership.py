"""Who ends what was created: one task of the provider's own for each computer, whatever becomes of whoever asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import anyio
import anyio.abc

from deskhand.errors import ComputerGoneError, DeadlineExceededError, DeskhandError
from deskhand.providers.contract import ComputerInfo

__all__ = ["Find", "Hosted", "Owner"]

Find: TypeAlias = Callable[[], Awaitable[str | None]]
"""Looks for a computer whose answer was lost, and returns its id."""


class Hosted(Protocol):
    """What an owner must know of a computer."""

    @property
    def info(self) -> ComputerInfo:
        """What is known of it."""
        ...

    @property
    def kept(self) -> bool:
        """Whether it was given away."""
        ...

    @property
    def is_ended(self) -> bool:
        """Whether it was ended for certain."""
        ...

    async def wait_until_up(self) -> None:
        """Wait until it can be used."""

    async def destroy(self) -> None:
        """End it for good."""


ComputerT = TypeVar("ComputerT", bound=Hosted)

_MAKING: Final = 300.0
"""Seconds that a computer may take from the request to a desktop that is up."""
_GRACE: Final = 10.0
"""Seconds for an answer that is under way when nobody waits for it any more: with it, nothing needs looking for."""
_ENDING: Final = 45.0
"""Seconds that ending one may take; after that its automatic stop has to do."""


class _Holding(Generic[ComputerT]):
    """One computer that is the provider's, from the request that creates it to its end.

    Attributes:
        called: What it is called in messages.
        find: Finds it where its answer was lost.
        computer: The computer, as soon as there is one.
        error: Why there is none that can be used.
        left: Why it could not be ended.
        settled: Set when it is known whether there is one.
        is_abandoned: Whether nobody will use it.
        scope: Bounds its creation.
        waiting: Bounds the time until it is up.
    """

    def __init__(self, called: str, find: Find) -> None:
        self.called = called
        self.find = find
        self.computer: ComputerT | None = None
        self.error: DeskhandError | None = None
        self.left: DeskhandError | None = None
        self.settled = anyio.Event()
        self.is_abandoned = False
        self.scope = anyio.CancelScope(shield=True)
        self.waiting = anyio.CancelScope()

    @property
    def is_to_end(self) -> bool:
        """Whether it is there, or may be, and was not given away."""
        if self.computer is None:
            return self.error is None or self.error.effect != "no"
        return not self.computer.kept and not self.computer.is_ended


class Owner:
    """Makes and ends the computers of one provider, in tasks that outlive whoever asked.

    Args:
        provider: Whose they are, as messages say it.
        destroy: Ends the computer with an id for good.
        tasks: Where that is done.
    """

    def __init__(self, provider: str, destroy: Callable[[str], Awaitable[None]], tasks: anyio.abc.TaskGroup) -> None:
        self._provider = provider
        self._destroy = destroy
        self._tasks = tasks
        self._held: set[_Holding[Any]] = set()

    def computer(self, computer_id: str) -> Hosted | None:
        """Return the computer with that id, if it is one of these."""
        computers: list[Hosted | None] = [holding.computer for holding in self._held]
        return next((one for one in computers if one is not None and one.info.id == computer_id), None)

    def succeed(self, made: Hosted, computer: Hosted) -> None:
        """Let one computer stand from now on for the machine of another, which was made here: whoever has it goes on.

        What it was made here as ends with it. A machine that was given back already is whose it was.
        """
        for holding in tuple(self._held):
            if holding.computer is made and not made.kept:
                holding.computer = computer
            elif holding.computer is made or (holding.computer is computer and not made.kept):
                self._held.discard(holding)

    async def make(self, called: str, begin: Callable[[], Awaitable[ComputerT]], find: Find) -> ComputerT:
        """Create a computer, and end it again where nobody waits for it any more, or it does not come up.

        Args:
            called: What it is called.
            begin: Creates it.
            find: Finds it where the answer was lost.
        """
        holding = _Holding[ComputerT](called, find)
        self._held = {one for one in self._held if one.computer is None or not one.computer.is_ended}
        self._held.add(holding)
        self._tasks.start_soon(self._make, holding, begin, name=f"{self._provider} computer {called}")
        try:
            await holding.settled.wait()
        except BaseException:  # cancelled too
            self._abandon(holding)
            raise
        if holding.error is not None:
            raise holding.error
        if holding.computer is None or holding.is_abandoned:
            raise ComputerGoneError("the provider was left meanwhile", effect="no", provider=self._provider)
        return holding.computer

    async def _make(self, holding: _Holding[ComputerT], begin: Callable[[], Awaitable[ComputerT]]) -> None:
        with holding.scope:
            if not holding.is_abandoned:
                holding.scope.deadline = anyio.current_time() + _MAKING
            try:
                holding.computer = await begin()
                with holding.waiting:
                    await holding.computer.wait_until_up()
            except DeskhandError as error:
                holding.error = error
        if holding.scope.cancelled_caught:
            holding.error = DeadlineExceededError(
                f"the {self._provider} computer was not up in {_MAKING:g} s", provider=self._provider
            )
            await self._end(holding)
        elif holding.is_abandoned or (holding.error is not None and holding.computer is not None):
            await self._end(holding)
        elif holding.error is not None and not holding.is_to_end:
            self._held.discard(holding)  # one that is in doubt was looked for just now, and is when all ends
        holding.settled.set()

    def _abandon(self, holding: _Holding[Any]) -> None:
        if holding.is_abandoned:
            return
        holding.is_abandoned = True
        holding.waiting.cancel()
        if holding.settled.is_set():
            self._tasks.start_soon(self._end, holding)
        else:
            holding.scope.deadline = anyio.current_time() + _GRACE

    async def _end(self, holding: _Holding[Any]) -> None:
        """End a computer, or make sure that there is none; why it could not be ended is kept, to be told."""
        holding.left = None
        with anyio.move_on_after(_ENDING, shield=True) as scope:
            try:
                if holding.computer is not None:
                    await holding.computer.destroy()
                    self._held.discard(holding)
                elif holding.is_to_end:
                    await self._end_what_is_found(holding)
                else:
                    self._held.discard(holding)
            except DeskhandError as error:
                holding.left = error
        if scope.cancelled_caught:
            holding.left = DeadlineExceededError(
                f"{holding.called} did not end within {_ENDING:g} s", provider=self._provider
            )

    async def _end_what_is_found(self, holding: _Holding[Any]) -> None:
        """End a computer whose answer was lost; one that is not there yet is looked for again when all ends."""
        found = await holding.find()
        if found is None:
            return
        with suppress(ComputerGoneError):  # it is gone, which was to be reached
            await self._destroy(found)
        self._held.discard(holding)

    def release(self) -> None:
        """Begin to end what was made and neither ended nor given away."""
        for holding in self._held:
            if not holding.settled.is_set():
                self._abandon(holding)
            elif holding.is_to_end:
                self._tasks.start_soon(self._end, holding)

    def left_behind(self) -> list[DeskhandError]:
        """Return why computers could not be ended, each with a note that names it, once all tasks have ended."""
        left = [(holding, holding.left) for holding in self._held if holding.left is not None and holding.is_to_end]
        for holding, error in left:
            known = holding.computer.info.id if holding.computer is not None else holding.called
            error.add_note(f"the {self._provider} computer {known} may have been left behind: {error}")
        return [error for _, error in left]
