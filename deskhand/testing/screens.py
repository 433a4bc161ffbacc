"""Screens of a fake computer: a picture, or a few widgets that answer to the pointer and the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, Union

from deskhand.providers import Region

if TYPE_CHECKING:
    from PIL.Image import Image

    from deskhand.testing.computer import FakeComputer

__all__ = ["Button", "FakeScreen", "ListBox", "Reaction", "TextField", "Widget"]

Reaction: TypeAlias = Union[str, "Callable[[FakeComputer], None]"]
"""What an input sets off: the name of the screen to show, or a function of the computer."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button: pressed and released on it, with the left button, it is clicked.

    Args:
        name: What `FakeComputer.clicked` calls it.
        box: Where it is, in screen pixels: left, top, right, bottom.
        label: What is written on it.
        on_click: The screen that a click shows, or a function to call.
        colour: Its colour, as Pillow names colours.
    """

    name: str
    box: Region | tuple[int, int, int, int]
    label: str = ""
    on_click: Reaction | None = None
    colour: str = "#d8dee9"


@dataclass(frozen=True, slots=True)
class TextField:
    """A field that takes the typed text after a click, at its end.

    Backspace takes the last character away, ctrl+a selects everything, so that what is typed next replaces it.

    Args:
        name: Its text is ``computer.texts[name]``.
        box: Where it is, in screen pixels: left, top, right, bottom.
        text: What stands in it at first.
    """

    name: str
    box: Region | tuple[int, int, int, int]
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListBox:
    """A list whose rows are selected by a click and moved by the wheel, a row a notch.

    Args:
        name: The row selected is ``computer.selected[name]``, the first row shown ``computer.scrolled[name]``.
        box: Where it is, in screen pixels: left, top, right, bottom.
        items: The rows.
        row_height: A row's height in pixels.
    """

    name: str
    box: Region | tuple[int, int, int, int]
    items: tuple[str, ...] = ()
    row_height: int = 24


Widget: TypeAlias = Button | TextField | ListBox
"""What can stand on a screen."""


@dataclass(frozen=True, slots=True)
class FakeScreen:
    """One screen.

    Args:
        widgets: What is on it; the last one lies on top.
        title: A line of text at the top.
        image: A picture for the background; scaled to the screen where it has another size.
        background: The colour where there is no picture, as Pillow names colours.
        keys: What a chord (``ctrl+s``) sets off: the screen to show, or a function to call.
        focus: The text field that has the keyboard when the screen appears.
    """

    widgets: tuple[Widget, ...] = ()
    title: str = ""
    image: Image | None = None
    background: str = "#2f3b4c"
    keys: Mapping[str, Reaction] = field(default_factory=dict)
    focus: str | None = None
