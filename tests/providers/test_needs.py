"""What input actions need of a computer."""

from __future__ import annotations

import pytest

from deskhand.providers import (
    Capability,
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseDown,
    Move,
    Scroll,
    Type,
    Wait,
    capabilities_for,
)

FULL = Capability.FULL_INPUT


@pytest.mark.parametrize(
    ("action", "needed"),
    [
        (Click(1, 2, count=3), {Capability.POINTER}),
        (Click(1, 2, "right"), {Capability.POINTER}),
        (Click(1, 2, "right", 2), {Capability.POINTER, FULL}),
        (Click(1, 2, "middle"), {Capability.POINTER, FULL}),
        (Click(1, 2, modifiers=("shift",)), {Capability.POINTER, FULL}),
        (Click(), {Capability.POINTER, FULL}),
        (Move(1, 2), {Capability.MOVE}),
        (Drag(((1, 2), (3, 4))), {Capability.DRAG}),
        (Drag(((1, 2), (3, 4), (5, 6))), {Capability.DRAG, FULL}),
        (Drag(((1, 2), (3, 4)), "right"), {Capability.DRAG, FULL}),
        (Scroll(1, 2, dy=-3), {Capability.SCROLL}),
        (Scroll(1, 2, dx=1), {Capability.SCROLL, FULL}),
        (Scroll(dy=1), {Capability.SCROLL, FULL}),
        (Key("ctrl+s"), {Capability.KEYBOARD}),
        (Type("text"), {Capability.KEYBOARD}),
        (HoldKey("x", 1), {Capability.KEYBOARD, FULL}),
        (MouseDown(), {FULL}),
        (Wait(1), set()),
    ],
    ids=lambda value: repr(value) if not isinstance(value, set) else "-".join(sorted(value)) or "nothing",
)
def test_action_needs_what_is_told(action: InputAction, needed: set[Capability]) -> None:
    """What is common needs little; what is held, sideways or without a place needs the full vocabulary."""
    assert capabilities_for(action) == needed
