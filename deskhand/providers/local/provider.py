"""Creates computers on this machine, and owns what it created."""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

import anyio
import anyio.abc
import anyio.to_thread

from deskhand.errors import ComputerGoneError, ConflictError, InvalidInputError
from deskhand.ids import new_id
from deskhand.providers.contract import ComputeProvider, ComputerInfo, ComputerSpec, ExternalComputer, Screen
from deskhand.providers.local.computer import DEFAULT_SCREEN, LocalComputer, LocalSettings
from deskhand.providers.local.folder import remove_stale_folders
from deskhand.providers.local.pool import Guest, Holding, WarmPool
from deskhand.providers.local.share import list_shared
from deskhand.providers.options import check_option
from deskhand.providers.specs import checked_spec

__all__ = ["LocalProvider"]

_OPTIONS = ("desktop", "network")
_SMALLEST, _LARGEST = Screen(320, 200), Screen(7680, 4320)
_LONGEST_NAME = 200
_LARGEST_POOL = 64


class LocalProvider(ComputeProvider):
    """Computers on this machine: each has a screen, a home folder and a sandbox of its own, as the machine allows.

    What it creates ends when it is left, and with this process however that ends.

    Args:
        pool: How many computers to keep booted ahead, so that `create` returns at once; they have the screen below and
            no environment variables of their own.
        screen: The screen of computers whose spec names none.
    """

    name: ClassVar[str] = "local"

    def __init__(self, *, pool: int = 0, screen: Screen | tuple[int, int] = DEFAULT_SCREEN) -> None:
        if not 0 <= pool <= _LARGEST_POOL:
            raise InvalidInputError(f"pool is {pool}; allowed is 0 to {_LARGEST_POOL}")
        self._defaults = LocalSettings(screen=_checked_screen(screen))
        self._pool = WarmPool(pool, lambda: self._boot(self._defaults))
        self._held: dict[str, Holding] = {}
        self._given: set[str] = set()
        self._guests: builtins.list[Guest] = []
        self._tasks: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Clean up after computers whose owners were killed, and begin to fill the pool."""
        if self._tasks is not None:
            raise ConflictError("this provider is open already", hint="make one provider for each `async with`")
        await anyio.to_thread.run_sync(remove_stale_folders)
        self._boots = anyio.CapacityLimiter(os.cpu_count() or 1)
        self._tasks = await anyio.create_task_group().__aenter__()
        self._pool.fill()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all computers that were created here, and wait until nothing of them is left."""
        del exc_type, traceback
        tasks, self._tasks = self._tasks, None
        held = [*self._held.values()]
        for holding in held:
            holding.release()
        for guest in self._guests:
            guest.dismiss()
        if tasks is not None:
            # No computer raises into the group; told of the block's own error, it would wrap that in a group.
            await tasks.__aexit__(None, None, None)
        failed = [holding.error for holding in held if holding.error is not None and holding.computer is not None]
        if failed and exc is None:
            raise failed[0] if len(failed) == 1 else ExceptionGroup("computers did not end cleanly", failed)

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> LocalComputer:
        """Create a computer, which ends with this provider at the latest.

        Args:
            name: What it is called.
            spec: ``screen``, ``env``, ``metadata`` and ``ttl`` are honoured, the rest is refused.
            **vendor_options: ``desktop=False`` for shell and files only, ``network=False`` for no network.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            ConfigError: If the machine lacks what it takes.
        """
        spec = checked_spec(spec)
        _check_name(name)
        settings = self._settings(spec, vendor_options)
        holding = self._pool.take() if settings == self._defaults else None
        holding = holding or self._boot(settings)
        try:
            computer = await holding.give(name=name, metadata=spec.metadata, ttl=spec.ttl)
        except BaseException:  # cancelled too: nobody will use it
            holding.release()
            raise
        self._given.add(holding.computer_id)
        return computer

    async def get(self, computer_id: str) -> ExternalComputer:
        """Return a computer, borrowed: one that was created here, or that another process of this user holds.

        Raises:
            NotFoundError: If there is none with that id.
        """
        holding = self._held.get(computer_id)
        if holding is not None and holding.computer is not None and computer_id in self._given:
            return holding.computer
        guest = Guest(computer_id)
        self._guests.append(guest)
        self._open_tasks().start_soon(guest.hold, name=f"guest of {computer_id}")
        try:
            await guest.ready.wait()
        except BaseException:  # cancelled too
            guest.dismiss()
            raise
        if guest.computer is None:
            raise guest.error or ComputerGoneError("the provider was left meanwhile", effect="no", provider="local")
        return guest.computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List this user's local computers, whichever process holds them, the oldest first."""
        given = (self._held[computer_id] for computer_id in self._given & self._held.keys())
        found = {info.id: info for info in await list_shared()}
        found |= {holding.computer_id: holding.computer.info for holding in given if holding.computer is not None}
        return [found[computer_id] for computer_id in sorted(found)]

    def _open_tasks(self) -> anyio.abc.TaskGroup:
        if self._tasks is None:
            raise ConflictError("this provider is not open", hint="async with LocalProvider() as provider: ...")
        return self._tasks

    def _boot(self, settings: LocalSettings) -> Holding:
        tasks, holding = self._open_tasks(), Holding(new_id("cmp"), settings)
        self._held[holding.computer_id] = holding
        tasks.start_soon(self._hold, holding, name=f"computer {holding.computer_id}")
        return holding

    async def _hold(self, holding: Holding) -> None:
        await holding.hold(self._boots)
        if holding.error is None or holding.computer_id not in self._given:  # whoever asked for it has been told
            del self._held[holding.computer_id]

    def _settings(self, spec: ComputerSpec, options: Mapping[str, object]) -> LocalSettings:
        for field in ("cpus", "memory", "disk", "image"):
            if getattr(spec, field) is not None:
                raise InvalidInputError(
                    f"a local computer has the {field} of its machine; spec.{field} cannot be honoured",
                    hint=f"leave {field} out, or use a hosted provider",
                    provider="local",
                )
        for option, value in options.items():
            check_option("the local provider", option, _OPTIONS)
            if not isinstance(value, bool):
                raise InvalidInputError(f"{option} is {value!r}; it must be True or False")
        return LocalSettings(
            screen=_checked_screen(spec.screen or self._defaults.screen),
            desktop=options.get("desktop", True) is True,
            network=options.get("network", True) is True,
            env=dict(spec.env),
        )


def _check_name(name: str) -> None:
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise InvalidInputError(f"{name!r} cannot be a name", hint=f"1 to {_LONGEST_NAME} printable characters")


def _checked_screen(screen: Screen | tuple[int, int]) -> Screen:
    width, height = screen
    if not (_SMALLEST.width <= width <= _LARGEST.width and _SMALLEST.height <= height <= _LARGEST.height):
        raise InvalidInputError(
            f"a screen of {width}x{height} is out of bounds: "
            f"{_SMALLEST.width}x{_SMALLEST.height} to {_LARGEST.width}x{_LARGEST.height}"
        )
    return Screen(width, height)
