"""What each input action needs of a computer: what it can do, and where its screen ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deskhand.errors import InvalidInputError
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
from deskhand.providers.contract import Capability, Screen

__all__ = ["INPUT", "capabilities_for", "check_points"]

INPUT: Final = frozenset(
    {
        Capability.POINTER,
        Capability.MOVE,
        Capability.DRAG,
        Capability.SCROLL,
        Capability.KEYBOARD,
        Capability.FULL_INPUT,
    }
)
"""The capabilities of input: all that ``perform`` may be asked for."""

_BASIC: Final[dict[type[InputAction], frozenset[Capability]]] = {
    Click: frozenset({Capability.POINTER}),
    Move: frozenset({Capability.MOVE}),
    MouseDown: frozenset({Capability.FULL_INPUT}),
    MouseUp: frozenset({Capability.FULL_INPUT}),
    Drag: frozenset({Capability.DRAG}),
    Scroll: frozenset({Capability.SCROLL}),
    Key: frozenset({Capability.KEYBOARD}),
    HoldKey: frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    Type: frozenset({Capability.KEYBOARD}),
    Wait: frozenset(),
}


def capabilities_for(action: InputAction) -> frozenset[Capability]:
    """Return the capabilities without which a computer cannot perform an action."""
    basic = _BASIC[type(action)]
    return basic | {Capability.FULL_INPUT} if _is_beyond_basic(action) else basic


def _is_beyond_basic(action: InputAction) -> bool:
    match action:
        case Click():
            is_common = action.button == "left" or (action.button == "right" and action.count == 1)
            return action.x is None or bool(action.modifiers) or not is_common
        case Drag():
            return action.button != "left" or bool(action.modifiers) or len(action.path) > 2
        case Scroll():
            return action.x is None or bool(action.modifiers) or action.dx != 0
        case _:
            return False


def check_points(action: InputAction, screen: Screen | None) -> None:
    """Refuse an action at a point that the screen does not have; where no screen is known, none is refused.

    Raises:
        InvalidInputError: Naming the point and the screen's size.
    """
    if screen is None:
        return
    for x, y in _points(action):
        if not (0 <= x < screen.width and 0 <= y < screen.height):
            raise InvalidInputError(
                f"the point {x},{y} is off the screen, which is {screen.width}x{screen.height}",
                hint=f"x is 0 to {screen.width - 1}, y is 0 to {screen.height - 1}",
            )


def _points(action: InputAction) -> Sequence[tuple[int, int]]:
    if isinstance(action, Drag):
        return action.path
    if isinstance(action, Click | Move | Scroll) and action.x is not None and action.y is not None:
        return ((action.x, action.y),)
    return ()
