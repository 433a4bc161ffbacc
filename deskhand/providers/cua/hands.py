"""Input: by the server's commands, put together where it has none, and by ``xdotool`` on the computer where that is.

Pyautogui waits a tenth of a second after each command, so that what is put together takes its time. What holds a key
or a button lets go of it on every way out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final, NamedTuple

import anyio

from deskhand.errors import DeskhandError, UnsupportedError
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
from deskhand.providers.composition import done_in_part
from deskhand.providers.contract import Capability, ExecResult, Screen
from deskhand.providers.cua.api import NAME
from deskhand.providers.cua.commands import CuaCommands
from deskhand.providers.cua.keys import key_names
from deskhand.providers.cua.server import CuaServer
from deskhand.providers.needs import capabilities_for, check_points
from deskhand.providers.spare_keys import lines_of
from deskhand.providers.xdotool import INSTALL_HINT, failure, let_go, seconds

__all__ = ["Hands"]

_BUTTONS: Final = frozenset({"left", "middle", "right"})
_STEPS: Final = 4
"""Steps from one corner of a drag to the next; each takes a tenth of a second."""
_PATIENCE: Final = 30.0
"""Seconds that an answer may take beyond what the action takes."""
_TYPED_A_SECOND: Final = 20
"""Characters that are typed a second at least."""


class _Step(NamedTuple):
    """One command; ``pause`` is for how many seconds what it holds is held, ``seconds`` what it takes where it is long.

    What is not long has the deadline that any command has.
    """

    name: str
    params: Mapping[str, object] = {}
    pause: float = 0.0
    seconds: float | None = None


class Hands:
    """Performs input on one computer.

    Args:
        server: The computer's server.
        commands: Runs commands on the computer.
        computer: Whose hands these are, as a warning says it.

    Attributes:
        has_xdotool: Whether xdotool works on the server's display.
    """

    def __init__(self, server: CuaServer, commands: CuaCommands, computer: str) -> None:
        self.has_xdotool = False
        self._computer = computer
        self._server = server
        self._commands = commands
        self._turn = anyio.Lock()

    async def perform(self, action: InputAction, screen: Screen | None) -> None:
        """Perform an action that the computer has the capabilities for; points off the screen are refused.

        Raises:
            UnsupportedError: If neither the server nor xdotool can.
        """
        check_points(action, screen)
        if isinstance(action, Wait):
            await anyio.sleep(action.duration)
            return
        steps = _steps(action)
        async with self._turn:  # what is put together is not mixed with anything else
            if self.has_xdotool and (steps is None or _is_better_by_xdotool(action)):
                await self._compose(action)
            elif steps is not None:
                await self._take(steps, _release(steps))
            else:
                raise _cannot(action)

    async def _take(self, steps: Sequence[_Step], release: Sequence[_Step]) -> None:
        """Take steps in turn; whatever happens, let go of what they hold."""
        taken = 0
        try:
            for step in steps:
                deadline = None if step.seconds is None else _PATIENCE + step.seconds
                await self._server.ask(step.name, step.params, deadline=deadline)
                taken += 1
                await anyio.sleep(step.pause)
        except DeskhandError as error:
            if taken or error.effect != "no":
                await self._server.in_background(lambda: self._let_go(release))
            if taken:
                done_in_part(error)
            raise
        except anyio.get_cancelled_exc_class():
            await self._server.in_background(lambda: self._let_go(release))
            raise

    async def _let_go(self, release: Sequence[_Step]) -> None:
        for step in release:
            with suppress(DeskhandError):  # the others are let go of all the same
                await self._server.ask(step.name, step.params, is_urgent=True)

    async def _compose(self, action: InputAction) -> None:
        """Perform an action in one call of xdotool, several for a long text."""
        async with lines_of(action, self._run, self._tidy, self._computer) as lines:
            for number, line in enumerate(lines):
                try:
                    await self._xdotool(line, seconds(action))
                except DeskhandError as error:
                    if error.effect != "no":
                        await self._release_by_xdotool(action)
                    if number:
                        done_in_part(error)
                    raise
                except anyio.get_cancelled_exc_class():
                    await self._release_by_xdotool(action)
                    raise

    async def _release_by_xdotool(self, action: InputAction) -> None:
        if words := let_go(action):
            await self._tidy(f"exec xdotool {words}")

    async def _xdotool(self, line: str, seconds: float) -> None:
        """Run a line of xdotool's.

        Raises:
            ProviderError: If it fails.
        """
        result = await self._run(line, seconds)
        if not result.ok:
            raise failure(result, NAME)

    async def _run(self, line: str, seconds: float = 0.0) -> ExecResult:
        return await self._commands.run(line, timeout=seconds + _PATIENCE, env={"LC_ALL": "C.UTF-8"})

    async def _tidy(self, line: str) -> bool:
        """Run what has to be done although nobody waits any more, and return whether it was."""
        done: list[bool] = []

        async def run() -> None:
            done.append((await self._run(line)).ok)

        await self._server.in_background(run)
        return done == [True]


def _is_better_by_xdotool(action: InputAction) -> bool:
    """Whether one call of xdotool does what the server does in many, or by events that applications may ignore."""
    is_many = isinstance(action, Key) and action.repeat > 1
    return is_many or isinstance(action, Type) or Capability.FULL_INPUT in capabilities_for(action)


def _steps(action: InputAction) -> list[_Step] | None:
    """Return the commands that perform an action; ``None`` where the server has none for it."""
    held = key_names(getattr(action, "modifiers", ()))
    deed = _deed(action) if getattr(action, "button", "left") in _BUTTONS else None
    if held is None or deed is None:
        return None
    pressed = [_Step("press a key", {"key": key}) for key in held]
    return [*_approach(action), *pressed, *deed, *_keys_up(held)]


def _release(steps: Sequence[_Step]) -> list[_Step]:
    """Return the steps that let go of what the others hold, each once; one that stands alone holds nothing."""
    found: dict[str, _Step] = {}
    for step in steps if len(steps) > 1 else ():
        if step.name in {"release a key", "release a button"}:
            found.setdefault(f"{step.params}", step)
    return [*found.values()]


def _keys_up(keys: Sequence[str]) -> list[_Step]:
    return [_Step("release a key", {"key": key}) for key in reversed(keys)]


def _approach(action: InputAction) -> Iterator[_Step]:
    """Yield what leads the pointer to where an action begins, where its own command does not."""
    if isinstance(action, Scroll) and action.x is not None:
        yield _Step("move the pointer", {"x": action.x, "y": action.y})
    elif isinstance(action, Drag) and not _is_plain(action):
        yield _Step("move the pointer", {"x": action.path[0][0], "y": action.path[0][1]})


def _deed(action: InputAction) -> list[_Step] | None:
    match action:
        case Click():
            return _clicks(action)
        case Move():
            return [_Step("move the pointer", {"x": action.x, "y": action.y})]
        case MouseDown():
            return [_Step("press a button", {"button": action.button})]
        case MouseUp():
            return [_Step("release a button", {"button": action.button})]
        case Drag():
            return _drag(action)
        case Scroll():  # the server's wheel goes up and to the right
            return [_Step("scroll", {"x": action.dx, "y": -action.dy})]
        case Key():
            return _strokes(action)
        case HoldKey():
            keys = key_names(action.keys)
            if keys is None:
                return None
            *others, last = [_Step("press a key", {"key": key}) for key in keys]
            return [*others, last._replace(pause=action.duration), *_keys_up(keys)]
        case Type():
            text = action.text.replace("\r\n", "\n")
            if not text.isascii():  # the server loses most of what no key of the keyboard has
                return None
            return [_Step("type", {"text": text}, seconds=len(text) / _TYPED_A_SECOND)] if text else []
        case _:
            return None


def _clicks(action: Click) -> list[_Step]:
    at: dict[str, object] = {} if action.x is None else {"x": action.x, "y": action.y}
    if action.button == "left":
        single, double = _Step("click", at), _Step("double click", at)
        return {1: [single], 2: [double], 3: [double, _Step("click")]}[action.count]
    if action.button == "right" and action.count == 1:
        return [_Step("click with the right button", at)]
    down, up = (_Step(f"{word} a button", {"button": action.button}) for word in ("press", "release"))
    return [down._replace(params={**at, **down.params}), up, *([down, up] * (action.count - 1))]


def _is_plain(action: Drag) -> bool:
    return len(action.path) == 2


def _drag(action: Drag) -> list[_Step]:
    if _is_plain(action):
        (start_x, start_y), (end_x, end_y) = action.path
        ends = {"start_x": start_x, "start_y": start_y, "end_x": end_x, "end_y": end_y, "button": action.button}
        return [_Step("drag", ends)]
    moves = [_Step("move the pointer", {"x": x, "y": y}) for x, y in _way(action.path)]
    down, up = (_Step(f"{word} a button", {"button": action.button}) for word in ("press", "release"))
    return [down, *moves, up]


def _way(path: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the points that a drag passes, its corners among them."""
    for (x0, y0), (x1, y1) in pairwise(path):
        for step in range(1, _STEPS + 1):
            yield round(x0 + (x1 - x0) * step / _STEPS), round(y0 + (y1 - y0) * step / _STEPS)


def _strokes(action: Key) -> list[_Step] | None:
    keys = key_names(action.keys)
    if keys is None:
        return None
    stroke = _Step("strike a chord", {"keys": keys}) if len(keys) > 1 else _Step("strike a key", {"key": keys[0]})
    return [stroke] * action.repeat


def _cannot(action: InputAction) -> UnsupportedError:
    match action:
        case Key() | HoldKey():
            what = f"no key for {'+'.join(action.keys)}"
        case Type():
            what = "no keys for all of this text: it would lose some without a word"
        case Click() | MouseDown() | MouseUp() | Drag():
            what = f"no button {action.button}, or no key for {'+'.join(getattr(action, 'modifiers', ())) or 'it'}"
        case _:
            what = "no way to do that"
    return UnsupportedError(f"cua's server has {what}", hint=INSTALL_HINT, provider=NAME, effect="no")
