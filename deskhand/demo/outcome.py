"""Whether the demonstration did what it says: looked up on the machine itself, not taken from the model's report."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deskhand.demo.script import CONTENT, FILE, PLACE
from deskhand.demo.targets import Editor, find_editor, find_first_line
from deskhand.errors import DeskhandError

if TYPE_CHECKING:
    from PIL.Image import Image

    from deskhand.providers.contract import ExternalComputer

__all__ = ["Check", "Verdict", "verify"]

TOLERANCE: Final = 24
"""Pixels by which the window may miss its place: window managers let windows snap to each other's edges."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked up.

    Attributes:
        ok: Whether it is as it must be.
        found: What was found, as a clause.
    """

    ok: bool
    found: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the machine says of the demonstration's outcome."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it must be."""
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        """Return a line for each check under a line for all."""
        head = "verified on the machine:" if self.ok else "NOT as it should be on the machine:"
        return "\n".join([head, *(f"  {'✓' if check.ok else '✗'} {check.found}" for check in self.checks)])


async def verify(computer: ExternalComputer) -> Verdict:
    """Look at the file, the window and the pointer.

    Raises:
        DeskhandError: If the computer cannot be asked.
    """
    from PIL import Image

    with Image.open(io.BytesIO(await computer.screenshot(cursor=False))) as picture:
        frame = picture.convert("RGB")
    editor = find_editor(frame)
    if editor is None:
        return Verdict((await _file(computer), Check(False, "the editor's window is not to be seen")))
    return Verdict((await _file(computer), _window(frame, editor), await _pointer(computer, frame, editor)))


async def _file(computer: ExternalComputer) -> Check:
    try:
        data = await computer.read_bytes(FILE)
    except FileNotFoundError as missing:
        if not isinstance(missing, DeskhandError):
            raise
        return Check(False, f"there is no {FILE}")
    wanted = CONTENT.encode()
    if data == wanted:
        return Check(True, f"{FILE} holds the {len(CONTENT.splitlines())} lines, byte for byte ({len(data)} bytes)")
    same = next((place for place, pair in enumerate(zip(data, wanted, strict=False)) if pair[0] != pair[1]), None)
    where = f"from byte {same} on" if same is not None else "in its length"
    return Check(False, f"{FILE} differs {where}: {len(data)} bytes, not {len(wanted)}")


def _window(frame: Image, editor: Editor) -> Check:
    left, top = editor.title.left, editor.title.top
    wanted = round(frame.width * PLACE[0]), round(frame.height * PLACE[1])
    is_there = abs(left - wanted[0]) <= TOLERANCE and abs(top - wanted[1]) <= TOLERANCE
    beside = "" if is_there else f", not at {wanted[0]},{wanted[1]}"
    return Check(is_there, f"the drag by the title bar left the window at {left},{top}{beside}")


async def _pointer(computer: ExternalComputer, frame: Image, editor: Editor) -> Check:
    x, y = await computer.cursor_position()
    line = find_first_line(frame, editor.page)
    is_there = line is not None and line.top - 6 <= y <= line.bottom + 6
    where = "the first line" if is_there else "something else than the first line"
    return Check(is_there, f"the pointer is at {x},{y}, where the drag across {where} ended")
