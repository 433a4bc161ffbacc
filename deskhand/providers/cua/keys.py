"""The server's names of keys: pyautogui's. It ignores a name that it does not know, and says that all is well."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

__all__ = ["key_names"]

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ctrl": "ctrl",
        "alt": "alt",
        "shift": "shift",
        "super": "win",
        "enter": "enter",
        "tab": "tab",
        "space": "space",
        "backspace": "backspace",
        "escape": "esc",
        "delete": "del",
        "insert": "insert",
        "home": "home",
        "end": "end",
        "page_up": "pageup",
        "page_down": "pagedown",
        "up": "up",
        "down": "down",
        "left": "left",
        "right": "right",
        "caps_lock": "capslock",
        "num_lock": "numlock",
        "scroll_lock": "scrolllock",
        "print_screen": "printscreen",
        "pause": "pause",
        "menu": "apps",
        "kp_add": "add",
        "kp_subtract": "subtract",
        "kp_multiply": "multiply",
        "kp_divide": "divide",
        **{f"f{number}": f"f{number}" for number in range(1, 13)},
    }
)
"""Keys that every keyboard has and the server strikes as themselves: digits of the keypad need Num Lock, and keys
above F12, of sound and of media are nowhere in its table."""

_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + string.punctuation)


def key_names(keys: Sequence[str]) -> list[str] | None:
    """Return the server's names of canonical keys; ``None`` where it has none for one of them."""
    names = [_NAMES.get(key) or (key if key in _CHARACTERS else None) for key in keys]
    known = [name for name in names if name is not None]
    return known if len(known) == len(names) else None
