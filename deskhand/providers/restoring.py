"""A computer whose vendor restores a snapshot onto another machine: the object goes on as that one."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio

from deskhand.errors import ComputerGoneError, DeskhandError, InvalidInputError, NotFoundError
from deskhand.providers.contract import Capability
from deskhand.providers.hosted_computer import HostedComputer

__all__ = ["Kin", "RestoringComputer"]

ComputerT = TypeVar("ComputerT", bound="RestoringComputer")


@dataclass(frozen=True, slots=True)
class Kin(Generic[ComputerT]):
    """How a provider makes one computer of another, which it owns like what it created, and waits until it is up.

    Attributes:
        clone: Makes a copy, with a name.
        restore: Makes a computer of a snapshot, which has an id.
        succeed: Notes that the second computer is from now on what the first one is, which was just restored.
    """

    clone: Callable[[ComputerT, str], Awaitable[ComputerT]]
    restore: Callable[[ComputerT, str], Awaitable[ComputerT]]
    succeed: Callable[[ComputerT, ComputerT], None]


class RestoringComputer(HostedComputer):
    """Derive from it where a snapshot is no way back for the same machine, but the beginning of another one.

    An adapter sets ``_kin``, says in ``_is_owned`` whether its provider ends the machine, and how one is become and
    left.
    """

    _kin: Kin[Any]
    _is_owned: bool = False

    def __init__(self) -> None:
        self._former: list[str] = []
        self._restoring = anyio.Lock()

    @abc.abstractmethod
    async def _become(self, snapshot_id: str) -> RestoringComputer:
        """Have a computer made of a snapshot, owned by the provider; be its machine, once that is up, and return it.

        Raises:
            NotFoundError: If there is no such snapshot.
        """

    @abc.abstractmethod
    async def _leave(self, computer_id: str) -> None:
        """Let go of the machine that it was, which `_end` ends at last."""

    @abc.abstractmethod
    async def _end(self, computer_id: str) -> None:
        """End a machine for good.

        Raises:
            ComputerGoneError: If it is not there any more.
        """

    async def restore(self, snapshot_id: str) -> None:
        """Become the machine that the vendor makes of a snapshot, with another ``info.id``; wait until it is up.

        Where the vendor puts it back in its place, its id stays. What it was before is let go of else, and ends with
        this computer; one that was borrowed or kept is left as it is.

        Raises:
            NotFoundError: If there is no such snapshot.
        """
        self._check(Capability.SNAPSHOT)
        if not snapshot_id or not snapshot_id.isprintable():
            raise InvalidInputError(f"{snapshot_id!r} is no snapshot's id")
        async with self._restoring:
            former, was_owned = self._info.id, self._is_owned
            async with self._noticing(Capability.SNAPSHOT):
                restored = await self._become(snapshot_id)
            self._kin.succeed(restored, self)
            if self._info.id == former:
                return
            self._is_owned = True
            if was_owned and not self.kept:
                self._former.append(former)
                with suppress(DeskhandError):  # it ends with this one
                    await self._leave(former)

    async def destroy(self) -> None:
        """End it for good, and what it was before a snapshot was restored; that it is gone already is no error."""
        if self._is_ended:
            return
        failed: list[DeskhandError] = []
        for computer_id in (self._info.id, *self._former):
            try:
                await self._end(computer_id)
            except (ComputerGoneError, NotFoundError):
                pass  # by itself, or by a request whose answer was lost
            except DeskhandError as error:  # the others end nevertheless
                failed.append(error)
        if failed:
            raise failed[0]
        self._is_ended = True
        self._notice_gone()
