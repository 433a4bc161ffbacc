"""Who holds a local computer: one task each; and those that were booted ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import anyio

from deskhand.errors import ComputerGoneError
from deskhand.providers.contract import ComputerStatus, ExternalComputer
from deskhand.providers.local.computer import LocalComputer, LocalSettings, boot_computer
from deskhand.providers.local.register import registered
from deskhand.providers.local.share import serve_computer

__all__ = ["Guest", "Holding", "WarmPool"]


class Holding:
    """One computer in the care of one task, which boots it, waits, and ends it.

    Whoever asked for it only borrows it: cancelling the borrower, by scope or natively, cuts neither its start nor its
    end in half.

    Attributes:
        computer_id: The computer's id.
        computer: The computer, once it is ready.
        error: What went wrong in booting or ending it.
        ready: Set once it has booted, or will not.
        ended: Set once nothing of it is left.
    """

    def __init__(self, computer_id: str, settings: LocalSettings) -> None:
        self.computer_id = computer_id
        self.computer: LocalComputer | None = None
        self.error: Exception | None = None
        self.ready: anyio.Event = anyio.Event()
        self.ended: anyio.Event = anyio.Event()
        self._settings = settings
        self._given = anyio.Event()
        self._shared = anyio.Event()
        # Shielded, so that `release` is its only end; every clean-up within bounds itself.
        self._life = anyio.CancelScope(shield=True)

    async def hold(self, boots: anyio.CapacityLimiter) -> None:
        """Boot the computer and hold it until it is released; never raises an error."""
        try:
            with self._life:
                async with AsyncExitStack() as entry, AsyncExitStack() as stack:
                    async with boots:
                        computer = await stack.enter_async_context(boot_computer(self.computer_id, self._settings))
                    computer.on_destroy(self.destroy)
                    self.computer = computer
                    self.ready.set()
                    await self._given.wait()
                    # It stays written down until nothing of it is left: that is when others have destroyed it.
                    path = entry.enter_context(registered(computer.info))
                    await stack.enter_async_context(serve_computer(computer, path))
                    self._shared.set()
                    await anyio.sleep_forever()
        except Exception as error:
            self.error = error
        finally:
            self.ready.set()
            self._shared.set()
            self.ended.set()

    async def give(self, *, name: str, metadata: Mapping[str, str], ttl: float | None) -> LocalComputer:
        """Wait for the computer and give it away: it gets its name, and this user's other processes can see it.

        Raises:
            ConfigError: If the machine lacks what it takes.
            ComputerGoneError: If it was released meanwhile.
        """
        await self.ready.wait()
        if self.computer is not None:
            self.computer.describe(name=name, metadata=metadata)
            if ttl is not None:
                self._life.deadline = anyio.current_time() + ttl
            self._given.set()
            await self._shared.wait()
        if self.error is not None:
            raise self.error
        if self.computer is None or self.ended.is_set():
            raise ComputerGoneError(
                "the computer was not created: its provider was left meanwhile", effect="no", provider="local"
            )
        return self.computer

    @property
    def is_usable(self) -> bool:
        """Whether it boots, or has booted and still runs."""
        return self.computer is None or self.computer.info.status is ComputerStatus.RUNNING

    def release(self) -> None:
        """Have the computer ended, or not booted; `ended` tells when that is done."""
        self._life.cancel()

    async def destroy(self) -> None:
        """End the computer and wait until nothing of it is left.

        Raises:
            Exception: What went wrong in ending it.
        """
        self.release()
        await self.ended.wait()
        if self.error is not None:
            raise self.error


class Guest:
    """The use of another process's computer, in the care of one task.

    Attributes:
        computer: The computer, once it is there.
        error: Why it is not.
        ready: Set once it is there, or will not be.
    """

    def __init__(self, computer_id: str) -> None:
        self.computer: ExternalComputer | None = None
        self.error: Exception | None = None
        self.ready: anyio.Event = anyio.Event()
        self._computer_id = computer_id
        self._stay = anyio.CancelScope()

    async def hold(self) -> None:
        """Attach to the computer and stay until dismissed; never raises an error."""
        from deskhand.providers.local.attached import attached_computer

        try:
            with self._stay:
                async with attached_computer(self._computer_id) as self.computer:
                    self.ready.set()
                    await anyio.sleep_forever()
        except Exception as error:
            self.error = error
        finally:
            self.ready.set()

    def dismiss(self) -> None:
        """Have the computer left alone."""
        self._stay.cancel()


class WarmPool:
    """Computers that were booted ahead; each is given away once, and replaced.

    Args:
        size: How many are kept ready.
        boot: Starts the booting of another.
    """

    def __init__(self, size: int, boot: Callable[[], Holding]) -> None:
        self._size = size
        self._boot = boot
        self._waiting: deque[Holding] = deque()

    def fill(self) -> None:
        """Have as many booted as are kept."""
        while len(self._waiting) < self._size:
            self._waiting.append(self._boot())

    def take(self) -> Holding | None:
        """Give one away, one that is ready before one that still boots, and have it replaced."""
        alive = [holding for holding in self._waiting if holding.is_usable and not holding.ended.is_set()]
        for lost in set(self._waiting).difference(alive):
            lost.release()
        if not alive:
            self._waiting.clear()
            self.fill()
            return None
        chosen = next((holding for holding in alive if holding.ready.is_set()), alive[0])
        self._waiting = deque(holding for holding in alive if holding is not chosen)
        self.fill()
        return chosen
