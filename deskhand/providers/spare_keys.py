"""Letters that the keyboard has no key for, bound to its spare keys: as many at once as there are.

``xkbcomp`` does it, which whatever has an X server has: it comes with it. The whole keymap is saved, sent with the
letters in it, and sent as it was when the text is typed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from deskhand.logs import package_logger
from deskhand.providers.actions import InputAction, Type
from deskhand.providers.contract import ExecResult
from deskhand.providers.xdotool import calls

__all__ = ["lines_of"]

_log = package_logger(__name__)

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


@asynccontextmanager
async def lines_of(
    action: InputAction,
    run: Callable[[str], Awaitable[ExecResult]],
    tidy: Callable[[str], Awaitable[bool]],
    computer: object,
) -> AsyncIterator[Iterable[str]]:
    """Give the lines that perform an action by xdotool; the keymap is as it was after that, however it ends.

    A text with more than a few letters that have no key gets them bound at once, where the computer has ``xkbcomp``.

    Args:
        action: The action.
        run: Runs a line on the computer, where there is its display.
        tidy: Runs one although something failed or nobody waits any more, raises nothing, and tells whether it worked.
        computer: Whose keymap it is, as a warning says it.
    """
    plain = (f"exec xdotool {call}" for call in calls(action))
    if not (isinstance(action, Type) and _is_worth_it(action.text)):
        yield plain
        return
    path = f"/tmp/deskhand-{secrets.token_hex(8)}.xkb"  # noqa: S108 (nobody can guess it)
    spare = dict[str, int]()
    try:
        saved = await run(_SAVE.format(path=path).strip())
        spare = _spare_keys(saved) if saved.ok else {}
        yield _lines_typing(action.text, path, spare) if spare else plain
    finally:
        if not await tidy(_RESTORE.format(path=path, settling=_SETTLING).strip()) and spare:
            _log.warning("the keymap of %s may not be as it was before typing: it could not be put back", computer)


def _is_worth_it(text: str) -> bool:
    """Whether a text has so many letters without a key that binding them at once is quicker."""
    return sum(not letter.isascii() for letter in text) > _FEW


def _spare_keys(saved: ExecResult) -> dict[str, int]:
    """Return the keys that have nothing on them, by name, from what saving the keymap printed."""
    lines = (saved.output if saved.stdout is None else saved.stdout).splitlines()
    named = {found[1]: int(found[2]) for line in lines if (found := _NAMED.match(line))}
    used = {found[1] for line in lines if (found := _USED.match(line))}
    return {name: code for name, code in named.items() if name not in used}


def _lines_typing(text: str, path: str, spare: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines that type a text, each with as many letters bound as there are spare keys."""
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
