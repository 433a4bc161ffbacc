"""The desktop of a fake computer: what is shown, what has the focus, what is held, and what arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Final

from deskhand.errors import InvalidInputError
from deskhand.providers import (
    MODIFIERS,
    Click,
    Drag,
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
from deskhand.testing._drawing import Picture
from deskhand.testing.received import Received, ReceivedKind
from deskhand.testing.screens import Button, FakeScreen, ListBox, Reaction, TextField, Widget

RECEIVED_LIMIT: Final = 100_000
_TYPED: Final = {"enter": "\n", "kp_enter": "\n", "tab": "\t", "space": " ", **{f"kp_{n}": str(n) for n in range(10)}}
_KEY_OF: Final = {text: name for name, text in _TYPED.items() if not name.startswith("kp_")}
_SHORTCUT: Final = {"ctrl", "alt", "super"}
_DRAG_STEPS: Final = 4


class FakeDesktop:
    """State and reactions, all synchronous."""

    def __init__(self, screens: Mapping[str, FakeScreen], size: Screen, clock: Callable[[], float]) -> None:
        self.screens = dict(screens)
        self.size = size
        self.pointer = (size.width // 2, size.height // 2)
        self.keys_held: dict[str, None] = {}
        self.buttons_held: dict[str, None] = {}
        self.received: deque[Received] = deque(maxlen=RECEIVED_LIMIT)
        self.texts: dict[str, str] = {}
        self.selected: dict[str, str] = {}
        self.scrolled: dict[str, int] = {}
        self.clicked: list[str] = []
        self.focus: str | None = None
        self.react: Callable[[Reaction], None] = lambda _: None
        self._clock = clock
        self._all_selected = False
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
        self._all_selected = False
        for widget in self.screen.widgets:
            if isinstance(widget, TextField):
                self.texts.setdefault(widget.name, widget.text)
            elif isinstance(widget, ListBox):
                self.scrolled.setdefault(widget.name, 0)

    def picture(self) -> Picture:
        """Return what there is to draw: a value, so that drawing needs no lock."""
        return Picture(
            size=self.size,
            screen=self.screen,
            texts=tuple(self.texts.items()),
            selected=tuple(self.selected.items()),
            scrolled=tuple(self.scrolled.items()),
            focus=self.focus,
            pointer=self.pointer,
        )

    def resize(self, size: Screen) -> None:
        """Change the size; the pointer stays on the screen."""
        self.size = size
        self.pointer = (min(self.pointer[0], size.width - 1), min(self.pointer[1], size.height - 1))

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
                        self._press_button(action.button)
                        self._release_button(action.button)
            case Move():
                self._move(action.x, action.y)
            case MouseDown():
                self._press_button(action.button)
            case MouseUp():
                self._release_button(action.button)
            case Drag():
                self._drag(action)
            case Scroll():
                self._scroll(action)
            case Key():
                for _ in range(action.repeat):
                    with self.holding(action.keys):
                        pass
            case Type():
                for character in action.text.replace("\r\n", "\n").replace("\r", "\n"):
                    with self.holding([_KEY_OF.get(character, character)]):
                        pass
            case _:
                raise TypeError(f"{type(action).__name__} takes time")

    @contextmanager
    def holding(self, keys: Sequence[str]) -> Iterator[None]:
        """Hold keys while the block lasts."""
        pressed: list[str] = []
        try:
            for key in keys:
                pressed.append(key)
                self._press_key(key)
            yield
        finally:
            for key in reversed(pressed):
                self._note("key_up", key)
                self.keys_held.pop(key, None)

    # The keyboard

    def _press_key(self, name: str) -> None:
        text = "" if _SHORTCUT & self.keys_held.keys() else _TYPED.get(name, name if len(name) == 1 else "")
        if "shift" in self.keys_held:
            text = text.upper()
        self._note("key_down", name, text)
        self.keys_held[name] = None
        if name in MODIFIERS:
            return
        held = {key for key in self.keys_held if key in MODIFIERS}
        for chord, reaction in self.screen.keys.items():
            if {*parse_chord(chord)} == {*held, name}:
                self.react(reaction)
                return
        self._edit(name, text, held)

    def _edit(self, name: str, text: str, held: set[str]) -> None:
        """Change the text of the field that has the focus."""
        if self.focus is None:
            return
        before = "" if self._all_selected else self.texts[self.focus]
        if name == "a" and held == {"ctrl"}:
            self._all_selected = True
        elif name == "backspace":
            self.texts[self.focus] = before[:-1]
            self._all_selected = False
        elif text:
            self.texts[self.focus] = before + text
            self._all_selected = False

    # The pointer

    def _move(self, x: int | None, y: int | None) -> None:
        if x is not None and y is not None:
            self.pointer = (x, y)
            self._note("motion")

    def _press_button(self, button: str) -> None:
        self._note("button_down", button)
        self.buttons_held[button] = None
        if button == "left":
            self._pressed_on = self._widget()
            self.focus = self._pressed_on.name if isinstance(self._pressed_on, TextField) else None
            self._all_selected = False

    def _release_button(self, button: str) -> None:
        self._note("button_up", button)
        self.buttons_held.pop(button, None)
        if button == "left":
            pressed_on, self._pressed_on = self._pressed_on, None
            if pressed_on is not None and self._widget() is pressed_on:
                self._click(pressed_on)

    def _click(self, widget: Widget) -> None:
        self.clicked.append(widget.name)
        if isinstance(widget, Button) and widget.on_click is not None:
            self.react(widget.on_click)
        elif isinstance(widget, ListBox):
            row = self.scrolled[widget.name] + (self.pointer[1] - widget.box[1]) // widget.row_height
            if row < len(widget.items):
                self.selected[widget.name] = widget.items[row]

    def _drag(self, action: Drag) -> None:
        self._move(*action.path[0])
        with self.holding(action.modifiers):
            self._press_button(action.button)
            for (x0, y0), (x1, y1) in pairwise(action.path):
                for step in range(1, _DRAG_STEPS + 1):
                    part = step / _DRAG_STEPS
                    self._move(x0 + round((x1 - x0) * part), y0 + round((y1 - y0) * part))
            self._release_button(action.button)

    def _scroll(self, action: Scroll) -> None:
        self._move(action.x, action.y)
        with self.holding(action.modifiers):
            wheels = ["wheel_down" if action.dy > 0 else "wheel_up"] * abs(action.dy)
            wheels += ["wheel_right" if action.dx > 0 else "wheel_left"] * abs(action.dx)
            for wheel in wheels:
                self._note("button_down", wheel)
                self._note("button_up", wheel)
        widget = self._widget()
        if isinstance(widget, ListBox):
            shown = max(1, (widget.box[3] - widget.box[1]) // widget.row_height)
            last = max(0, len(widget.items) - shown)
            self.scrolled[widget.name] = min(last, max(0, self.scrolled[widget.name] + action.dy))

    def _widget(self) -> Widget | None:
        """Find the widget under the pointer."""
        x, y = self.pointer
        for widget in reversed(self.screen.widgets):
            box = Region(*widget.box)
            if box.left <= x < box.right and box.top <= y < box.bottom:
                return widget
        return None

    def _note(self, kind: ReceivedKind, name: str = "", text: str = "") -> None:
        x, y = self.pointer
        held = frozenset(key for key in self.keys_held if key in MODIFIERS)
        self.received.append(Received(kind, name, text, x, y, held, self._clock()))
