"""Canonical key names, and the aliases that models and people use for them.

A canonical name is a single printable character (``a``, ``+``, ``ö``) or one of the names in ``NAMED_KEYS``.
Accepted besides: xdotool and X keysym names (``Return``, ``Page_Up``, ``KP_Enter``), web names (``ArrowUp``,
``ControlLeft``) and macOS names (``cmd``, ``option``), in any case.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import MappingProxyType

from deskhand.errors import InvalidInputError

__all__ = ["MODIFIERS", "NAMED_KEYS", "Chord", "modifiers", "parse_chord", "parse_key"]

Chord = tuple[str, ...]
"""Canonical key names pressed together, in the order in which they go down."""

MODIFIERS = ("ctrl", "alt", "shift", "super", "altgr")
"""The canonical modifiers."""

NAMED_KEYS = frozenset(
    {
        *MODIFIERS,
        *(f"f{n}" for n in range(1, 25)),
        *(f"kp_{n}" for n in range(10)),
        *("kp_enter", "kp_add", "kp_subtract", "kp_multiply", "kp_divide", "kp_decimal"),
        *("enter", "tab", "space", "backspace", "escape", "delete", "insert", "home", "end", "page_up", "page_down"),
        *("up", "down", "left", "right", "caps_lock", "num_lock", "scroll_lock", "print_screen", "pause", "menu"),
        *("volume_up", "volume_down", "volume_mute", "media_play", "media_next", "media_previous"),
    }
)
"""Every canonical name that is not a single character."""

_ALIASES = MappingProxyType(
    {
        **dict.fromkeys(
            ("control", "control_l", "control_r", "ctrl_l", "ctrl_r", "controlleft", "controlright"), "ctrl"
        ),
        **dict.fromkeys(("alt_l", "altleft", "alt_r", "altright", "option", "opt", "optionleft", "meta_l"), "alt"),
        **dict.fromkeys(("shift_l", "shift_r", "shiftleft", "shiftright"), "shift"),
        **dict.fromkeys(
            ("super_l", "super_r", "win", "windows", "cmd", "command", "meta", "metaleft", "metaright", "os", "hyper"),
            "super",
        ),
        **dict.fromkeys(("iso_level3_shift", "altgraph", "alt_gr", "mode_switch"), "altgr"),
        **dict.fromkeys(("return", "ret", "linefeed"), "enter"),
        **dict.fromkeys(("kp_return", "numpadenter"), "kp_enter"),
        **dict.fromkeys(("esc",), "escape"),
        **dict.fromkeys(("back_space", "bksp"), "backspace"),
        **dict.fromkeys(("del", "forwarddelete"), "delete"),
        **dict.fromkeys(("ins",), "insert"),
        **dict.fromkeys(("pageup", "pgup", "prior"), "page_up"),
        **dict.fromkeys(("pagedown", "pgdn", "pgdown", "next"), "page_down"),
        **dict.fromkeys(("arrowup", "uparrow", "up_arrow"), "up"),
        **dict.fromkeys(("arrowdown", "downarrow", "down_arrow"), "down"),
        **dict.fromkeys(("arrowleft", "leftarrow", "left_arrow"), "left"),
        **dict.fromkeys(("arrowright", "rightarrow", "right_arrow"), "right"),
        **dict.fromkeys(("spacebar",), "space"),
        **dict.fromkeys(("capslock",), "caps_lock"),
        **dict.fromkeys(("numlock",), "num_lock"),
        **dict.fromkeys(("scrolllock",), "scroll_lock"),
        **dict.fromkeys(("print", "printscreen", "prtsc", "sys_req"), "print_screen"),
        **dict.fromkeys(("break",), "pause"),
        **dict.fromkeys(("contextmenu", "apps"), "menu"),
        **dict.fromkeys(("xf86audioraisevolume", "audiovolumeup"), "volume_up"),
        **dict.fromkeys(("xf86audiolowervolume", "audiovolumedown"), "volume_down"),
        **dict.fromkeys(("xf86audiomute", "audiovolumemute"), "volume_mute"),
        **dict.fromkeys(("xf86audioplay", "mediaplaypause"), "media_play"),
        **dict.fromkeys(("xf86audionext", "mediatracknext"), "media_next"),
        **dict.fromkeys(("xf86audioprev", "mediatrackprevious"), "media_previous"),
        **{f"numpad{n}": f"kp_{n}" for n in range(10)},
        **{
            name: character
            for character, names in {
                "+": ("plus", "equal_plus"),
                "-": ("minus", "hyphen", "dash"),
                "_": ("underscore",),
                "=": ("equal", "equals"),
                ".": ("period", "dot"),
                ",": ("comma",),
                "/": ("slash",),
                "\\": ("backslash",),
                ";": ("semicolon",),
                ":": ("colon",),
                "'": ("apostrophe", "quote", "quoteright"),
                '"': ("quotedbl", "doublequote"),
                "`": ("grave", "backquote", "quoteleft"),
                "~": ("asciitilde", "tilde"),
                "!": ("exclam",),
                "@": ("at",),
                "#": ("numbersign",),
                "$": ("dollar",),
                "%": ("percent",),
                "^": ("asciicircum", "caret"),
                "&": ("ampersand",),
                "*": ("asterisk",),
                "(": ("parenleft",),
                ")": ("parenright",),
                "[": ("bracketleft",),
                "]": ("bracketright",),
                "{": ("braceleft",),
                "}": ("braceright",),
                "<": ("less",),
                ">": ("greater",),
                "|": ("bar",),
                "?": ("question",),
            }.items()
            for name in names
        },
    }
)


def parse_key(name: str) -> str:
    """Return the canonical name of one key.

    Raises:
        InvalidInputError: If no key is called that; names the nearest.
    """
    if len(name) == 1 and name.isprintable():
        return "space" if name == " " else name
    folded = name.strip().lower().replace(" ", "_")
    if folded in NAMED_KEYS:
        return folded
    if folded in _ALIASES:
        return _ALIASES[folded]
    if len(folded) == 4 and folded.startswith("key"):  # web codes: KeyA, Digit1
        return folded[-1]
    if len(folded) == 6 and folded.startswith("digit"):
        return folded[-1]
    nearest = difflib.get_close_matches(folded, [*NAMED_KEYS, *_ALIASES], n=1)
    meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise InvalidInputError(
        f"no key is called {name!r}{meant}",
        hint="name a single character, or a key such as enter, escape, page_up, f5, ctrl+s",
    )


def parse_chord(chord: Chord | str) -> Chord:
    """Return a chord (``"ctrl+shift+t"``, ``("ctrl", "t")``) as canonical names, modifiers first.

    Raises:
        InvalidInputError: If it is empty, or holds an unknown key or one key twice.
    """
    parts = _split(chord) if isinstance(chord, str) else list(chord)
    keys = [parse_key(part) for part in parts]
    if not keys:
        raise InvalidInputError("the chord is empty", hint="give a key such as enter or ctrl+s")
    if len(set(keys)) != len(keys):
        raise InvalidInputError(f"the chord {chord!r} holds one key twice")
    held = [key for key in keys if key in MODIFIERS]
    # Models write ctrl+S for ctrl+s: beside a modifier, a letter's case means nothing.
    struck = [key.lower() if held and len(key) == 1 else key for key in keys if key not in MODIFIERS]
    return (*held, *struck)


def modifiers(names: Iterable[str]) -> tuple[str, ...]:
    """Return canonical modifier names, each once, in the order given.

    Raises:
        InvalidInputError: If one of them is not a modifier.
    """
    found: dict[str, None] = {}
    for name in names:
        key = parse_key(name)
        if key not in MODIFIERS:
            raise InvalidInputError(f"{name!r} is not a modifier; modifiers are {', '.join(MODIFIERS)}")
        found[key] = None
    return tuple(found)


def _split(chord: str) -> list[str]:
    """Split at ``+``, but keep a ``+`` that is itself the key (``ctrl++``, ``+``)."""
    if chord.strip() == "":
        return [chord] if chord == " " else []
    if chord == "+":
        return ["+"]
    if chord.endswith("++"):
        return [*_split(chord[:-2]), "+"]
    parts = chord.split("+")
    if any(not part for part in parts):
        raise InvalidInputError(
            f"the chord {chord!r} has an empty key", hint="write ctrl+s, or ctrl++ for the plus key"
        )
    return parts
