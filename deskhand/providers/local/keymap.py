"""Which key types what, and how spare keys come to type any character.

A keyboard has 248 keycodes at most. What the server's own map lacks is bound to spare ones (empty, or holding nothing
but media keys) and stays bound, so that a repeated character costs nothing; when they run out, the ones unused for
longest are bound anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from xcffib import keysymdef, xf86keysym

from deskhand.errors import InvalidInputError
from deskhand.providers.keys import NAMED_KEYS
from deskhand.providers.keysyms import KEYSYM_NAMES

__all__ = ["Keymap", "Stroke", "key_keysym", "text_keysyms"]

_NO_SYMBOL = 0
_FIRST_VENDOR_KEYSYM = 0x1008FF00
_KEYPAD = range(keysymdef.XK_KP_Space, keysymdef.XK_KP_Equal + 1)
_UNICODE = 0x01000000


def _value(name: str) -> int:
    if name.startswith("XF86"):
        return int(getattr(xf86keysym, f"XF86XK_{name.removeprefix('XF86')}"))
    return int(getattr(keysymdef, f"XK_{name}"))


_KEYSYMS = MappingProxyType({key: _value(name) for key, name in KEYSYM_NAMES.items()})
"""The keysym of every named key; the values come from the tables that xcffib generates from X's own headers."""


def key_keysym(name: str) -> int:
    """Return the keysym of a canonical key name.

    Raises:
        InvalidInputError: If no keyboard can have that key.
    """
    if name in NAMED_KEYS:
        return _KEYSYMS[name]
    return _character_keysym(name)


def text_keysyms(text: str) -> list[int]:
    """Return the keysyms that type a text: a line break is Return, a tab is Tab.

    Raises:
        InvalidInputError: If it holds a control character that no key types.
    """
    return [_character_keysym(character) for character in text.replace("\r\n", "\n")]


def _character_keysym(character: str) -> int:
    if character in "\r\n":
        return _KEYSYMS["enter"]
    if character == "\t":
        return _KEYSYMS["tab"]
    code = ord(character)
    if 0x20 <= code < 0x7F or 0xA0 <= code <= 0xFF:
        return code  # Latin-1 is its own keysym
    if code <= 0xFF:
        raise InvalidInputError(f"the control character U+{code:04X} cannot be typed")
    return _UNICODE | code


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a keysym is struck: a keycode, with or without Shift."""

    keycode: int
    shift: bool = False


class Keymap:
    """The server's keyboard map and what is bound on top of it.

    Args:
        first: The lowest keycode.
        rows: The keysyms of each keycode from there on.
        modifiers: Keycodes that are modifiers, and so never spare.
    """

    def __init__(self, first: int, rows: Sequence[Sequence[int]], modifiers: Collection[int]) -> None:
        self._native: dict[int, Stroke] = {}
        self._bound: dict[int, int] = {}
        empty, media = [], []
        for keycode, row in enumerate(rows, first):
            held = {keysym for keysym in row if keysym != _NO_SYMBOL}
            if keycode not in modifiers and not held:
                empty.append(keycode)
            elif keycode not in modifiers and min(held) >= _FIRST_VENDOR_KEYSYM:
                media.append(keycode)
            for shift, keysym in enumerate(row[:2]):
                # Shift and NumLock both choose the level of a keypad key: there only the plain level is certain.
                if keysym != _NO_SYMBOL and not (shift and keysym in _KEYPAD):
                    known = self._native.get(keysym)
                    if known is None or (known.shift and not shift):
                        self._native[keysym] = Stroke(keycode, bool(shift))
        self._spare = [*empty, *media]
        self.capacity: int = len(self._spare)

    @property
    def bound(self) -> dict[int, int]:
        """The keycode of every bound keysym, the one unused for longest first."""
        return dict(self._bound)

    def find(self, keysym: int) -> Stroke | None:
        """Return how a keysym is struck, or ``None`` while it has no key."""
        keycode = self._bound.get(keysym)
        return self._native.get(keysym) if keycode is None else Stroke(keycode)

    def chunks(self, keysyms: Iterable[int], longest: int) -> Iterator[list[int]]:
        """Split keysyms so that each part is short enough and its foreign keysyms find room all at once."""
        chunk: list[int] = []
        foreign: set[int] = set()
        for keysym in keysyms:
            is_new = keysym not in self._native and keysym not in foreign
            if chunk and (len(chunk) >= longest or (is_new and len(foreign) >= self.capacity)):
                yield chunk
                chunk, foreign = [], set()
                is_new = keysym not in self._native
            chunk.append(keysym)
            if is_new:
                foreign.add(keysym)
        if chunk:
            yield chunk

    def needs_recycling(self, keysyms: Iterable[int]) -> bool:
        """Whether binding these takes keycodes that type something else now.

        A client that has not yet read its events would see the new character in place of the old one.
        """
        return sum(self.find(keysym) is None for keysym in set(keysyms)) > len(self._spare)

    def bind(self, keysyms: Iterable[int]) -> dict[int, int]:
        """Give every keysym that has no key one; return the new keysym of each keycode that changes, ascending."""
        wanted = dict.fromkeys(keysyms)
        for keysym in wanted:
            if keysym in self._bound:  # used now: it goes to the end of the queue
                self._bound[keysym] = self._bound.pop(keysym)
        changes: dict[int, int] = {}
        for keysym in [keysym for keysym in wanted if self.find(keysym) is None]:
            if self._spare:
                keycode = self._spare.pop(0)
            else:
                keycode = self._bound.pop(next(known for known in self._bound if known not in wanted))
            self._native = {known: stroke for known, stroke in self._native.items() if stroke.keycode != keycode}
            self._bound[keysym] = keycode
            changes[keycode] = keysym
        return dict(sorted(changes.items()))

    def adopt(self, other: Keymap) -> None:
        """Take over what another map of the same keyboard had bound and is still in force."""
        for keysym, keycode in other._bound.items():
            if self._native.get(keysym) == Stroke(keycode):
                del self._native[keysym]
                self._bound[keysym] = keycode
        self.capacity = len(self._spare) + len(self._bound)
