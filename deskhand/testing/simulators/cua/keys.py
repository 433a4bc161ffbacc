"""The keys that pyautogui knows on Linux; it ignores any other, without a word."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LONG_NAMES", "key_of"]

LONG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "backspace": "BackSpace",
        "tab": "Tab",
        "enter": "Return",
        "return": "Return",
        "shift": "Shift_L",
        "shiftleft": "Shift_L",
        "shiftright": "Shift_R",
        "ctrl": "Control_L",
        "ctrlleft": "Control_L",
        "ctrlright": "Control_R",
        "alt": "Alt_L",
        "altleft": "Alt_L",
        "altright": "Alt_R",
        "pause": "Pause",
        "capslock": "Caps_Lock",
        "esc": "Escape",
        "escape": "Escape",
        "pgup": "Page_Up",
        "pageup": "Page_Up",
        "pgdn": "Page_Down",
        "pagedown": "Page_Down",
        "end": "End",
        "home": "Home",
        "left": "Left",
        "up": "Up",
        "right": "Right",
        "down": "Down",
        "print": "Print",
        "printscreen": "Print",
        "prtsc": "Print",
        "insert": "Insert",
        "del": "Delete",
        "delete": "Delete",
        "win": "Super_L",
        "winleft": "Super_L",
        "winright": "Super_R",
        "apps": "Menu",
        "multiply": "KP_Multiply",
        "add": "KP_Add",
        "subtract": "KP_Subtract",
        "decimal": "KP_Decimal",
        "divide": "KP_Divide",
        "numlock": "Num_Lock",
        "scrolllock": "Scroll_Lock",
        "space": "space",
        **{f"num{number}": f"KP_{number}" for number in range(10)},
        **{f"f{number}": f"F{number}" for number in range(1, 25)},
    }
)
"""X's names of the keys that have a name with pyautogui."""

_SIGNS = {
    " ": "space",
    "\t": "Tab",
    "\n": "Return",
    "\r": "Return",
    "\b": "BackSpace",
    "!": "exclam",
    "#": "numbersign",
    "%": "percent",
    "$": "dollar",
    "&": "ampersand",
    '"': "quotedbl",
    "'": "apostrophe",
    "(": "parenleft",
    ")": "parenright",
    "*": "asterisk",
    "=": "equal",
    "+": "plus",
    ",": "comma",
    "-": "minus",
    ".": "period",
    "/": "slash",
    ":": "colon",
    ";": "semicolon",
    "<": "less",
    ">": "greater",
    "?": "question",
    "@": "at",
    "[": "bracketleft",
    "]": "bracketright",
    "\\": "backslash",
    "^": "asciicircum",
    "_": "underscore",
    "`": "grave",
    "{": "braceleft",
    "|": "bar",
    "}": "braceright",
    "~": "asciitilde",
}


def key_of(name: str) -> str | None:
    """Returns X's name of a key; None for one that pyautogui does not know: it does nothing then."""
    if len(name) > 1:
        return LONG_NAMES.get(name.lower())
    if name.isascii() and name.isalnum():
        return name
    return _SIGNS.get(name)
