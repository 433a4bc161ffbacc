"""A make-believe desktop for machines without an X server: the demonstration's editor, as a fake computer.

It looks like the local computer's desktop as far as a script that looks for the same things needs it to, and answers to
the same input: a launcher, an editor that scrolls and selects, a title bar to drag, a chord that saves.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from deskhand.demo.targets import MENU, PANEL, PAPER, SELECTED, Box
from deskhand.providers import Click, Drag, InputAction, Key, Screen, Scroll, Type
from deskhand.testing import FakeComputer, FakeScreen

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["PretendDesktop"]

ICONS: Final = "local/desktop_files/dot_local/share/icons/deskhand/48x48/apps"
BACKGROUND: Final = "#2e5077"
ACTIVE: Final = (140, 175, 219)
INK: Final = "#101010"
EDGE: Final = "#585a5d"
PANEL_HEIGHT: Final = 40
WINDOW: Final = Screen(600, 424)
DIALOG: Final = Screen(640, 300)
TITLE_HEIGHT: Final = 20
MENU_HEIGHT: Final = 26
SCROLL_BAR: Final = 16
PITCH: Final = 19  # pixels from line to line
MARGIN: Final = 4
LINES_A_NOTCH: Final = 3


class PretendDesktop(FakeComputer):
    """A fake computer whose screen shows a launcher and, once that is clicked, an editor that works.

    Args:
        size: The screen's size in pixels.
    """

    def __init__(self, size: tuple[int, int] = (1280, 800)) -> None:
        self._editor = _Editor(Screen(*size))
        super().__init__(FakeScreen(image=_draw(self._editor)), size=size, name="pretend")

    async def perform(self, action: InputAction) -> None:
        """Perform an input action, and show what it changed."""
        await super().perform(action)
        self._editor.receive(action)
        for name, content in self._editor.take_saved():
            self.files[name] = content.encode()
        self.screens["desktop"] = FakeScreen(image=_draw(self._editor))
        self.show("desktop")


class _Editor:
    """The state of the desktop, and what input makes of it."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.launcher = Box(44, screen.height - 37, 78, screen.height - 3)
        self.place: tuple[int, int] | None = None
        self.lines = [""]
        self.top = 0
        self.selected: int | None = None
        self.file: str | None = None
        self.name: str | None = None
        self._saved: list[tuple[str, str]] = []

    @property
    def title(self) -> Box | None:
        """The title bar of the editor's window."""
        if self.place is None:
            return None
        left, top = self.place
        return Box(left, top, left + WINDOW.width, top + TITLE_HEIGHT)

    @property
    def page(self) -> Box | None:
        """Where the text is."""
        if self.place is None:
            return None
        left, top = self.place
        return Box(
            left + 1, top + TITLE_HEIGHT + MENU_HEIGHT, left + WINDOW.width - SCROLL_BAR, top + WINDOW.height - 1
        )

    @property
    def rows(self) -> int:
        """How many lines are in view."""
        return 0 if self.page is None else (self.page.height - MARGIN) // PITCH

    def take_saved(self) -> list[tuple[str, str]]:
        """Return what was saved since the last time: names and contents."""
        saved, self._saved = self._saved, []
        return saved

    def receive(self, action: InputAction) -> None:
        """Change with an input action."""
        match action:
            case Click(x=int(x), y=int(y)):
                self._click(x, y)
            case Type():
                self._type(action.text)
            case Key():
                self._key(action.keys)
            case Scroll():
                self.top = max(0, min(len(self.lines) - self.rows, self.top + action.dy * LINES_A_NOTCH))
            case Drag():
                self._drag(action.path[0], action.path[-1])
            case _:
                pass

    def _click(self, x: int, y: int) -> None:
        self.selected = None
        if self.place is None and _holds(self.launcher, x, y):
            self.place = ((self.screen.width - WINDOW.width) // 2, (self.screen.height - WINDOW.height) // 2)

    def _type(self, text: str) -> None:
        if self.name is not None:
            self.name += text.partition("\n")[0]
            if "\n" in text:
                self._save()
        elif self.selected is not None:
            self.lines[self.selected : self.selected + 1] = text.split("\n")
            self.selected = None
        elif self.place is not None:
            first, *more = text.split("\n")
            self.lines[-1] += first
            self.lines += more
            self.top = max(0, len(self.lines) - self.rows)

    def _key(self, keys: tuple[str, ...]) -> None:
        if keys == ("ctrl", "s") and self.place is not None:
            if self.file is None:
                self.name = ""
            else:
                self._save()
        elif keys == ("enter",):
            self._type("\n")

    def _save(self) -> None:
        self.file = self.file or self.name
        self.name = None
        if self.file:
            self._saved.append((self.file, "\n".join(self.lines)))

    def _drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        if self.name is not None or self.place is None or self.title is None or self.page is None:
            return
        if _holds(self.title, *start):
            self.place = (self.place[0] + end[0] - start[0], self.place[1] + end[1] - start[1])
        elif _holds(self.page, *start):
            row = self.top + (start[1] - self.page.top - MARGIN) // PITCH
            letters = self.page.left + MARGIN
            whole = row < len(self.lines) and start[0] <= letters + 4 and end[0] >= letters + _length(self.lines[row])
            self.selected = row if whole else None


def _holds(box: Box, x: int, y: int) -> bool:
    return box.left <= x < box.right and box.top <= y < box.bottom


def _font() -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(14)


def _length(text: str) -> int:
    return round(_font().getlength(text))


def _draw(editor: _Editor) -> Image:
    from PIL import Image, ImageDraw

    width, height = editor.screen
    picture = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, height - PANEL_HEIGHT, width, height), fill=PANEL)
    icons = files("deskhand.providers") / ICONS
    for place, name in enumerate(("terminal", "editor", "files")):
        with (icons / f"deskhand-{name}.png").open("rb") as file, Image.open(file) as source:
            icon = source.convert("RGBA").resize((34, 34))
        picture.paste(icon, (editor.launcher.left + 38 * (place - 1), editor.launcher.top), icon)
    if editor.title is not None and editor.page is not None:
        _draw_window(pen, editor, editor.title, editor.page)
    if editor.name is not None:
        _draw_dialog(pen, editor.screen, editor.name)
    return picture


