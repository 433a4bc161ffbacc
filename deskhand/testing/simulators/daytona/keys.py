"""The key names that the vendor's daemon knows, and what it refuses."""

from __future__ import annotations

from .wire import DaemonError

__all__ = ["canonical", "canonical_modifiers", "keysym"]

_MODIFIERS = {
    **dict.fromkeys(("ctrl", "control"), "ctrl"),
    **dict.fromkeys(("alt", "option"), "alt"),
    "shift": "shift",
    **dict.fromkeys(("cmd", "command", "meta", "super", "win", "windows"), "super"),
}
_KEYS = {
    **{name: name for name in ("tab", "space", "backspace", "insert", "up", "down", "left", "right", "home", "end")},
    **{name: name for name in ("menu", "num_lock")},
    **dict.fromkeys(("enter", "return"), "enter"),
    **dict.fromkeys(("escape", "esc"), "escape"),
    **dict.fromkeys(("delete", "del"), "delete"),
    **dict.fromkeys(("pageup", "page_up"), "page_up"),
    **dict.fromkeys(("pagedown", "page_down"), "page_down"),
    "capslock": "caps_lock",
    **{f"f{number}": f"f{number}" for number in range(1, 25)},
    **{f"num{number}": f"kp_{number}" for number in range(10)},
}
_PUNCTUATION = "',-./;=[\\]`"
_SYMBOLS = {
    "ctrl": "Control_L",
    "alt": "Alt_L",
    "shift": "Shift_L",
    "super": "Super_L",
    "enter": "Return",
    "tab": "Tab",
    "backspace": "BackSpace",
    "escape": "Escape",
    "delete": "Delete",
    "insert": "Insert",
    "home": "Home",
    "end": "End",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "menu": "Menu",
    "page_up": "Page_Up",
    "page_down": "Page_Down",
    "caps_lock": "Caps_Lock",
    "num_lock": "Num_Lock",
    **{f"f{number}": f"F{number}" for number in range(1, 25)},
    **{f"kp_{number}": f"KP_{number}" for number in range(10)},
}
"""X's names, for keys that are held; a character has its code."""


def canonical(name: str) -> str:
    """Returns a key in the names of the machine behind; capitals are small letters.

    Raises:
        ApiError: If the daemon has no such key.
    """
    folded = name.lower().replace("-", "_")
    if len(name) == 1 and name.isascii() and (name.isalnum() or name in _PUNCTUATION):
        return name.lower()
    if len(name) > 1 and folded in _KEYS:
        return _KEYS[folded]
    if len(name) > 1 and folded in _MODIFIERS:
        return _MODIFIERS[folded]
    raise DaemonError(400, f'unsupported key "{name}"; see supported keyboard key names in the computer-use docs')


def canonical_modifiers(names: object) -> tuple[str, ...]:
    """Returns modifiers in the names of the machine behind.

    Raises:
        ApiError: If one is none, or comes twice.
    """
    found: list[str] = []
    for name in names if isinstance(names, list) else []:
        modifier = _MODIFIERS.get(name.lower()) if isinstance(name, str) else None
        if modifier is None:
            raise DaemonError(400, f'unsupported modifier "{name}"; supported modifiers: ctrl, alt, shift, cmd')
        if modifier in found:
            raise DaemonError(400, f'duplicate modifier "{modifier}"')
        found.append(modifier)
    return tuple(found)


def keysym(key: str) -> str:
    """Returns X's name of a key."""
    return _SYMBOLS.get(key) or f"U{ord(' ' if key == 'space' else key):04X}"
