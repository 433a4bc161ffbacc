"""Daytona's names of keys: one key with modifiers, in lower case; some have no name there, or strike another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deskhand.providers.keys import MODIFIERS, Chord

__all__ = ["modifier_names", "stroke"]

_MODIFIERS: Final[Mapping[str, str]] = {"ctrl": "ctrl", "alt": "alt", "shift": "shift", "super": "cmd"}

_NAMES: Final[Mapping[str, str]] = {
    **{name: name for name in ("enter", "tab", "space", "backspace", "escape", "delete", "insert", "home", "end")},
    **{name: name for name in ("up", "down", "left", "right", "menu", "num_lock")},
    **{f"f{number}": f"f{number}" for number in range(1, 25)},
    **{f"kp_{number}": f"num{number}" for number in range(10)},
    "page_up": "pageup",
    "page_down": "pagedown",
    "caps_lock": "capslock",
}
"""Named keys. The other keys of the number pad have names too, but strike other characters."""

_SHIFTED: Final[Mapping[str, str]] = dict(zip('!"#$%&()*+:<>?@^_{|}~', "1'3457908=;,./26-[\\]`", strict=True))
"""Signs that are struck with Shift, by the key that they are on; the vendor takes the key alone."""
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789',-./;=[\\]`")


def modifier_names(modifiers: tuple[str, ...]) -> list[str] | None:
    """Return what the vendor calls modifiers; ``None`` where it has no name for one."""
    names = [_MODIFIERS.get(modifier, "") for modifier in modifiers]
    return names if all(names) else None


def stroke(keys: Chord) -> tuple[str, list[str]] | None:
    """Return the key and the modifiers that strike a chord; ``None`` where the vendor has no words for it."""
    struck = [key for key in keys if key not in MODIFIERS]
    held = modifier_names(tuple(key for key in keys if key in MODIFIERS))
    if len(struck) != 1 or held is None:
        return None
    key = struck[0]
    if key in _NAMES:
        return _NAMES[key], held
    if key in _PLAIN:
        return key, held
    if key in _SHIFTED or (len(key) == 1 and key.isascii() and key.isupper()):
        return _SHIFTED.get(key, key.lower()), [*dict.fromkeys([*held, "shift"])]
    return None
