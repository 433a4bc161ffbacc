"""The model of the demonstration: a script that acts on what it finds in the frames it is shown.

It knows what the desktop's parts look like, and nothing of where they are or how large the screen is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from deskhand.demo.targets import Box, find_editor, find_entry, find_first_line, find_launcher, selection
from deskhand.testing.models import FakeTurn, ModelView, ToolUse, member, text, tool_use

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CONTENT", "FILE", "GOAL", "PLACE", "DemoModel"]

FILE: Final = "greeting.txt"
DRAFT: Final = "Entwurf · draft · 草稿"
GREETING: Final = "Grüße aus dem Fenster · 你好 · ✓"
REST: Final = "".join(f"{n} · Übermut kostet {n} €, naïve Cafés und ein Ω\n" for n in range(2, 41))
CONTENT: Final = f"{GREETING}\n{REST}"
"""What must be in the file at the end."""

PLACE: Final = (0.06, 0.10)
"""Where the window's top left corner must be at the end, as shares of the screen's width and height."""

GOAL: Final = (
    f"Open the text editor, write a greeting of 40 lines and save it as {FILE}. Then move the window to the top left, "
    "replace the first line, save again, and check the file."
)

SCROLL: Final = 10
"""Notches of the wheel: more than the text is long."""

READINGS: Final = 3
"""How often the model reads the file again before it says that it is wrong."""

CONFIRMATIONS: Final = 3
"""How often the model confirms the file's name before it says that the dialog does not close."""

GLANCES: Final = 4
PATIENCE: Final = 24
LONGEST_WAIT: Final = 4
"""How often the model looks again for what is yet to come; after so many glances it waits in between, up to so many
seconds: a desktop on which each foreign letter is bound to a key first is behind for a while."""

FoundT = TypeVar("FoundT")
Step: TypeAlias = Generator[FakeTurn, ModelView, FoundT]
"""A part of the script: gives turns, gets what the model sees next, and returns what it found."""


class GiveUpError(Exception):
    """Something did not come up as it should have."""


class DemoModel:
    """A script for `deskhand.testing.FakeAnthropic`: one conversation, from the first frame to the report.

    `deskhand.demo.vocabulary` says the same in the words of `deskhand.testing.FakeOpenAI`.
    """

    def __init__(self) -> None:
        self._steps: Step[str] | None = None
        self._seen = -1
        self._answer = FakeTurn()

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<DemoModel after turn {self._seen}>"

    def __call__(self, view: ModelView) -> FakeTurn:
        """Answer what the model sees; a request that is made again gets the same answer."""
        if view.turn != self._seen:
            self._answer = self._next(view)
            self._seen = view.turn
        return self._answer

    def _next(self, view: ModelView) -> FakeTurn:
        try:
            if self._steps is None:
                self._steps = _play() if _has_screen(view) else _play_in_shell()
                return next(self._steps)
            return self._steps.send(view)
        except StopIteration as report:
            return FakeTurn([text(str(report.value))])
        except GiveUpError as why:
            return FakeTurn([text(f"I give up: {why}")])


def _play() -> Step[str]:
    """Play the whole script and return the report."""
    yield from _open()
    view = yield from _save()
    yield from _check(f"{DRAFT}\n{REST}", "every letter that I typed")
    view = yield from _move(view)
    yield from _replace(view)
    yield from _check(CONTENT, "the new first line and all others")
    return (
        f"Done: {FILE} holds 40 lines, and a command read them back exactly. I opened the editor by its launcher, "
        "typed, saved with ctrl+s, moved the window by its title bar, scrolled to the top and replaced the first "
        "line, which I had selected with a drag."
    )


def _has_screen(view: ModelView) -> bool:
    return not {"screenshot", "computer", "computer_use_preview"}.isdisjoint({*view.members, *view.tools})


def _play_in_shell() -> Step[str]:
    """Play what there is to play on a computer without a screen, and return the report."""
    write = f"cat > {FILE} <<'END'\n{CONTENT.rstrip()}\nEND"
    yield _turn("This computer has no screen: I write the file by a command.", tool_use("exec", command=write))
    yield from _check(CONTENT, "every line that I wrote")
    return f"Done: {FILE} holds 40 lines, and a command read them back exactly. There was no screen to use."


def _open() -> Step[None]:
    """Open the editor and type."""
    view = yield _turn("I look at the screen first.", member("screenshot"))
    view, launcher = yield from _until(view, find_launcher, "the editor's launcher in the panel")
    view = yield _turn("The pencil in the panel is the text editor: I click it.", _click(launcher))
    view, editor = yield from _until(view, find_editor, "the editor's window")
    page = editor.page
    view = yield _turn("It is open. I click into its page and type.", _click(page), _type(f"{DRAFT}\n{REST}"))
    yield from _until(view, lambda frame: find_first_line(frame, page), "text on the page")


