"""Finding things in a frame: by their colours and shapes, wherever they are and however large the screen is.

Lengths are those of a frame that was not scaled down; a smaller one has smaller things, so the smallest lengths that
are asked for leave room for half the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Box", "Editor", "find_editor", "find_entry", "find_first_line", "find_launcher", "find_title", "selection"]

Colour = tuple[int, int, int]
Span = tuple[int, int]

PANEL: Final[Colour] = (0x1F, 0x29, 0x33)
PENCIL: Final[Colour] = (0xF0, 0x90, 0x1E)
TITLE: Final[tuple[Span, Span, Span]] = ((119, 176), (157, 214), (204, 255))
"""The active window's title bar, a gradient: the span of each channel."""
PAPER: Final[Colour] = (255, 255, 255)
MENU: Final[Colour] = (0xF6, 0xF5, 0xF4)
SELECTED: Final[Colour] = (0x35, 0x84, 0xE4)
"""Selected text, and the ring around the field that has the keyboard."""

_WIDEST_TITLE: Final = 400  # pixels of text and buttons that may interrupt a title bar's colour


class Box(NamedTuple):
    """A part of a frame in its pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """The width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.bottom - self.top

    @property
    def middle(self) -> tuple[int, int]:
        """The point in the middle."""
        return (self.left + self.right) // 2, (self.top + self.bottom) // 2


@dataclass(frozen=True, slots=True)
class Editor:
    """The editor's window.

    Attributes:
        title: Its title bar.
        page: Where its text is, without the scroll bar.
    """

    title: Box
    page: Box


def find_launcher(frame: Image) -> Box | None:
    """Find the editor's launcher: the pencil in the panel, which lies along the bottom edge."""
    panel = _near(frame, PANEL, 8)
    rows = _longest([share > 0.4 for share in _rows(panel)])
    if rows is None or rows[1] < frame.height - 4:
        return None
    pencil = _near(frame.crop((0, rows[0], frame.width, rows[1])), PENCIL, 40)
    columns = _longest([share > 0 for share in _columns(pencil)])
    if columns is None or columns[1] - columns[0] < 4:
        return None
    found = pencil.crop((columns[0], 0, columns[1], pencil.height)).getbbox()
    return None if found is None else _moved(Box(*found), columns[0], rows[0])


def find_title(frame: Image) -> Box | None:
    """Find the title bar of the active window."""
    mask = _within(frame, TITLE)
    enough = 100 / frame.width
    rows = _longest([share > enough for share in _rows(mask)])
    if rows is None or rows[1] - rows[0] < 8:
        return None
    band = mask.crop((0, rows[0], frame.width, rows[1]))
    columns = _longest([share > 0.5 for share in _columns(band)], gap=_WIDEST_TITLE)
    if columns is None:
        return None
    return Box(columns[0], rows[0], columns[1], rows[1])


def find_editor(frame: Image) -> Editor | None:
    """Find the editor where it is the active window: a title bar, a bar of menus, and a page beneath."""
    title = find_title(frame)
    if title is None or title.width < 100:
        return None
    below = Box(title.left, title.bottom, title.right, frame.height)
    window = frame.crop(below)
    menus = _longest([share > 0.6 for share in _rows(_near(window, MENU, 4))])
    if menus is None or menus[0] > 6:
        return None
    # From where the menus end; what is selected interrupts the page for a few lines.
    rows = _longest([y > menus[1] and share > 0.5 for y, share in enumerate(_rows(_near(window, PAPER, 8)))], gap=60)
    if rows is None or rows[1] - rows[0] < 50:
        return None
    sheet = _near(window.crop((0, rows[0], below.width, rows[1])), PAPER, 8)
    columns = _longest([share > 0.2 for share in _columns(sheet)], gap=2)
    if columns is None or columns[1] - columns[0] < title.width * 0.8:
        return None
    page = Box(columns[0], rows[0], columns[1], rows[1])
    return Editor(title, _moved(page, below.left, below.top))


def find_entry(frame: Image) -> Box | None:
    """Find the text field that has the keyboard in the active window: a box with a coloured ring around it."""
    title = find_title(frame)
    if title is None:
        return None
    below = Box(title.left, title.bottom, title.right, min(frame.height, title.bottom + 3 * title.height + 20))
    ring = _near(frame.crop(below), SELECTED, 50)
    sides = [y for y, share in enumerate(_rows(ring)) if share > 0.5 and y > 3]
    if not sides or not 8 <= sides[-1] - sides[0] <= 60:
        return None
    edges = ring.crop((0, sides[0], below.width, sides[0] + 1)).getbbox()
    if edges is None:
        return None
    return _moved(Box(edges[0], sides[0], edges[2], sides[-1] + 1), below.left, below.top)


def find_first_line(frame: Image, page: Box) -> Box | None:
    """Find the ink of the first line of text on a page."""
    ink = frame.crop(page).convert("L").point([255 if value < 128 else 0 for value in range(256)])
    line = next((rows for rows in _runs([share > 0 for share in _rows(ink)]) if rows[1] - rows[0] >= 5), None)
    if line is None:
        return None
    found = ink.crop((0, line[0], page.width, line[1])).getbbox()
    if found is None:
        return None
    return _moved(Box(found[0], line[0], found[2], line[1]), page.left, page.top)


def selection(frame: Image, page: Box) -> Box | None:
    """Find the text on a page that is selected."""
    found = _near(frame.crop(page), SELECTED, 30).getbbox()
    return None if found is None else _moved(Box(*found), page.left, page.top)


def _moved(box: Box, x: int, y: int) -> Box:
    return Box(box.left + x, box.top + y, box.right + x, box.bottom + y)


def _near(image: Image, colour: Colour, tolerance: int) -> Image:
    """Return where an image has about this colour."""
    red, green, blue = colour
    return _within(
        image,
        (
            (red - tolerance, red + tolerance),
            (green - tolerance, green + tolerance),
            (blue - tolerance, blue + tolerance),
        ),
    )


def _within(image: Image, spans: tuple[Span, Span, Span]) -> Image:
    """Return where each channel of an image is within its span, as 255 in a picture of one channel."""
    from PIL import ImageChops

    masks = [
        channel.point([255 if low <= value <= high else 0 for value in range(256)])
        for channel, (low, high) in zip(image.split(), spans, strict=True)
    ]
    return reduce(ImageChops.darker, masks)


def _rows(mask: Image) -> list[float]:
    """Return which share of each row is set."""
    from PIL import Image

    if not all(mask.size):
        return []
    column = mask.resize((1, mask.height), Image.Resampling.BOX)
    return [value / 255 for value in column.tobytes()]


def _columns(mask: Image) -> list[float]:
    """Return which share of each column is set."""
    from PIL import Image

    if not all(mask.size):
        return []
    row = mask.resize((mask.width, 1), Image.Resampling.BOX)
    return [value / 255 for value in row.tobytes()]


def _runs(marks: Sequence[bool], *, gap: int = 0) -> list[Span]:
    """Return the runs of marks; those with at most ``gap`` between them are one."""
    runs: list[Span] = []
    for index, marked in enumerate(marks):
        if not marked:
            continue
        if runs and index - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def _longest(marks: Sequence[bool], *, gap: int = 0) -> Span | None:
    """Return the longest run."""
    return max(_runs(marks, gap=gap), key=lambda run: run[1] - run[0], default=None)
