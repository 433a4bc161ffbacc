"""The key names that the vendor's desktop knows, and the keys that are held on it."""

from __future__ import annotations

import shlex

from deskhand.errors import DeskhandError
from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.keysyms import MODIFIER_NAMES, key_named
from deskhand.testing.simulators.wire import ApiError

__all__ = ["HeldKeys", "canonical_key"]

NOT_FOUND = 127


def canonical_key(name: str) -> str:
    """Returns a key in the names of the machine behind.

    Raises:
        ApiError: If no key is called so.
    """
    key = MODIFIER_NAMES.get(name) or key_named(name)
    if key is None:
        raise ApiError(422, f"No such key: {name}", code="UNKNOWN_KEY")
    return key


class HeldKeys:
    """The keys that are held on one machine: by its ``xdotool``; one that has none notes them alone."""

    def __init__(self, machine: ExternalComputer) -> None:
        self.machine = machine
        self.names: list[str] = []

    async def press(self, name: str) -> None:
        """Presses a key and keeps it pressed."""
        canonical_key(name)
        await self._xdotool("keydown", name)
        self.names.append(name)

    async def release(self, name: str) -> None:
        """Releases a key; one that is not held is released all the same."""
        canonical_key(name)
        await self._xdotool("keyup", name)
        if name in self.names:
            self.names.remove(name)

    async def _xdotool(self, word: str, name: str) -> None:
        try:
            result = await self.machine.exec(f"xdotool {word} {shlex.quote(name)}")
        except DeskhandError as error:
            raise ApiError(500, f"The desktop failed: {error.message}", code="DESKTOP_FAILED") from error
        if result.exit_code not in {0, NOT_FOUND}:
            raise ApiError(500, f"The desktop failed: {result.output[:200]}", code="DESKTOP_FAILED")
