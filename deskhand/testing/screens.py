"""Screens of a fake computer: a picture, or a few widgets that answer to the pointer and the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deskhand.providers import Region

if TYPE_CHECKING:
    from PIL.Image import Image

    from deskhand.testing.computer import FakeComputer

__all__ = ["Button", "FakeScreen", "ListBox", "Reaction", "TextField", "Widget"]

Reaction = "str | Callable[[FakeComputer], None]"
"""What an input sets off: the name of the screen to show, or a function of the computer."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button.

    Args:
        name: What `FakeComputer.clicked` calls it.
        box: Where it is, in screen pixels.
        label: What is written on it.
        on_click: The screen that a click shows, or a function to call.
    """

    name: str
    box: Region | tuple[int, int, int, int]
    label: str = ""
    on_click: str | Callable[[FakeComputer], None] | None = None


@dataclass(frozen=True, slots=True)
class TextField:
    """A field that takes the typed text after a click; its text is ``computer.texts[name]``."""

    name: str
    box: Region | tuple[int, int, int, int]
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListBox:
    """A list whose rows are selected by a click and moved by the wheel (``computer.selected[name]``, ``.scrolled``)."""

    name: str
    box: Region | tuple[int, int, int, int]
    items: tuple[str, ...] = ()
    row_height: int = 24


Widget = Button | TextField | ListBox


@dataclass(frozen=True, slots=True)
class FakeScreen:
    """One screen.

    Args:
        widgets: What is on it; the last one lies on top.
        title: A line of text at the top.
        image: A picture for the background; scaled to the screen where it has another size.
        background: The colour where there is no picture.
        keys: What a chord (``ctrl+s``) sets off: the screen to show, or a function to call.
        focus: The text field that has the keyboard when the screen appears.
    """

    widgets: tuple[Widget, ...] = ()
    title: str = ""
    image: Image | None = None
    background: str = "#2f3b4c"
    keys: Mapping[str, str | Callable[[FakeComputer], None]] = field(default_factory=dict)
    focus: str | None = None
