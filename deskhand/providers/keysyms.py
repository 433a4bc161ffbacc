"""X's names of keys, as its headers, ``xdotool`` and the desktops of several vendors have them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["KEYSYM_NAMES", "keysym_name"]

KEYSYM_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ctrl": "Control_L",
        "alt": "Alt_L",
        "shift": "Shift_L",
        "super": "Super_L",
        "altgr": "ISO_Level3_Shift",
        "enter": "Return",
        "tab": "Tab",
        "space": "space",
        "backspace": "BackSpace",
        "escape": "Escape",
        "delete": "Delete",
        "insert": "Insert",
        "home": "Home",
        "end": "End",
        "page_up": "Page_Up",
        "page_down": "Page_Down",
        "up": "Up",
        "down": "Down",
        "left": "Left",
        "right": "Right",
        "caps_lock": "Caps_Lock",
        "num_lock": "Num_Lock",
        "scroll_lock": "Scroll_Lock",
        "print_screen": "Print",
        "pause": "Pause",
        "menu": "Menu",
        "volume_up": "XF86AudioRaiseVolume",
        "volume_down": "XF86AudioLowerVolume",
        "volume_mute": "XF86AudioMute",
        "media_play": "XF86AudioPlay",
        "media_next": "XF86AudioNext",
        "media_previous": "XF86AudioPrev",
        **{f"f{n}": f"F{n}" for n in range(1, 25)},
        **{f"kp_{n}": f"KP_{n}" for n in range(10)},
        "kp_enter": "KP_Enter",
        "kp_add": "KP_Add",
        "kp_subtract": "KP_Subtract",
        "kp_multiply": "KP_Multiply",
        "kp_divide": "KP_Divide",
        "kp_decimal": "KP_Decimal",
    }
)
"""X's name of every canonical key that has one of its own (``deskhand.providers.NAMED_KEYS``)."""

_SIGNS: Final = {
    "+": "plus",
    "-": "minus",
    "_": "underscore",
    "=": "equal",
    ".": "period",
    ",": "comma",
    "/": "slash",
    "\\": "backslash",
    ";": "semicolon",
    ":": "colon",
    "'": "apostrophe",
    '"': "quotedbl",
    "`": "grave",
    "~": "asciitilde",
    "!": "exclam",
    "@": "at",
    "#": "numbersign",
    "$": "dollar",
    "%": "percent",
    "^": "asciicircum",
    "&": "ampersand",
    "*": "asterisk",
    "(": "parenleft",
    ")": "parenright",
    "[": "bracketleft",
    "]": "bracketright",
    "{": "braceleft",
    "}": "braceright",
    "<": "less",
    ">": "greater",
    "|": "bar",
    "?": "question",
}


def keysym_name(key: str) -> str:
    """Return X's name of a canonical key: letters, digits and ``_`` alone, so that no shell takes it for more."""
    if key in KEYSYM_NAMES:
        return KEYSYM_NAMES[key]
    return _SIGNS.get(key) or (key if key.isascii() else f"U{ord(key):04X}")
