"""Input: by the routes that Daytona has, one or several in a row, and by ``xdotool`` for what has no words there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
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
from deskhand.providers.answers import check_done
from deskhand.providers.composition import Composition, in_parts
from deskhand.providers.contract import Screen
from deskhand.providers.daytona.api import NAME, DaytonaApi
from deskhand.providers.daytona.keys import modifier_names, stroke
from deskhand.providers.needs import check_points
from deskhand.providers.xdotool import INSTALL_HINT

__all__ = ["Hands", "point_of"]

_NOTCHES: Final = 100
"""Notches of the wheel that one request turns."""
_TYPED_A_SECOND: Final = 20
"""Characters that are typed a second at least."""
_STEPS: Final = 4
"""Steps in which a drag goes from one corner to the next."""
_BUTTONS: Final = frozenset({"left", "right", "middle"})
_TOLD: Final = ("x", "success")
"""What an answer to what is done with the mouse holds one of; one to a key is empty, or has its success."""
_TEXT: Final = re.compile(r"\t|[^\t]+")


@dataclass(frozen=True, slots=True)
class _Step:
    """One request, or seconds of waiting."""

    operation: str = ""
    route: str = ""
    body: Mapping[str, object] | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What performs an action, and what lets go of all that it presses when it breaks off in between."""

    steps: tuple[_Step, ...]
    release: tuple[_Step, ...] = ()


class Hands:
    """Performs input on one computer.

    Args:
        api: The API.
        composed: Performs what the vendor has no words for, where there is xdotool.
        computer_id: Which computer.
        turn: Held by what is performed, so that what takes several requests is not mixed with anything else.

    Attributes:
        is_new: Whether the daemon is one that can hold buttons: older ones pass over the number of clicks.
    """

    def __init__(self, api: DaytonaApi, composed: Composition, computer_id: str, turn: anyio.Lock) -> None:
        self._api = api
        self._computer_id = computer_id
        self._turn = turn
        self.composed = composed
        self.is_new = True

    def check(self, action: InputAction, screen: Screen | None) -> None:
        """Refuse what cannot be performed, before anything is sent.

        Raises:
            InvalidInputError: If a point is off the screen.
            UnsupportedError: If the vendor has no words for it, and there is no xdotool.
        """
        check_points(action, screen)
        if not isinstance(action, Wait) and self.composed.display is None and _plan(action) is None:
            raise UnsupportedError(f"daytona has no words for {action}", hint=INSTALL_HINT, provider=NAME, effect="no")

    async def perform(self, action: InputAction) -> None:
        """Perform an action that was checked."""
        if isinstance(action, Wait):
            await anyio.sleep(action.duration)
            return
        async with self._turn:
            await self._perform(action)

    async def _perform(self, action: InputAction) -> None:
        plan = _plan(action)
        is_many = isinstance(action, Click) and action.count > 2 and not self.is_new
        if plan is None or (self.composed.display is not None and (is_many or _is_better_at_once(action))):
            await self.composed.perform(action)
            return
        if is_many:
            plan = _apart(plan)
        if isinstance(action, Click | Scroll) and action.x is None:
            plan = _at(plan, await self.position())
        await self._follow(plan)

    async def position(self) -> tuple[int, int]:
        """Return where the pointer is."""
        return point_of(
            await self._api.act("tell where the pointer is", self._computer_id, "computeruse/mouse/position")
        )

    async def _follow(self, plan: _Plan) -> None:
        async def release() -> None:
            for step in plan.release:
                with suppress(DeskhandError):  # the others are to be let go of all the same
                    await self._take(step)

        try:
            await in_parts(self._take(step) for step in plan.steps)
        except (DeskhandError, anyio.get_cancelled_exc_class()) as error:
            if plan.release and not (isinstance(error, DeskhandError) and error.effect == "no"):
                await self._api.in_background(release)
            raise

    async def _take(self, step: _Step) -> None:
        if not step.operation:
            await anyio.sleep(step.seconds)
            return
        deadline = 30.0 + step.seconds if step.seconds else None
        route = f"computeruse/{step.route}"
        answer = await self._api.act(step.operation, self._computer_id, route, step.body, deadline=deadline)
        is_pointers = step.route.startswith("mouse/")
        told, foreign = (_TOLD, ()) if is_pointers else ((), ("message", "detail"))
        check_done(NAME, step.operation, answer, told=told, foreign=foreign)


def _is_better_at_once(action: InputAction) -> bool:
    """Whether xdotool does in one command, timed on the computer, what takes several requests."""
    match action:
        case Key():
            return action.repeat > 1
        case Drag():
            return len(action.path) > 2
        case Scroll():
            return action.x is None or bool(action.dx and action.dy) or max(abs(action.dx), abs(action.dy)) > _NOTCHES
        case Click():
            return action.x is None
        case _:
            return isinstance(action, HoldKey)


def point_of(answer: Mapping[str, object]) -> tuple[int, int]:
    """Read a point.

    Raises:
        ProtocolError: If it is none.
    """
    x, y = answer.get("x"), answer.get("y")
    if type(x) is not int or type(y) is not int:
        raise ProtocolError("daytona does not tell where the pointer is", provider=NAME, effect="no")
    return x, y


def _at(plan: _Plan, point: tuple[int, int]) -> _Plan:
    """Return a plan at the place where the pointer is."""
    place = {"x": point[0], "y": point[1]}
    steps = [_Step(step.operation, step.route, {**(step.body or {}), **place}, step.seconds) for step in plan.steps]
    return _Plan(tuple(steps), plan.release)


