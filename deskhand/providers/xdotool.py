"""Input in ``xdotool``'s words: one call an action, so that nothing comes in between.

xdotool strikes what the keyboard has no key for on a spare one that it binds for as long as the stroke takes: such
strokes are slower, so that the application finds the binding when it reads them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from deskhand.errors import Effect, InvalidInputError, ProviderError
from deskhand.providers.actions import (
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseButton,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
)
from deskhand.providers.contract import ExecResult
from deskhand.providers.keys import Chord
from deskhand.providers.keysyms import keysym_name

__all__ = ["INSTALL_HINT", "calls", "failure", "let_go", "place", "seconds"]

INSTALL_HINT: Final = "apt-get install xdotool on the computer, then get it again"

_BUTTONS: Final[dict[MouseButton, int]] = {"left": 1, "middle": 2, "right": 3, "back": 8, "forward": 9}
_UP, _DOWN, _LEFT, _RIGHT = 4, 5, 6, 7
_STEPS: Final = 8
"""Steps in which a drag goes from one corner to the next; fewer where there are many corners."""
_MOST_MOVES: Final = 400
_DELAY: Final = 12
"""Milliseconds for a stroke that the keyboard has a key for; xdotool's own choice."""
_FOREIGN_DELAY: Final = 120
"""Milliseconds for a stroke whose key has to be bound first: half of them is what an application has to read it."""
_SECONDS_A_STROKE: Final = 0.15
_LONGEST: Final = 60_000
"""Bytes of one call, well within what a command line holds."""
_CAPITAL: Final = r"[\xC0-\xD6\xD8-\xDE]"
"""Letters that X takes for both of a pair when a key is bound to them, so that the key types the small one."""
_RUNS: Final = re.compile(
    rf"(?P<breaks>\n{{1,100}})|(?P<capital>{_CAPITAL})|[^\n\x80-\U0010FFFF]{{1,2000}}"
    rf"|(?:(?!{_CAPITAL})[^\x00-\x7F]){{1,2000}}"
)
_NOT_STARTED: Final = frozenset({126, 127})
_NO_DISPLAY: Final = "open display"


def calls(action: InputAction, codes: Mapping[str, int] = MappingProxyType({})) -> Iterator[str]:
    """Yield the arguments of the calls that perform an action, quoted for a shell: one, more for a long text.

    Args:
        action: The action.
        codes: The codes of keys that letters of a text are bound to: then of all letters that are not ASCII.

    Raises:
        InvalidInputError: If it is no action of pointer or keyboard.
    """
    size, words = 0, list[str]()
    for word in _strokes(action.text, codes) if isinstance(action, Type) else [" ".join(_words(action))]:
        length = len(word.encode())
        if words and size + length > _LONGEST:
            yield " ".join(words)
            size, words = 0, []
        size += length + 1
        words.append(word)
    if words:
        yield " ".join(words)


def let_go(action: InputAction) -> str:
    """Return the arguments of a call that lets go of all that an action presses; nothing where it presses nothing."""
    match action:
        case Click() | Drag():
            return " ".join([f"mouseup {_BUTTONS[action.button]}", *_keys("keyup", action.modifiers[::-1])])
        case Scroll():
            return " ".join(_keys("keyup", action.modifiers[::-1]))
        case Key() | HoldKey():
            return " ".join(_keys("keyup", _shifted(action.keys)[::-1]))
        case Type():
            return " ".join(_keys("keyup", ("altgr", "shift")))
        case _:
            return ""


def seconds(action: InputAction) -> float:
    """Return how many seconds an action takes at the most, where nothing else keeps the computer busy."""
    match action:
        case HoldKey():
            return action.duration
        case Type():
            return len(action.text) * _SECONDS_A_STROKE
        case Key():
            return action.repeat * _SECONDS_A_STROKE * len(action.keys)
        case Scroll():
            return (abs(action.dx) + abs(action.dy)) * 0.01
        case Drag():
            return (_MOST_MOVES + len(action.path)) * 0.02
        case _:
            return 1.0


def place(output: str, provider: str) -> tuple[int, int]:
    """Read the answer to ``getmouselocation --shell``.

    Raises:
        ProviderError: If it is none.
    """
    found = dict(line.split("=", 1) for line in output.split() if "=" in line)
    try:
        return int(found["X"]), int(found["Y"])
    except (KeyError, ValueError) as error:
        raise ProviderError("xdotool does not tell where the pointer is", provider=provider, effect="no") from error


