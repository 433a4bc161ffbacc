"""Input by MIOSA's routes: each action is one request where there is one for it, else several in a row.

What several requests press is let go of when one of them fails or nobody waits any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Final

import anyio

from deskhand.errors import DeskhandError, ProtocolError, UnsupportedError
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
from deskhand.providers.answers import number
from deskhand.providers.composition import Composition, done_in_part
from deskhand.providers.contract import Screen
from deskhand.providers.keysyms import keysym_name
from deskhand.providers.miosa.api import NAME, MiosaApi
from deskhand.providers.miosa.envelope import unwrapped
from deskhand.providers.needs import check_points
from deskhand.providers.xdotool import INSTALL_HINT

__all__ = ["Hands"]

_BUTTONS: Final = frozenset({"left", "middle", "right"})
"""Buttons that the vendor's routes have; the others are pressed by ``xdotool`` on the computer."""
_NOTCHES: Final = 100
"""Notches of the wheel that one request turns."""
_STEPS: Final = 4
"""Requests in which a drag goes from one corner to the next; fewer where there are many corners."""
_MOST_MOVES: Final = 40
_TYPED_A_SECOND: Final = 20
"""Characters that are typed a second at least."""
_OWN_NAMES: Final = frozenset({"ctrl", "alt", "shift", "super"})
"""Keys that the vendor's documents call as we do; all others have X's names."""
_RELEASES: Final = {"desktop/key-down": "desktop/key-up", "desktop/mouse-down": "desktop/mouse-up"}

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Step:
    """One request; ``pause`` is waited before it."""

    operation: str
    route: str
    body: Mapping[str, object] = field(default_factory=dict)
    pause: float = 0.0
    deadline: float | None = None


class Hands:
    """Performs input on one computer.

    Args:
        api: The API.
        composed: Does what no route is there for.
        computer_id: Which computer.
    """

    def __init__(self, api: MiosaApi, composed: Composition, computer_id: str) -> None:
        self._api = api
        self._computer_id = computer_id
        self._turn = anyio.Lock()
        self.composed: Composition = composed

    async def perform(self, action: InputAction, screen: Screen | None) -> None:
        """Perform an action that the computer has the capabilities for; points off the screen are refused."""
        check_points(action, screen)
        if isinstance(action, Wait):
            await anyio.sleep(action.duration)
            return
        async with self._turn:  # what takes several requests is not mixed with anything else
            await self._perform(action)

    async def _perform(self, action: InputAction) -> None:
        if isinstance(action, Click | Drag | MouseDown | MouseUp) and action.button not in _BUTTONS:
            if self.composed.display is None:
                raise UnsupportedError("miosa has no route for this button", hint=INSTALL_HINT, provider=NAME)
            await self.composed.perform(action)
        else:
            is_here = isinstance(action, MouseDown | MouseUp) or (isinstance(action, Click) and action.x is None)
            await self._walk([*_steps(action, await self.position() if is_here else (0, 0))])

    async def position(self) -> Point:
        """Return where the pointer is."""
        answer = unwrapped(await self._api.act("tell where the pointer is", self._computer_id, "desktop/cursor"))
        x, y = number(answer.get("x")), number(answer.get("y"))
        if x is None or y is None or not (x.is_integer() and y.is_integer()):
            raise ProtocolError("miosa does not tell where the pointer is", provider=NAME, effect="no")
        return int(x), int(y)

    async def _walk(self, steps: Sequence[_Step]) -> None:
        """Send requests one by one: when one fails, those before it have happened, and nothing stays pressed."""
        pressed: list[_Step] = []
        for index, step in enumerate(steps):
            release = _released(step)
            if release is not None:
                pressed.append(release)  # before it is sent: it may arrive although its answer does not
            try:
                await anyio.sleep(step.pause)
                await self._do(step)
            except (DeskhandError, anyio.get_cancelled_exc_class()) as error:
                is_unsent = isinstance(error, DeskhandError) and error.effect == "no"
                if pressed and not (is_unsent and index == 0):
                    await self._api.in_background(partial(self._let_go, pressed))
                if index:
                    done_in_part(error)
                raise
            if release is None:
                pressed = [one for one in pressed if _key_of(one) != _key_of(step)]

    async def _do(self, step: _Step) -> None:
        await self._api.do(step.operation, self._computer_id, step.route, step.body, deadline=step.deadline)

    async def _let_go(self, pressed: Sequence[_Step]) -> None:
        for step in reversed(pressed):
            with suppress(DeskhandError):  # the others are to be let go of all the same
                await self._do(step)