def _apart(plan: _Plan) -> _Plan:
    """Return the plan of three clicks for a daemon that can click once or twice."""
    (step,) = plan.steps
    body = {name: value for name, value in (step.body or {}).items() if name != "clicks"}
    return _Plan((replace(step, body={**body, "double": True}), replace(step, body=body)))


def _plan(action: InputAction) -> _Plan | None:
    """Return the requests that perform an action; ``None`` where the vendor has no words for it."""
    for kind, make in _PLANS.items():
        if isinstance(action, kind):
            return make(action)
    return None


def _click(action: Click) -> _Plan | None:
    held = modifier_names(action.modifiers)
    if held is None or action.button not in _BUTTONS:
        return None
    body: dict[str, object] = {"button": action.button, **_place(action.x, action.y)}
    if action.count == 2:
        body["double"] = True
    elif action.count > 2:
        body["clicks"] = action.count
    return _Plan((_Step("click", "mouse/click", body | _held(held)),))


def _move(action: Move) -> _Plan:
    return _Plan((_Step("move the pointer", "mouse/move", {"x": action.x, "y": action.y}),))


def _button_down(action: MouseDown) -> _Plan | None:
    if action.button not in _BUTTONS:
        return None
    return _Plan((_Step("press a button", "mouse/down", {"button": action.button}),))


def _button_up(action: MouseUp) -> _Plan | None:
    if action.button not in _BUTTONS:
        return None
    return _Plan((_Step("let go of a button", "mouse/up", {"button": action.button}),))


def _drag(action: Drag) -> _Plan | None:
    held = modifier_names(action.modifiers)
    if held is None or action.button not in _BUTTONS:
        return None
    (x, y), (end_x, end_y) = action.path[0], action.path[-1]
    button: dict[str, object] = {"button": action.button}
    if len(action.path) == 2:
        body = {"startX": x, "startY": y, "endX": end_x, "endY": end_y, **button}
        return _Plan((_Step("drag", "mouse/drag", body | _held(held)),))
    down, up = _keys("down", held), _keys("up", held[::-1])
    let_go = _Step("let go of a button", "mouse/up", button)
    moves = [_Step("move the pointer", "mouse/move", {"x": x, "y": y}) for x, y in _line(action.path)]
    pressed = _Step("press a button", "mouse/down", {"x": x, "y": y, **button})
    return _Plan((*down, pressed, *moves, let_go, *up), (let_go, *up))


def _scroll(action: Scroll) -> _Plan | None:
    held = modifier_names(action.modifiers)
    if held is None:
        return None
    at = _place(action.x, action.y)
    turns = [
        ("down" if action.dy > 0 else "up", abs(action.dy)),
        ("right" if action.dx > 0 else "left", abs(action.dx)),
    ]
    return _Plan(
        tuple(
            _Step("scroll", "mouse/scroll", {"direction": direction, "amount": amount, **at} | _held(held))
            for direction, notches in turns
            for amount in _portions(notches)
        )
    )


def _type(action: Type) -> _Plan:
    """Type a text; a tab is struck, as the vendor refuses one in a text."""
    text = action.text.replace("\r\n", "\n")
    return _Plan(
        tuple(
            _Step("strike a key", "keyboard/key", {"key": "tab"})
            if piece == "\t"
            else _Step("type", "keyboard/type", {"text": piece}, len(piece) / _TYPED_A_SECOND)
            for piece in _TEXT.findall(text)
        )
    )


def _key(action: Key) -> _Plan | None:
    if len(action.keys) == 1 and len(action.keys[0]) == 1 and stroke(action.keys) is None:
        return _type(Type(action.keys[0] * action.repeat))  # a character that no key is named after is typed
    words = stroke(action.keys)
    if words is None:
        return None
    key, held = words
    return _Plan((_Step("strike a key", "keyboard/key", {"key": key} | _held(held)),) * action.repeat)


def _hold(action: HoldKey) -> _Plan | None:
    words = stroke(action.keys)
    if words is None:
        return None
    key, held = words
    up = _keys("up", [key, *held[::-1]])
    return _Plan((*_keys("down", [*held, key]), _Step(seconds=action.duration), *up), up)


def _keys(direction: str, names: list[str]) -> tuple[_Step, ...]:
    operation = {"down": "press a key", "up": "let go of a key"}[direction]
    return tuple(_Step(operation, f"keyboard/{direction}", {"key": name}) for name in names)


def _place(x: int | None, y: int | None) -> dict[str, object]:
    return {} if x is None else {"x": x, "y": y}


def _held(modifiers: list[str]) -> dict[str, object]:
    return {"modifiers": modifiers} if modifiers else {}


def _line(path: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    """Return the points on the way, without the first."""
    for (x, y), (end_x, end_y) in pairwise(path):
        for step in range(1, _STEPS + 1):
            yield x + (end_x - x) * step // _STEPS, y + (end_y - y) * step // _STEPS


def _portions(amount: int) -> Iterator[int]:
    """Return an amount in portions that one request takes."""
    while amount > 0:
        yield min(amount, _NOTCHES)
        amount -= _NOTCHES


_PLANS: Final[Mapping[type, Callable[..., _Plan | None]]] = {
    Click: _click,
    Move: _move,
    MouseDown: _button_down,
    MouseUp: _button_up,
    Drag: _drag,
    Scroll: _scroll,
    Type: _type,
    Key: _key,
    HoldKey: _hold,
}
