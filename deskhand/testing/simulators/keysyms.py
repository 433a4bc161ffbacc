"""The key names that vendors' Linux desktops know: those of X11, and the short ones of the modifiers."""

from __future__ import annotations

import re

__all__ = ["MODIFIER_NAMES", "key_named"]

MODIFIER_NAMES = {
    "ctrl": "ctrl",
    "control": "ctrl",
    "Control_L": "ctrl",
    "Control_R": "ctrl",
    "alt": "alt",
    "Alt_L": "alt",
    "Alt_R": "alt",
    "shift": "shift",
    "Shift_L": "shift",
    "Shift_R": "shift",
    "super": "super",
    "Super_L": "super",
    "Super_R": "super",
    "meta": "super",
    "ISO_Level3_Shift": "altgr",
}
_NAMES = {
    "Enter": "enter",
    "Return": "enter",
    "Tab": "tab",
    "Escape": "escape",
    "BackSpace": "backspace",
    "Backspace": "backspace",
    "Delete": "delete",
    "Insert": "insert",
    "Up": "up",
    "Down": "down",
    "Left": "left",
    "Right": "right",
    "Home": "home",
    "End": "end",
    "Page_Up": "page_up",
    "Page_Down": "page_down",
    "Prior": "page_up",
    "Next": "page_down",
    "space": "space",
    "Caps_Lock": "caps_lock",
    "Num_Lock": "num_lock",
    "Scroll_Lock": "scroll_lock",
    "Print": "print_screen",
    "Pause": "pause",
    "Menu": "menu",
    "KP_Enter": "kp_enter",
    "KP_Add": "kp_add",
    "KP_Subtract": "kp_subtract",
    "KP_Multiply": "kp_multiply",
    "KP_Divide": "kp_divide",
    "KP_Decimal": "kp_decimal",
    "XF86AudioRaiseVolume": "volume_up",
    "XF86AudioLowerVolume": "volume_down",
    "XF86AudioMute": "volume_mute",
    "XF86AudioPlay": "media_play",
    "XF86AudioNext": "media_next",
    "XF86AudioPrev": "media_previous",
    **{f"F{number}": f"f{number}" for number in range(1, 25)},
    **{f"KP_{number}": f"kp_{number}" for number in range(10)},
}
_SIGNS = {
    "plus": "+",
    "minus": "-",
    "equal": "=",
    "comma": ",",
    "period": ".",
    "slash": "/",
    "backslash": "\\",
    "semicolon": ";",
    "colon": ":",
    "apostrophe": "'",
    "quotedbl": '"',
    "grave": "`",
    "asciitilde": "~",
    "exclam": "!",
    "at": "@",
    "numbersign": "#",
    "dollar": "$",
    "percent": "%",
    "asciicircum": "^",
    "ampersand": "&",
    "asterisk": "*",
    "parenleft": "(",
    "parenright": ")",
    "underscore": "_",
    "bracketleft": "[",
    "bracketright": "]",
    "braceleft": "{",
    "braceright": "}",
    "bar": "|",
    "less": "<",
    "greater": ">",
    "question": "?",
}


def key_named(name: str) -> str | None:
    """Returns the key of that name, in the names of the machine behind; None where no key is called so."""
    # A sign has a name with X11, as "plus": the sign itself is none.
    if len(name) == 1 and name.isascii() and name.isalnum():
        return name
    if re.fullmatch("U[0-9A-F]{4,6}", name):
        return chr(int(name[1:], 16))
    return _NAMES.get(name) or _SIGNS.get(name)
