"""Where typing and keys go: nobody tells, but who has just clicked somewhere most likely types there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from deskhand.tools.registry import Tool

__all__ = ["TYPING", "focus_after"]

TYPING: Final = frozenset({"type", "key", "hold_key"})
"""What goes where the focus is."""

_CLICKS: Final = frozenset({"left_click", "right_click", "middle_click", "double_click", "triple_click"})
_KEEPS: Final = frozenset({"type", "mouse_move", "scroll"})
"""Input that leaves the focus where it is; text with a line's end or a tab in it does not."""


def focus_after(focus: tuple[int, int] | None, tool: Tool, arguments: BaseModel) -> tuple[int, int] | None:
    """Return where the focus is after an action, in pixels of the screen; ``None`` where nobody knows.

    Args:
        focus: Where it was before.
        tool: What was done.
        arguments: With which arguments, coordinates in pixels of the screen.
    """
    if not tool.on_screen or tool.effect == "pure":
        return focus
    given: Mapping[str, object] = arguments.model_dump()
    if tool.name in _CLICKS:
        x, y = given.get("x"), given.get("y")
        return (x, y) if isinstance(x, int) and isinstance(y, int) else None
    moves = any(character < " " for character in str(given.get("text", "")))
    return focus if tool.name in _KEEPS and not moves else None
