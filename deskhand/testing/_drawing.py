"""Drawing a fake computer's screen. Nothing but the picture's own values and Pillow goes into it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from deskhand.providers import Region, Screen
from deskhand.testing.screens import Button, FakeScreen, ListBox, TextField

_ARROW: Final = ((0, 0), (0, 16), (4, 12), (7, 18), (9, 17), (6, 11), (11, 11))
_TITLE_HEIGHT: Final = 28
_TITLE_COLOUR, _TITLE_TEXT = "#1b222c", "#eceff4"
_PAPER, _INK, _EDGE, _MARK = "#ffffff", "#101418", "#4c566a", "#5e81ac"
_FORMATS: Final = {"png": "PNG", "auto": "PNG", "jpeg": "JPEG"}

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a screenshot shows."""

    size: Screen
    screen: FakeScreen
    texts: tuple[tuple[str, str], ...]
    selected: tuple[tuple[str, str], ...]
    scrolled: tuple[tuple[str, int], ...]
    focus: str | None
    pointer: tuple[int, int]


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def draw(picture: Picture, region: Region | None, *, cursor: bool, form: str) -> bytes:
    """Draw the screen, or a region of it, and encode it as ``png``, ``jpeg`` or ``auto``."""
    image = _background(picture)
    pen = ImageDraw.Draw(image)
    if picture.screen.title:
        pen.rectangle((0, 0, picture.size.width, _TITLE_HEIGHT - 1), fill=_TITLE_COLOUR)
        pen.text((10, 5), picture.screen.title, fill=_TITLE_TEXT, font=_font(16))
    for widget in picture.screen.widgets:
        box = Region(*widget.box)
        match widget:
            case Button():
                _draw_button(pen, widget, box)
            case TextField():
                _draw_field(pen, dict(picture.texts)[widget.name], box, focused=picture.focus == widget.name)
            case ListBox():
                first = dict(picture.scrolled)[widget.name]
                _draw_list(pen, widget, box, first, dict(picture.selected).get(widget.name))
    if cursor:
        x, y = picture.pointer
        pen.polygon([(x + dx, y + dy) for dx, dy in _ARROW], fill="black", outline="white")
    if region is not None:
        image = image.crop(region)
    buffer = io.BytesIO()
    image.save(buffer, _FORMATS[form], **({"compress_level": 1} if _FORMATS[form] == "PNG" else {"quality": 85}))
    return buffer.getvalue()


def _background(picture: Picture) -> Image.Image:
    given = picture.screen.image
    if given is None:
        return Image.new("RGB", picture.size, picture.screen.background)
    image = given.convert("RGB")
    return image.copy() if image.size == tuple(picture.size) else image.resize(picture.size)


def _draw_button(pen: ImageDraw.ImageDraw, button: Button, box: Region) -> None:
    pen.rectangle(_inside(box), fill=button.colour, outline=_EDGE)
    middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    if button.label:
        pen.text(middle, button.label, fill=_INK, font=_font(16), anchor="mm")


def _draw_field(pen: ImageDraw.ImageDraw, text: str, box: Region, *, focused: bool) -> None:
    pen.rectangle(_inside(box), fill=_PAPER, outline=_MARK if focused else _EDGE, width=2)
    pen.multiline_text((box.left + 6, box.top + 5), text + ("|" if focused else ""), fill=_INK, font=_font(16))


def _draw_list(pen: ImageDraw.ImageDraw, widget: ListBox, box: Region, first: int, selected: str | None) -> None:
    pen.rectangle(_inside(box), fill=_PAPER, outline=_EDGE)
    top = box.top
    for item in widget.items[first:]:
        bottom = top + widget.row_height
        if bottom > box.bottom:
            break
        if item == selected:
            pen.rectangle((box.left + 1, top + 1, box.right - 2, bottom - 1), fill=_MARK)
        pen.text((box.left + 6, top + 3), item, fill=_INK, font=_font(14))
        top = bottom


def _inside(box: Region) -> tuple[int, int, int, int]:
    """Turn exclusive right and bottom edges into the inclusive ones that Pillow draws."""
    return box.left, box.top, box.right - 1, box.bottom - 1
