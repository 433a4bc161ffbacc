"""Keys that go down and up one by one, on a machine whose own vocabulary has whole strokes."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from deskhand.errors import DeskhandError
from deskhand.providers import MODIFIERS, ExternalComputer, HoldKey, Key, parse_key

from .keys import key_of

__all__ = ["Keyboard"]


class Keyboard:
    """The keyboard of one machine.

    Where xdotool reaches a display of the machine, keys go down and up there as they are told to. Elsewhere what is
    held is remembered: modifiers count for what comes next, and another key is struck when it goes up.

    Attributes:
        held: The modifiers that are down and only remembered, by their canonical names.
    """

    def __init__(self, machine: ExternalComputer) -> None:
        self.held: list[str] = []
        self._machine = machine
        self._has_xdotool: bool | None = None
        self._used = False
        self._since = 0.0

    async def down(self, name: str) -> None:
        """Presses a key."""
        key = key_of(name)
        if key is None:
            return
        if await self._is_real():
            await self._xdotool(f"keydown {key}")
        elif (canonical := parse_key(key)) not in self.held:
            self._since = self._since if self.held else anyio.current_time()
            self.held.append(canonical)
            self._used = False

    async def up(self, name: str) -> None:
        """Releases a key."""
        key = key_of(name)
        if key is None:
            return
        if await self._is_real():
            await self._xdotool(f"keyup {key}")
            return
        canonical = parse_key(key)
        if canonical not in self.held:
            return
        if not self._used:
            await self._machine.perform(HoldKey(tuple(self.held), anyio.current_time() - self._since))
            self._used = True
        self.held.remove(canonical)

    async def strike(self, names: Iterable[str]) -> None:
        """Presses keys in turn, and releases them the other way round."""
        keys = [key for name in names if (key := key_of(name)) is not None]
        if not keys:
            return
        if await self._is_real():
            await self._xdotool(f"key {'+'.join(keys)}")
            return
        self._used = True
        chord = [name for name in self.held if name not in map(parse_key, keys)] + [parse_key(key) for key in keys]
        await self._machine.perform(Key(tuple(chord)))

    def modifiers(self) -> tuple[str, ...]:
        """Returns the modifiers that are only remembered, for an action that takes them."""
        self._used = self._used or bool(self.held)
        return tuple(name for name in self.held if name in MODIFIERS)

    async def _is_real(self) -> bool:
        if self._has_xdotool is None:
            found = await self._machine.exec("xdotool getdisplaygeometry")
            self._has_xdotool = found.exit_code == 0
        return self._has_xdotool

    async def _xdotool(self, words: str) -> None:
        done = await self._machine.exec(f"xdotool {words}")
        if done.exit_code:
            raise DeskhandError(f"xdotool: {done.output.strip()}")
