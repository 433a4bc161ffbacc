"""Perform input actions on an X server."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import anyio

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
from deskhand.providers.contract import Screen
from deskhand.providers.local.damage import DamageTracker
from deskhand.providers.local.keyboard import Held, Keyboard, hold, send
from deskhand.providers.local.xconnection import XConnection
from deskhand.providers.needs import check_points

__all__ = ["InputPlayer"]

Point = tuple[int, int]

_MOTION = 6  # XTEST's kind of input: the opcode of MotionNotify
_BUTTONS = {"left": 1, "middle": 2, "right": 3, "back": 8, "forward": 9}
_WHEEL_UP, _WHEEL_DOWN, _WHEEL_LEFT, _WHEEL_RIGHT = 4, 5, 6, 7
_BETWEEN_CLICKS = 0.02  # far below every double-click time, and not the same instant
_DRAG_STEP = 24  # pixels
_DRAG_STEPS = 60
_DRAG_INTERVAL = 0.006
_NOTCHES_AT_ONCE = 25


class InputPlayer:
    """Performs one action at a time; whatever an action presses it releases, cancelled or not."""

    def __init__(self, connection: XConnection, damage: DamageTracker) -> None:
        self._connection = connection
        self._damage = damage
        self._keyboard = Keyboard(connection, damage)
        self._lock = anyio.Lock()
        self._performers: dict[type, Callable[[Any], Awaitable[None]]] = {
            Click: self._click,
            Move: self._move,
            MouseDown: self._mouse_down,
            MouseUp: self._mouse_up,
            Drag: self._drag,
            Scroll: self._scroll,
            Key: self._key,
            HoldKey: self._hold_key,
            Type: self._type,
        }

    async def perform(self, action: InputAction, screen: Screen) -> None:
        """Perform an action; returns when the server has delivered it.

        Raises:
            InvalidInputError: If a point is off the screen.
        """
        check_points(action, screen)
        if isinstance(action, Wait):
            await anyio.sleep(action.duration)
            return
        async with self._lock:
            try:
                await self._performers[type(action)](action)
                await self._connection.sync()
            finally:
                self._damage.touch()

    async def _move(self, action: Move) -> None:
        self._point(action.x, action.y)

    async def _click(self, action: Click) -> None:
        button = Held(_BUTTONS[action.button], is_button=True)
        modifiers = await self._keyboard.chord(action.modifiers)
        self._point(action.x, action.y)
        with self._hold(modifiers):
            for number in range(action.count):
                if number:
                    await anyio.sleep(_BETWEEN_CLICKS)
                with self._hold([button]):
                    pass

    async def _mouse_down(self, action: MouseDown) -> None:
        send(self._connection, Held(_BUTTONS[action.button], is_button=True), press=True)

    async def _mouse_up(self, action: MouseUp) -> None:
        send(self._connection, Held(_BUTTONS[action.button], is_button=True), press=False)

    async def _drag(self, action: Drag) -> None:
        button = Held(_BUTTONS[action.button], is_button=True)
        modifiers = await self._keyboard.chord(action.modifiers)
        self._point(*action.path[0])
        with self._hold([*modifiers, button]):
            for x, y in _drag_points(action.path):
                await anyio.sleep(_DRAG_INTERVAL)  # toolkits merge motion that comes all at once
                self._point(x, y)
                self._connection.flush()
            await anyio.sleep(_DRAG_INTERVAL)

    async def _scroll(self, action: Scroll) -> None:
        notches = [
            *[_WHEEL_DOWN if action.dy > 0 else _WHEEL_UP] * abs(action.dy),
            *[_WHEEL_RIGHT if action.dx > 0 else _WHEEL_LEFT] * abs(action.dx),
        ]
        modifiers = await self._keyboard.chord(action.modifiers)
        self._point(action.x, action.y)
        with self._hold(modifiers):
            for number, wheel in enumerate(notches):
                if number and number % _NOTCHES_AT_ONCE == 0:
                    await self._connection.sync()
                with self._hold([Held(wheel, is_button=True)]):
                    pass

    async def _key(self, action: Key) -> None:
        keys = await self._keyboard.chord(action.keys)
        for _ in range(action.repeat):
            with self._hold(keys):
                pass
        self._keyboard.struck()

    async def _hold_key(self, action: HoldKey) -> None:
        keys = await self._keyboard.chord(action.keys)
        try:
            with self._hold(keys):
                self._connection.flush()
                await anyio.sleep(action.duration)
        finally:
            self._keyboard.struck()

    async def _type(self, action: Type) -> None:
        if action.text:
            await self._keyboard.type(action.text)

    def _point(self, x: int | None, y: int | None) -> None:
        if x is not None and y is not None:
            self._connection.test.FakeInput(_MOTION, 0, 0, self._connection.root, x, y, 0)

    def _hold(self, inputs: Sequence[Held]) -> AbstractContextManager[None]:
        return hold(self._connection, inputs)


def _drag_points(path: Sequence[Point]) -> Iterator[Point]:
    """Yield the points of a drag after the first: steps that applications see as motion, each corner exactly."""
    for (x0, y0), (x1, y1) in pairwise(path):
        steps = max(2, min(_DRAG_STEPS, math.ceil(math.dist((x0, y0), (x1, y1)) / _DRAG_STEP)))
        for step in range(1, steps + 1):
            yield x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)