def _draw_window(pen: ImageDraw, editor: _Editor, title: Box, page: Box) -> None:
    font = _font()
    frame = (title.left, title.top, title.left + WINDOW.width - 1, title.top + WINDOW.height - 1)
    pen.rectangle(frame, fill=MENU, outline=EDGE)
    # A window that has a dialog in front of it is not the active one.
    pen.rectangle(_inside(title), fill=ACTIVE if editor.name is None else "#d0d2d4")
    pen.text(title.middle, editor.file or "(Untitled)", fill="white", font=font, anchor="mm")
    pen.text((title.left + 10, title.bottom + 4), "File    Edit    Search    Options    Help", fill=INK, font=font)
    pen.rectangle(_inside(page), fill=PAPER)
    for row, line in enumerate(editor.lines[editor.top : editor.top + editor.rows]):
        place = (page.left + MARGIN, page.top + MARGIN + row * PITCH)
        is_selected = editor.selected == editor.top + row
        if is_selected:
            pen.rectangle((*place, place[0] + _length(line), place[1] + PITCH - 1), fill=SELECTED)
        pen.text(place, line, fill="white" if is_selected else INK, font=font)


def _draw_dialog(pen: ImageDraw, screen: Screen, name: str) -> None:
    font = _font()
    left, top = (screen.width - DIALOG.width) // 2, (screen.height - DIALOG.height) // 2
    title = Box(left, top, left + DIALOG.width, top + TITLE_HEIGHT)
    pen.rectangle((left, top, left + DIALOG.width, top + DIALOG.height), fill=MENU, outline=EDGE)
    pen.rectangle(_inside(title), fill=ACTIVE)
    pen.text(title.middle, "Save As", fill="white", font=font, anchor="mm")
    pen.text((left + 12, top + 36), "Name:", fill=INK, font=font)
    pen.rectangle((left + 70, top + 30, left + DIALOG.width - 12, top + 62), fill=PAPER, outline=SELECTED, width=2)
    pen.text((left + 80, top + 36), name, fill=INK, font=font)


def _inside(box: Box) -> tuple[int, int, int, int]:
    """Turn exclusive right and bottom edges into the inclusive ones that Pillow draws."""
    return box.left, box.top, box.right - 1, box.bottom - 1