def _save() -> Step[ModelView]:
    """Save under a name."""
    view = yield _turn("The text is there. I save it.", _key("ctrl+s"))
    _, entry = yield from _until(view, find_entry, "the field for the file's name")
    yield _turn("It asks for a name.", _click(entry), _type(FILE))
    for _ in range(CONFIRMATIONS):  # a dialog that is still reading its folder takes no Return
        view = yield _turn(f"I confirm {FILE}.", _key("Return"))
        try:
            view, _ = yield from _until(view, find_editor, "the editor without the dialog", GLANCES + 2)
        except GiveUpError:
            continue
        return view
    raise GiveUpError("the dialog does not close")


def _move(view: ModelView) -> Step[ModelView]:
    """Drag the window by its title bar."""
    view, editor = yield from _until(view, find_editor, "the editor's window")
    title, frame = editor.title, _frame(view)
    grip = (title.left + title.width // 4, title.middle[1])
    place = (round(frame.width * PLACE[0]), round(frame.height * PLACE[1]))
    to = (grip[0] + place[0] - title.left, grip[1] + place[1] - title.top)
    return (yield _turn("It is in the file. Now I drag the window by its title bar.", _drag(grip, to)))


def _replace(view: ModelView) -> Step[None]:
    """Scroll to the top, select the first line with a drag, type over it and save."""
    view, editor = yield from _until(view, find_editor, "the editor's window")
    page = editor.page
    letters = Box(page.left, page.top, page.left + page.width // 3, page.bottom)  # and no pointer
    before = _frame(view).crop(letters).tobytes()
    view = yield _turn(
        "I see the end of the text. I scroll up to its first line.",
        member("scroll", coordinate=[*page.middle], scroll_direction="up", scroll_amount=SCROLL),
    )

    def first_line(frame: Image) -> Box | None:
        return find_first_line(frame, page) if frame.crop(letters).tobytes() != before else None

    view, line = yield from _until(view, first_line, "the first line of the text")
    # From the first letter's left half, and far enough beyond the last letter to have it too.
    height, end = line.middle[1], min(page.right - 2, line.right + 40)
    for _ in range(3):  # a page that was scrolled beyond its edge swings back unseen, and takes no press meanwhile
        view = yield _turn("I select it with a drag.", _drag((line.left, height), (end, height)))
        if selection(_frame(view), page) is not None:
            break
        yield _turn("Nothing is selected. I wait and try again.", member("wait", duration=1))
    else:
        raise GiveUpError("I cannot select the first line")
    yield _turn("It is selected: I type over it and save.", _type(GREETING), _key("ctrl+s"))


def _check(content: str, what: str) -> Step[None]:
    """Read the file by a command until it holds the content.

    Raises:
        GiveUpError: If it does not come to hold it.
    """
    view = yield _turn("I check the file by a command.", tool_use("exec", command=f"cat {FILE}"))
    for _ in range(READINGS):
        if view.results and content.strip() in view.results[-1].text:
            return
        if _has_screen(view):
            yield _turn(f"It does not hold {what} yet. I wait.", member("wait", duration=1))
        view = yield _turn("I read it again.", tool_use("exec", command=f"cat {FILE}"))
    raise GiveUpError(f"{FILE} does not hold {what}")


def _until(
    view: ModelView, find: Callable[[Image], FoundT | None], what: str, patience: int | None = None
) -> Step[tuple[ModelView, FoundT]]:
    """Return what is found in the newest frame, and the view of it; wait while it is not there.

    Raises:
        GiveUpError: If it does not come up.
    """
    for attempt in range(PATIENCE if patience is None else patience):
        frame = _frame(view)
        found = find(frame)
        if found is not None:
            return view, found
        if attempt < GLANCES:  # moved out of the way, the pointer hides nothing and calls up no tooltip
            aside = member("mouse_move", coordinate=[frame.width - 10 - attempt, frame.height - 10])
            view = yield _turn(f"I do not see {what} yet. I look again.", aside)
        else:
            seconds = min(LONGEST_WAIT, attempt - GLANCES + 1)
            view = yield _turn(f"I do not see {what} yet. I wait.", member("wait", duration=seconds))
    raise GiveUpError(f"I do not see {what}")


def _frame(view: ModelView) -> Image:
    if view.frame is None:
        raise GiveUpError("I am shown no frame")
    return view.frame.image


def _click(box: Box) -> ToolUse:
    return member("left_click", coordinate=[*box.middle])


def _drag(start: tuple[int, int], end: tuple[int, int]) -> ToolUse:
    return member("left_click_drag", start_coordinate=[*start], coordinate=[*end])


def _type(typed: str) -> ToolUse:
    return member("type", text=typed)


def _key(chord: str) -> ToolUse:
    return member("key", text=chord)


def _turn(said: str, *calls: ToolUse) -> FakeTurn:
    return FakeTurn([text(said), *calls])
