"""The closed vocabulary of input: what an adapter must be able to perform.

Coordinates are pixels of the real screen, origin top left; ``None`` for both means "where the pointer is". Durations
are seconds. Chords and modifiers are canonical key names (``deskhand.providers.keys``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from deskhand.errors import InvalidInputError
from deskhand.providers.keys import Chord, modifiers, parse_chord
from deskhand.providers.options import meant

__all__ = [
    "Click",
    "Drag",
    "HoldKey",
    "InputAction",
    "Key",
    "MouseButton",
    "MouseDown",
    "MouseUp",
    "Move",
    "Scroll",
    "Type",
    "Wait",
]

MouseButton = Literal["left", "middle", "right", "back", "forward"]
"""A pointer button."""

BUTTONS: tuple[MouseButton, ...] = get_args(MouseButton)

MAX_DURATION = 300.0
MAX_REPEAT = 100
MAX_NOTCHES = 1_000
MAX_CLICKS = 3
MAX_POINTS = 1_000


def _bounded(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidInputError(f"{name} is {value!r}; allowed is {low:g} to {high:g}")


def _counted(name: str, value: int, low: int, high: int) -> None:
    _bounded(name, value, low, high)
    if not isinstance(value, int):
        raise InvalidInputError(f"{name} is {value!r}; it must be a whole number")


def _place(x: int | None, y: int | None) -> None:
    """Check a point: whole pixels, or ``None`` twice."""
    if x is None and y is None:
        return
    if x is None or y is None:
        raise InvalidInputError(f"x is {x} and y is {y}", hint="give both, or neither for where the pointer is")
    for name, value in (("x", x), ("y", y)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidInputError(f"{name} is {value!r}; it must be a whole number of pixels")


def _button(name: str) -> None:
    if name in BUTTONS:
        return
    raise InvalidInputError(
        f"no button is called {name!r}{meant(str(name), BUTTONS)}", hint=f"buttons are {', '.join(BUTTONS)}"
    )


@dataclass(frozen=True, slots=True)
class Click:
    """Press and release a button ``count`` times (1 to 3) at a point, with modifiers held."""

    x: int | None = None
    y: int | None = None
    button: MouseButton = "left"
    count: int = 1
    modifiers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check point, button and count, and canonicalise the modifiers."""
        _place(self.x, self.y)
        _button(self.button)
        _counted("count", self.count, 1, MAX_CLICKS)
        object.__setattr__(self, "modifiers", modifiers(self.modifiers))


@dataclass(frozen=True, slots=True)
class Move:
    """Move the pointer to a point."""

    x: int
    y: int

    def __post_init__(self) -> None:
        """Check the point."""
        if self.x is None:
            raise InvalidInputError("a move needs x and y")
        _place(self.x, self.y)


@dataclass(frozen=True, slots=True)
class MouseDown:
    """Press a button and keep it pressed."""

    button: MouseButton = "left"

    def __post_init__(self) -> None:
        """Check the button."""
        _button(self.button)


@dataclass(frozen=True, slots=True)
class MouseUp:
    """Release a button."""

    button: MouseButton = "left"

    def __post_init__(self) -> None:
        """Check the button."""
        _button(self.button)


@dataclass(frozen=True, slots=True)
class Drag:
    """Press a button at the path's first point, move through the others, release at the last."""

    path: tuple[tuple[int, int], ...]
    button: MouseButton = "left"
    modifiers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is a way to go and a button, and canonicalise the modifiers."""
        _bounded("the number of points of a drag", len(self.path), 2, MAX_POINTS)
        for point in self.path:
            if len(point) != 2 or point[0] is None:
                raise InvalidInputError(f"{point!r} is no point of a drag", hint="each is (x, y)")
            _place(*point)
        _button(self.button)
        object.__setattr__(self, "modifiers", modifiers(self.modifiers))


@dataclass(frozen=True, slots=True)
class Scroll:
    """Turn the wheel at a point: ``dx``, ``dy`` in notches, positive is right and down."""

    x: int | None = None
    y: int | None = None
    dx: int = 0
    dy: int = 0
    modifiers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check point and amount, and canonicalise the modifiers."""
        _place(self.x, self.y)
        for name, value in (("dx", self.dx), ("dy", self.dy)):
            _counted(name, value, -MAX_NOTCHES, MAX_NOTCHES)
        _bounded("scroll notches", abs(self.dx) + abs(self.dy), 1, MAX_NOTCHES)
        object.__setattr__(self, "modifiers", modifiers(self.modifiers))


@dataclass(frozen=True, slots=True)
class Key:
    """Press and release a chord (``ctrl+s``) ``repeat`` times (1 to 100)."""

    chord: Chord | str
    repeat: int = 1

    def __post_init__(self) -> None:
        """Check the repetition and parse the chord."""
        _counted("repeat", self.repeat, 1, MAX_REPEAT)
        object.__setattr__(self, "chord", parse_chord(self.chord))

    @property
    def keys(self) -> Chord:
        """The chord as canonical key names, modifiers first."""
        return parse_chord(self.chord)


@dataclass(frozen=True, slots=True)
class HoldKey:
    """Hold a chord down for a duration in seconds (up to 300)."""

    chord: Chord | str
    duration: float

    def __post_init__(self) -> None:
        """Check the duration and parse the chord."""
        _bounded("duration", self.duration, 0, MAX_DURATION)
        object.__setattr__(self, "chord", parse_chord(self.chord))

    @property
    def keys(self) -> Chord:
        """The chord as canonical key names, modifiers first."""
        return parse_chord(self.chord)


@dataclass(frozen=True, slots=True)
class Type:
    """Type text exactly: any Unicode; a newline is Return, a tab is Tab, other control characters are refused."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what no keyboard can type."""
        for character in self.text:
            if (ord(character) < 0x20 and character not in "\n\t\r") or ord(character) == 0x7F:
                raise InvalidInputError(
                    f"text holds the control character U+{ord(character):04X}, which cannot be typed",
                    hint="use key for keys such as escape or backspace",
                )
            if 0xD800 <= ord(character) <= 0xDFFF:
                raise InvalidInputError(f"text holds the lone surrogate U+{ord(character):04X}")


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a duration in seconds (up to 300)."""

    duration: float = 1.0

    def __post_init__(self) -> None:
        """Check the duration."""
        _bounded("duration", self.duration, 0, MAX_DURATION)


InputAction = Click | Move | MouseDown | MouseUp | Drag | Scroll | Key | HoldKey | Type | Wait
"""Everything an adapter's ``perform`` may be asked for."""