def failure(result: ExecResult, provider: str) -> ProviderError:
    """Return the error of a call that failed: nothing happened where it did not start, or found no display."""
    said = result.error or result.output.strip()[:300] or f"exit code {result.exit_code}"
    is_missing = result.exit_code in _NOT_STARTED
    effect: Effect = "no" if is_missing or (result.exit_code and _NO_DISPLAY in result.output) else "unknown"
    return ProviderError(
        f"xdotool failed on the computer: {said}",
        hint=INSTALL_HINT if is_missing else "look at the screen before it is done again",
        provider=provider,
        effect=effect,
    )


def _words(action: InputAction) -> Iterator[str]:
    """Return an action in xdotool's words: where it is done, what is held meanwhile, what is done."""
    held: Sequence[str] = getattr(action, "modifiers", ())
    if isinstance(action, Click | Scroll) and action.x is not None:
        yield f"mousemove {action.x} {action.y}"
    if isinstance(action, Drag):
        yield f"mousemove {action.path[0][0]} {action.path[0][1]}"
    yield from _keys("keydown", held)
    yield from _deed(action)
    yield from _keys("keyup", held[::-1])


def _deed(action: InputAction) -> Iterator[str]:
    match action:
        case Move():
            yield f"mousemove {action.x} {action.y}"
        case Click():
            yield f"click --repeat {action.count} --delay 20 {_BUTTONS[action.button]}"
        case MouseDown():
            yield f"mousedown {_BUTTONS[action.button]}"
        case MouseUp():
            yield f"mouseup {_BUTTONS[action.button]}"
        case Scroll():
            for count, wheel in (
                (action.dy, _DOWN if action.dy > 0 else _UP),
                (action.dx, _RIGHT if action.dx > 0 else _LEFT),
            ):
                if count:
                    yield f"click --repeat {abs(count)} --delay 2 {wheel}"
        case Drag():
            yield f"mousedown {_BUTTONS[action.button]}"
            yield from (f"mousemove {x} {y} sleep 0.01" for x, y in _way(action.path))
            yield f"mouseup {_BUTTONS[action.button]}"
        case Key():
            yield _key(action.keys, action.repeat)
        case HoldKey():
            yield from _keys("keydown", _shifted(action.keys))
            yield f"sleep {action.duration:.3f}"
            yield from _keys("keyup", _shifted(action.keys)[::-1])
        case _:
            raise InvalidInputError(f"{action} is no input for xdotool")


def _keys(word: str, keys: Sequence[str]) -> Iterator[str]:
    return (f"{word} {keysym_name(key)}" for key in keys)


def _key(keys: Chord, repeat: int) -> str:
    struck = "+".join(map(keysym_name, _shifted(keys)))
    return f"key --delay {_delay(''.join(keys))}" + f" {struck}" * repeat


def _shifted(keys: Chord) -> Chord:
    is_capital = any(re.fullmatch(_CAPITAL, key) for key in keys)
    return ("shift", *keys) if is_capital and "shift" not in keys else keys


def _delay(text: str) -> int:
    return _DELAY if text.isascii() else _FOREIGN_DELAY


def _way(path: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the points that a drag passes, its corners among them."""
    steps = max(1, min(_STEPS, _MOST_MOVES // (len(path) - 1)))
    for (x0, y0), (x1, y1) in pairwise(path):
        for step in range(1, steps + 1):
            yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)


def _strokes(text: str, codes: Mapping[str, int]) -> Iterator[str]:
    """Yield a text in parts: line breaks, which are strokes of Return, and what the keyboard has keys for, or not."""
    for run in _RUNS.finditer(text.replace("\r\n", "\n").replace("\r", "\n")):
        part = run.group()
        if run.lastgroup == "breaks":
            yield _key(("enter",), len(part))
        elif codes and not part.isascii():
            yield f"key --delay {_DELAY} {' '.join(str(codes[letter]) for letter in part)}"
        elif run.lastgroup == "capital":
            yield _key((part,), 1)
        else:
            yield f"type --args 1 --delay {_delay(part)} -- {shlex.quote(part)}"
