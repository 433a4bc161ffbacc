"""The real machine behind a simulated computer: switched on and off, its disk kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import anyio
import anyio.abc

from deskhand.providers import Capability, ExternalComputer, Screen

from .disk import Disk, load_disk, save_disk

__all__ = ["Hardware", "HardwareError", "Machine", "Power"]

Machine: TypeAlias = Callable[[Screen], AbstractAsyncContextManager[ExternalComputer]]
"""Gives a machine with a screen of that size, for as long as a block lasts."""

LONGEST_SAVE = 30.0
"""Seconds that saving a disk may take."""


class HardwareError(Exception):
    """Raised when a machine cannot be had."""


class Power:
    """One time that a computer is on: it owns the machine, and says when that is up and when it is gone."""

    def __init__(self) -> None:
        self.up: anyio.Event = anyio.Event()
        self.leave: anyio.Event = anyio.Event()
        self.gone: anyio.Event = anyio.Event()
        self.keep_disk = True
        self.error: Exception | None = None


class Hardware:
    """What a simulated computer runs on.

    Args:
        name: Whose it is.
        open_machine: Gives the machine.
        screen: Tells the size of its screen.
        tasks: Where it is owned.

    Attributes:
        machine: The machine, as long as it is on.
        disk: What the disk held when it was last switched off, or what it shall hold when it is switched on.
        power: The time that it is on, or was last.
    """

    def __init__(
        self, name: str, open_machine: Machine, screen: Callable[[], Screen], tasks: anyio.abc.TaskGroup
    ) -> None:
        self.machine: ExternalComputer | None = None
        self.disk: Disk | None = None
        self.power: Power = Power()
        self._name = name
        self._open_machine = open_machine
        self._screen = screen
        self._tasks = tasks
        self._over = False
        self._busy = anyio.Lock()

    async def switch_on(self) -> None:
        """Gives it a machine, with what its disk held, and waits until it is up; does nothing after `discard`.

        Raises:
            HardwareError: If it cannot be had.
        """
        async with self._busy:
            if self._over or self.machine is not None:
                return
            self.power = power = Power()
            self._tasks.start_soon(self._live, power, name=f"computer {self._name}")
            await power.up.wait()
        if power.error is not None:
            raise HardwareError(f"The computer could not be started: {power.error}") from power.error

    async def switch_off(self) -> None:
        """Takes its machine away; its disk is kept, its memory lost."""
        async with self._busy:
            self.power.leave.set()
            if self.machine is not None:
                await self.power.gone.wait()

    async def discard(self) -> None:
        """Takes its machine away for good, its disk too."""
        self._over = True
        self.forget_disk()
        await self.switch_off()

    def forget_disk(self) -> None:
        """Lets the disk go with the machine when that ends."""
        self.power.keep_disk = False

    async def save(self) -> Disk | None:
        """Returns what the disk holds now."""
        return await save_disk(self.machine) if self.machine is not None else self.disk

    async def _live(self, power: Power) -> None:
        """Owns the machine from switching it on to switching it off."""
        try:
            async with self._open_machine(self._screen()) as machine:
                await self._prepare(machine)
                self.machine = machine
                power.up.set()
                await power.leave.wait()
                if power.keep_disk:
                    with anyio.move_on_after(LONGEST_SAVE):
                        self.disk = await save_disk(machine)
        except Exception as error:  # whatever the machine raises is told to whoever asks for the computer
            power.error = error
        finally:
            self.machine = None
            power.up.set()
            power.gone.set()

    async def _prepare(self, machine: ExternalComputer) -> None:
        screen = self._screen()
        if machine.info.screen not in {None, screen} and Capability.RESIZE in machine.capabilities:
            await machine.resize(screen.width, screen.height)
        if self.disk is not None:
            await load_disk(machine, self.disk)
