"""Input: by the routes that Orgo has, and by ``xdotool`` on the computer for what it has no route for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import anyio

from deskhand.errors import UnsupportedError
from deskhand.providers.actions import (
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
    Wait,
)
from deskhand.providers.composition import Composition, in_parts
from deskhand.providers.contract import Capability, Screen
from deskhand.providers.keys import Chord
from deskhand.providers.keysyms import keysym_name
from deskhand.providers.needs import capabilities_for, check_points
from deskhand.providers.orgo.api import NAME, OrgoApi
from deskhand.providers.shell_commands import ShellCommands

__all__ = ["Hands"]

_TOLD: Final = ("success", "action")
"""What an answer holds one of; that to a move, which is not documented, may be any but a mere message."""
_NOTCHES: Final = 100
"""Notches of the wheel that one request turns."""
_TYPED_A_SECOND: Final = 20
"""Characters that are typed a second at least: the server waits 12 ms after each."""

_OWN_NAMES: Final = frozenset({"ctrl", "alt", "shift", "super"})
"""Keys that the vendor's documents call as we do; all others have X's names."""


def _key_name(key: str) -> str:
    return key if key in _OWN_NAMES else keysym_name(key)


class Hands:
    """Performs input on one computer.

    Args:
        api: The API.
        commands: Runs commands on the computer.
        computer_id: Which computer.
        display: The X display that xdotool can use there; ``None`` where it cannot.
    """

    def __init__(self, api: OrgoApi, commands: ShellCommands, computer_id: str, display: str | None) -> None:
        self._api = api
        self._computer_id = computer_id
        self._composed = Composition(NAME, commands, display)
        self._turn = anyio.Lock()

    @property
    def display(self) -> str | None:
        """The X display that xdotool can use; ``None`` where it cannot."""
        return self._composed.display

    @display.setter
    def display(self, display: str | None) -> None:
        self._composed.display = display

    async def perform(self, action: InputAction, screen: Screen | None) -> None:
        """Perform an action that the computer has the capabilities for; points off the screen are refused."""
        check_points(action, screen)
        if isinstance(action, Wait):
            await anyio.sleep(action.duration)
            return
        async with self._turn:  # what takes several requests is not mixed with anything else
            await self._perform(action)

    async def _perform(self, action: InputAction) -> None:
        is_beyond_routes = Capability.FULL_INPUT in capabilities_for(action)
        if self.display is not None and (is_beyond_routes or (isinstance(action, Key) and action.repeat > 1)):
            await self._composed.perform(action)
            return
        match action:
            case Click():
                await self._click(action)
            case Move():
                await self._do("move the pointer", "move", {"x": action.x, "y": action.y})
            case Drag():
                (start_x, start_y), (end_x, end_y) = action.path
                body = {"start_x": start_x, "start_y": start_y, "end_x": end_x, "end_y": end_y, "button": "left"}
                await self._do("drag", "drag", body)
            case Scroll():
                await in_parts(self._scroll(action, amount) for amount in _portions(abs(action.dy)))
            case Type():
                await self._type(action.text.replace("\r\n", "\n"))
            case Key():
                await in_parts(self._strike(action.keys) for _ in range(action.repeat))
            case HoldKey() | MouseDown() | MouseUp():
                raise UnsupportedError("orgo has no route to hold a button or a key", provider=NAME)

    async def position(self) -> tuple[int, int]:
        """Return where the pointer is."""
        return await self._composed.position()

    async def _do(self, operation: str, route: str, body: dict[str, object], *, seconds: float | None = None) -> None:
        is_documented = route != "move"
        await self._api.do(
            operation,
            self._computer_id,
            route,
            body,
            deadline=seconds,
            told=_TOLD if is_documented else (),
            foreign=() if is_documented else ("message", "detail"),
        )

    async def _click(self, action: Click) -> None:
        at: dict[str, object] = {"x": action.x, "y": action.y, "button": action.button}
        if action.count > 2 and self.display is not None:
            await self._composed.perform(action)  # at once, which two requests are not
            return
        bodies = {1: [at], 2: [at | {"double": True}], 3: [at | {"double": True}, at]}[action.count]
        await in_parts(self._do("click", "click", body) for body in bodies)

    async def _scroll(self, action: Scroll, amount: int) -> None:
        direction = "down" if action.dy > 0 else "up"
        await self._do("scroll", "scroll", {"direction": direction, "amount": amount, "x": action.x, "y": action.y})

    async def _type(self, text: str) -> None:
        if text:
            await self._do("type", "type", {"text": text}, seconds=30.0 + len(text) / _TYPED_A_SECOND)

    async def _strike(self, keys: Chord) -> None:
        if len(keys) == 1 and len(keys[0]) == 1:  # a character is typed: not each has a name that both sides know
            await self._type(keys[0])
            return
        await self._do("strike a key", "key", {"key": "+".join(_key_name(key) for key in keys)})


def _portions(amount: int) -> Iterator[int]:
    """Return an amount in portions that one request takes."""
    while amount > 0:
        yield min(amount, _NOTCHES)
        amount -= _NOTCHES
