"""What each input action needs of a computer."""

from __future__ import annotations

from typing import Final

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
from deskhand.providers.contract import Capability

__all__ = ["INPUT", "capabilities_for"]

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