def _steps(action: InputAction, here: Point) -> Iterator[_Step]:
    """Yield the requests that perform an action; ``here`` is where the pointer is, where that matters."""
    held: Sequence[str] = getattr(action, "modifiers", ())
    yield from (_key_down(key) for key in held)
    match action:
        case Click():
            x, y = here if action.x is None or action.y is None else (action.x, action.y)
            yield from _clicks(x, y, action)
        case Move():
            yield _move((action.x, action.y))
        case MouseDown():
            yield _mouse("down", here, action.button)
        case MouseUp():
            yield _mouse("up", here, action.button)
        case Drag():
            yield from _drag(action)
        case Scroll():
            yield from _turns(action)
        case Type() if action.text:
            yield _type(action.text.replace("\r\n", "\n").replace("\r", "\n"))
        case Key():
            yield from (_strike(action.keys) for _ in range(action.repeat))
        case HoldKey():
            yield from (_key_down(key) for key in action.keys)
            *others, last = action.keys
            yield replace(_key_up(last), pause=action.duration)
            yield from (_key_up(key) for key in others[::-1])
    yield from (_key_up(key) for key in held[::-1])


def _clicks(x: int, y: int, action: Click) -> Iterator[_Step]:
    at: dict[str, object] = {"x": x, "y": y}
    once = _Step("click", "desktop/click", at | {"button": action.button})
    if action.button == "left" and action.count > 1:
        yield _Step("click", "desktop/double-click", at)
        yield from [once] * (action.count - 2)
    else:
        yield from [once] * action.count


def _drag(action: Drag) -> Iterator[_Step]:
    first, *between, last = action.path
    if action.button == "left" and not between:
        body = {"from_x": first[0], "from_y": first[1], "to_x": last[0], "to_y": last[1]}
        yield _Step("drag", "desktop/drag", body)
        return
    yield _move(first)
    yield _mouse("down", first, action.button)
    yield from (_move(point) for point in _way(action.path))
    yield _mouse("up", last, action.button)


def _way(path: Sequence[Point]) -> Iterator[Point]:
    """Yield the points that a drag passes: its corners, and some between them, which applications wait for."""
    steps = max(1, min(_STEPS, _MOST_MOVES // (len(path) - 1)))
    for (x0, y0), (x1, y1) in pairwise(path):
        yield from ((x0 + (x1 - x0) * step // steps, y0 + (y1 - y0) * step // steps) for step in range(1, steps + 1))


def _turns(action: Scroll) -> Iterator[_Step]:
    at: dict[str, object] = {} if action.x is None else {"x": action.x, "y": action.y}
    for notches, ways in ((action.dy, ("up", "down")), (action.dx, ("left", "right"))):
        left = abs(notches)
        while left:
            clicks = min(left, _NOTCHES)
            left -= clicks
            body = {"direction": ways[notches > 0], "clicks": clicks, **at}
            yield _Step("scroll", "desktop/scroll", body)


def _strike(keys: Sequence[str]) -> _Step:
    if len(keys) == 1 and len(keys[0]) == 1:  # a character is typed: not each has a name that both sides know
        return _type(keys[0])
    return _Step("strike a key", "desktop/key", {"key": "+".join(map(_key_name, keys))})


def _type(text: str) -> _Step:
    return _Step("type", "desktop/type", {"text": text}, deadline=30.0 + len(text) / _TYPED_A_SECOND)


def _move(point: Point) -> _Step:
    return _Step("move the pointer", "desktop/move", {"x": point[0], "y": point[1]})


def _mouse(way: str, point: Point, button: str) -> _Step:
    operation = "press a button" if way == "down" else "release a button"
    return _Step(operation, f"desktop/mouse-{way}", {"x": point[0], "y": point[1], "button": button})


def _key_down(key: str) -> _Step:
    return _Step("press a key", "desktop/key-down", {"key": _key_name(key)})


def _key_up(key: str) -> _Step:
    return _Step("release a key", "desktop/key-up", {"key": _key_name(key)})


def _key_name(key: str) -> str:
    return key if key in _OWN_NAMES else keysym_name(key)


def _released(step: _Step) -> _Step | None:
    """Return what lets go of what a step presses; ``None`` where it presses nothing."""
    route = _RELEASES.get(step.route)
    if route is None:
        return None
    return _Step("release a key" if route.endswith("key-up") else "release a button", route, step.body)


def _key_of(step: _Step) -> tuple[str, object]:
    """Return what a step lets go of."""
    return step.route, step.body.get("key", step.body.get("button"))
