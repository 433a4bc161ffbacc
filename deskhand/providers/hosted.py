"""What every provider of hosted computers is: connections and computers that end in order, whoever is cancelled."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import ClassVar, Final, Self, TypeVar

import anyio
import anyio.abc

from deskhand.errors import ConfigError, ConflictError, DeskhandError, InvalidInputError, NotFoundError
from deskhand.logs import package_logger
from deskhand.providers.contract import ComputeProvider, ComputerInfo
from deskhand.providers.http import HttpClient
from deskhand.providers.ownership import Hosted, Owner

__all__ = ["HostedProvider", "oldest_first"]

_log = package_logger(__name__)

_BACKGROUND: Final = 20.0
"""Seconds for what is done although whoever asked for it has left."""


ComputerT = TypeVar("ComputerT")


def oldest_first(infos: Iterable[ComputerInfo]) -> list[ComputerInfo]:
    """Return computers in the order of their creation, those of an unknown time before all others."""
    return sorted(infos, key=lambda info: (info.created_at.timestamp() if info.created_at else 0.0, info.id))


class HostedProvider(ComputeProvider):
    """A provider whose computers are elsewhere: what it creates is destroyed when it is left."""

    noun: ClassVar[str] = "computer"
    """What its vendor calls a computer."""

    def __init__(self) -> None:
        self._leave = anyio.Event()
        self._outer: anyio.abc.TaskGroup | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._owner: Owner | None = None

    def _check_ready(self) -> None:
        """Check that it can be opened, before anything is.

        Raises:
            ConfigError: If something is missing, such as a key.
        """

    @abc.abstractmethod
    def _connections(self) -> AbstractAsyncContextManager[object]:
        """Return what is open as long as the provider is."""

    @abc.abstractmethod
    async def _destroy(self, computer_id: str) -> None:
        """End a computer for good.

        Raises:
            ComputerGoneError: If it is not there any more.
        """

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._owner is not None

    async def __aenter__(self) -> Self:
        """Open the connections.

        Raises:
            ConfigError: If there is no key.
        """
        if self._outer is not None:
            raise ConflictError("this provider is open already", hint="make one provider for each `async with`")
        self._check_ready()
        self._leave, opened = anyio.Event(), anyio.Event()  # it may be opened again when it was left
        self._outer = await anyio.create_task_group().__aenter__()
        self._outer.start_soon(self._live, self._leave, opened, name=f"{self.name} provider")
        try:
            await opened.wait()
        except BaseException:  # cancelled too
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Destroy what was created here and neither destroyed nor kept, and close the connections."""
        del exc_type, traceback
        owner, self._owner = self._owner, None
        is_cancelled = exc is not None and not isinstance(exc, Exception)
        try:
            await self._end()
        except anyio.get_cancelled_exc_class():
            is_cancelled = True
            raise
        finally:
            failed = owner.left_behind() if owner is not None else []
            for error in failed:
                if is_cancelled:  # nobody reads the notes of a cancellation
                    _log.warning("%s", error.__notes__[-1])
                elif exc is not None:
                    exc.add_note(error.__notes__[-1])
        if failed and exc is None:
            several = f"{self.name} computers could not be destroyed"
            raise failed[0] if len(failed) == 1 else ExceptionGroup(several, failed)

    async def _live(self, leave: anyio.Event, opened: anyio.Event) -> None:
        """Own connections and computers, from opening the provider until all of them have ended in order.

        A task of its own: whatever cancels the one that opened the provider, in whatever way, does not reach it.
        """
        with anyio.CancelScope(shield=True):
            async with self._connections():
                try:
                    async with anyio.create_task_group() as tasks:
                        self._tasks = tasks
                        owner = self._owner = Owner(self.name, self._destroy, tasks)
                        opened.set()
                        await leave.wait()
                        owner.release()
                finally:
                    self._tasks = None  # before the connections close: nothing can be begun any more

    async def _end(self) -> None:
        outer, self._outer = self._outer, None
        if outer is not None:
            self._leave.set()
            # No computer raises into the group; told of the block's own error, it would wrap that in a group.
            await outer.__aexit__(None, None, None)

    def _owned(self) -> Owner:
        if self._owner is None:
            raise ConflictError(
                "this provider is not open", hint=f"async with {type(self).__name__}() as provider: ..."
            )
        return self._owner

    def _succeed(self, made: Hosted, computer: Hosted) -> None:
        """Let a computer stand for the machine that was made for it."""
        if self._owner is not None:  # else all that was made has ended
            self._owner.succeed(made, computer)

    def _check_key(self, http: HttpClient, hint: str) -> None:
        """Check that there is a key.

        Raises:
            ConfigError: If there is none.
        """
        if not http.has_key:
            raise ConfigError(f"there is no key for {self.name}", hint=hint, provider=self.name, code="no_key")

    def _known(self, computer_id: str, kind: type[ComputerT]) -> ComputerT | None:
        """Return a computer that this provider owns; ``None`` where its vendor is to be asked for it.

        Raises:
            ConflictError: If the provider is not open.
            InvalidInputError: If that can be nobody's id.
        """
        owner = self._owned()
        if not computer_id or not computer_id.isprintable():
            raise InvalidInputError(f"{computer_id!r} is no {self.noun}'s id")
        own = owner.computer(computer_id)
        return own if isinstance(own, kind) else None

    def _unknown(self, computer_id: str, request_id: str | None = None) -> NotFoundError:
        """Say that the vendor has no such computer."""
        return NotFoundError(
            f"{self.name} has no {self.noun} {computer_id}",
            hint="deskhand ls tells which there are",
            provider=self.name,
            request_id=request_id,
        )

    async def _in_background(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do something to its end, and wait for that, whatever becomes of this task."""
        tasks = self._tasks
        if tasks is None:
            return  # the computers of a provider that was left are gone, or somebody else's
        done = anyio.Event()

        async def run() -> None:
            with anyio.move_on_after(_BACKGROUND, shield=True):
                with suppress(DeskhandError):  # nobody waits for it who could do more
                    await do()
            done.set()

        tasks.start_soon(run)
        with anyio.CancelScope(shield=True):
            await done.wait()
