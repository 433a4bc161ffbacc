"""Letters that the keyboard has no key for, bound to its spare keys: as many at once as there are.

``xkbcomp`` does it, which whatever has an X server has: it comes with it. The whole keymap is saved, sent with the
letters in it, and sent as it was when the text is typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from deskhand.providers.actions import Type
from deskhand.providers.xdotool import calls

__all__ = ["is_worth_it", "lines_typing", "restoring", "saving", "spare_keys"]

_FEW: Final = 4
"""Letters that are typed sooner one by one."""
_PIECE: Final = 1500
"""Characters that one command types at most: with all that is written around them, well within a command line."""
_SETTLING: Final = 0.25
"""Seconds in which an application reads the last keys of a piece, before they are bound to others."""

_SAVE: Final = r"""
umask 077
xkbcomp -xkb "$DISPLAY" {path}.part 2>/dev/null && mv {path}.part {path} || {{ rm -f {path}.part; exit 1; }}
grep -E '^ *(<[^>]+> = |key +<)' {path}
"""
_TYPE: Final = r"""
umask 077
[ ! -e {path}.new ] || sleep {settling}
printf '%s\n' {keys} > {path}.more
sed '/^xkb_symbols/r {path}.more' {path} > {path}.new
if xkbcomp -w 0 {path}.new "$DISPLAY" 2>/dev/null; then exec xdotool {bound}; else exec xdotool {plain}; fi
"""
"""xdotool takes the shell's place, so that it ends with the command where that is ended."""
_RESTORE: Final = r"""
[ ! -e {path}.new ] || {{ sleep {settling}; xkbcomp -w 0 {path} "$DISPLAY" 2>/dev/null; }} ||
  {{ xkbcomp -xkb "$DISPLAY" {path}.part 2>/dev/null && cmp -s {path}.part {path}; }}
code=$?
rm -f {path} {path}.part {path}.more {path}.new
exit $code
"""
"""A server that takes no keymap has the one it had, which is as good."""

_NAMED: Final = re.compile(r" *<([^>]+)> = (\d+);")
_USED: Final = re.compile(r" *key +<([^>]+)>")


def is_worth_it(text: str) -> bool:
    """Whether a text has so many letters without a key that binding them at once is quicker."""
    return sum(not letter.isascii() for letter in text) > _FEW


def saving(path: str) -> str:
    """Return the line that saves the keymap there, and prints what `spare_keys` reads."""
    return _SAVE.format(path=path).strip()


def restoring(path: str) -> str:
    """Return the line that puts the saved keymap back, where there is one, and removes all that was written.

    It fails where the keymap is another one after that.
    """
    return _RESTORE.format(path=path, settling=_SETTLING).strip()


def spare_keys(lines: Sequence[str]) -> dict[str, int]:
    """Return the keys that have nothing on them, by name, from what `saving` printed."""
    named = {found[1]: int(found[2]) for line in lines if (found := _NAMED.match(line))}
    used = {found[1] for line in lines if (found := _USED.match(line))}
    return {name: code for name, code in named.items() if name not in used}


def lines_typing(text: str, path: str, spare: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines that type a text, each with as many letters bound as there are spare keys.

    Args:
        text: The text.
        path: Where the keymap is saved.
        spare: The keys that letters may be bound to; at least one.
    """
    for piece, letters in _pieces(text, len(spare)):
        bound = dict(zip(letters, spare.items(), strict=False))
        keys = (
            f"'key <{name}> {{ type= \"ONE_LEVEL\", symbols[Group1]= [ U{ord(letter):04X} ] }};'"
            for letter, (name, _) in bound.items()
        )
        codes = {letter: code for letter, (_, code) in bound.items()}
        yield _TYPE.format(
            path=path,
            settling=_SETTLING,
            keys=" ".join(keys),
            bound=" ".join(calls(Type(piece), codes)),
            plain=" ".join(calls(Type(piece))),
        ).strip()


def _pieces(text: str, most: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a text in pieces, each with its letters without a key, which are so many at most."""
    start, letters = 0, dict[str, None]()
    for place, letter in enumerate(text):
        is_new = not letter.isascii() and letter not in letters
        if (is_new and len(letters) == most) or place - start == _PIECE:
            yield text[start:place], [*letters]
            start, letters = place, {}
        if not letter.isascii():
            letters[letter] = None
    if text[start:]:
        yield text[start:], [*letters]
