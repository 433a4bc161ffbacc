"""The desktop of a fake computer: what is shown, what has the focus, what is held, and what arrived."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from deskhand.errors import InvalidInputError
from deskhand.providers import (
    MODIFIERS,
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Region,
    Screen,
    Scroll,
    Type,
    parse_chord,
)
from deskhand.testing.received import Received
from deskhand.testing.screens import Button, FakeScreen, ListBox, TextField, Widget

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

RECEIVED_LIMIT = 100_000
_TYPED = {"enter": "\n", "tab": "\t", "space": " "}
_SHORTCUT = {"ctrl", "alt", "super"}
_ARROW = ((0, 0), (0, 16), (4, 12), (7, 18), (9, 17), (6, 11), (11, 11))

React = Callable[["str | Callable[..., None]"], None]


class FakeDesktop:
    """State and reactions, all synchronous."""

    def __init__(self, screens: Mapping[str, FakeScreen], size: Screen, clock: Callable[[], float]) -> None:
        self.screens = dict(screens)
        self.size = size
        self.pointer = (size.width // 2, size.height // 2)
        self.held: dict[str, None] = {}
        self.received: deque[Received] = deque(maxlen=RECEIVED_LIMIT)
        self.typed: list[str] = []
        self.texts: dict[str, str] = {}
        self.selected: dict[str, str] = {}
        self.scrolled: dict[str, int] = {}
        self.clicked: list[str] = []
        self.focus: str | None = None
        self.react: React = lambda reaction: None
        self._clock = clock
        self._pressed_on: Widget | None = None
        self.shown = next(iter(self.screens))
        self.show(self.shown)

    @property
    def screen(self) -> FakeScreen:
        """The screen that is shown."""
        return self.screens[self.shown]

    def show(self, name: str) -> None:
        """Show a screen; what was typed into its fields before is still there."""
        if name not in self.screens:
            raise InvalidInputError(f"no screen is called {name!r}; there are {', '.join(map(repr, self.screens))}")
        self.shown = name
        self.focus = self.screen.focus
        for widget in self.screen.widgets:
            if isinstance(widget, TextField):
                self.texts.setdefault(widget.name, widget.text)

    # Input

    def check(self, action: InputAction) -> None:
        """Refuse points that are not on the screen."""
        points: Sequence[tuple[int | None, int | None]] = ()
        if isinstance(action, Drag):
            points = action.path
        elif isinstance(action, (Click, Move, Scroll)):
            points = ((action.x, action.y),)
        for x, y in points:
            if x is None and y is None:
                continue
            if x is None or y is None:
                raise InvalidInputError("only one of x and y is given", hint="give both, or neither")
            if not (0 <= x < self.size.width and 0 <= y < self.size.height):
                raise InvalidInputError(
                    f"{x},{y} is not on the screen of {self.size.width}x{self.size.height}",
                    hint=f"x goes to {self.size.width - 1}, y to {self.size.height - 1}",
                )

    def perform(self, action: InputAction) -> None:
        """Perform what takes no time."""
        match action:
            case Click():
                self._move(action.x, action.y)
                with self.holding(action.modifiers):
                    for _ in range(action.count):
                        self.press(action.button)
                        self.release(action.button)
            case Move():
                self._move(action.x, action.y)
            case MouseDown():
                self.press(action.button)
            case MouseUp():
                self.release(action.button)
            case Drag():
                self._drag(action)
            case Scroll():
                self._scroll(action)
            case Key():
                for _ in range(action.repeat):
                    with self.holding(action.keys):
                        pass
            case Type():
                self._type(action.text)
            case _:
                raise TypeError(f"{type(action).__name__} takes time")

    @contextmanager
    def holding(self, keys: Sequence[str]) -> Iterator[None]:
        """Hold keys while the block lasts."""
        pressed: list[str] = []
        try:
            for key in keys:
                self.press(key)
                pressed.append(key)
            yield
        finally:
            for key in reversed(pressed):
                self.release(key)

    def press(self, name: str, *, is_wheel: bool = False) -> None:
        """Press a key or button."""
        is_button = is_wheel or name in _BUTTONS
        text = "" if is_button or _SHORTCUT & self.held.keys() else _TYPED.get(name, name if len(name) == 1 else "")
        self._note("button_down" if is_button else "key_down", _BUTTONS.get(name, name), text)
        if not is_wheel:
            self.held[name] = None
        if name == "button_left":
            self._pressed_on = self._widget()
        elif not is_button:
            self._struck(name, text)

    def release(self, name: str, *, is_wheel: bool = False) -> None:
        """Release a key or button."""
        is_button = is_wheel or name in _BUTTONS
        self._note("button_up" if is_button else "key_up", _BUTTONS.get(name, name))
        self.held.pop(name, None)
        if name == "button_left":
            pressed_on, self._pressed_on = self._pressed_on, None
            widget = self._widget()
            if widget is not None and widget is pressed_on:
                self._click(widget)
