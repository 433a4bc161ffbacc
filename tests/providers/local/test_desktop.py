"""The desktop with its real window manager, panel and applications."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from PIL import Image

from deskhand.errors import ConfigError
from deskhand.providers.actions import Click, Drag, Key, MouseButton, Type
from deskhand.providers.contract import Screen
from deskhand.providers.local.desktop import DESKTOP_ENVIRONMENT, DESKTOP_PROGRAMS, write_desktop_files
from deskhand.providers.local.display import Display, open_display
from tests.providers.local.screens import a_display, a_logger

PROGRAMS = ("openbox", "tint2", "xterm", "l3afpad", "pcmanfm")
pytestmark = [
    pytest.mark.needs_x,
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason=f"needs {', '.join(PROGRAMS)}"),
]

SCREEN = Screen(1280, 800)
TEXTS = {
    "mixed": "Zażółć 👩‍👩‍👧 שלום e\u0301 漢字\n\tend 'q' \"$x\" `id` \\ é É ß",
    "long": "The quick brown fox, 500 characters. " * 14,
    "han": "".join(chr(code) for code in range(0x4E00, 0x4E00 + 250)),
}


class Desktop:
    """A display with its desktop, and the home folder of its applications."""

    def __init__(self, display: Display, home: Path, stack: AsyncExitStack) -> None:
        self.display = display
        self.home = home
        self._stack = stack
        self._environment = {
            **DESKTOP_ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DISPLAY": display.name,
            "XAUTHORITY": str(display.xauthority),
        }

    async def start(self, *command: str) -> None:
        """Start an application that ends with the desktop."""
        process = await anyio.open_process(
            command, env=self._environment, cwd=self.home, stdin=None, stdout=None, stderr=None
        )
        self._stack.push_async_callback(process.wait)
        self._stack.callback(lambda: process.returncode is None and process.kill())

    async def window(self, count: int) -> None:
        """Wait until so many windows are there."""
        x = self.display._connection
        with anyio.fail_after(15):
            await self.display._root_has("_NET_CLIENT_LIST", lambda windows: len(windows) >= count)
            await x.sync()
        await self.display.settle()


@asynccontextmanager
async def a_desktop() -> AsyncIterator[Desktop]:
    """Start a display with its desktop."""
    with tempfile.TemporaryDirectory(prefix="desktop-") as directory:
        home = Path(directory) / "home"
        home.mkdir()
        write_desktop_files(home)
        async with open_display(SCREEN, Path(directory)) as display, AsyncExitStack() as stack:
            desktop = Desktop(display, home, stack)
            for program in DESKTOP_PROGRAMS:
                await desktop.start(*program)
            await display.wait_for_window_manager(10)
            yield desktop


async def colors(display: Display, box: tuple[int, int, int, int]) -> Sequence[object]:
    """Return the colours in a part of the screen."""
    image = Image.open(io.BytesIO(await display.capture(cursor=False))).crop(box)
    found = image.getcolors(1_000_000)
    assert found is not None
    return [color for _, color in found]


async def test_first_settled_frame_shows_the_panel_with_its_launchers() -> None:
    """The first frame after settling has the panel, and a click on its first launcher opens a terminal."""
    async with a_desktop() as desktop:
        assert await desktop.display.settle() < 2
        assert len(await colors(desktop.display, (0, 760, 110, 800))) > 20
        assert len(await colors(desktop.display, (0, 0, 1280, 750))) == 1
        await desktop.display.perform(Click(22, 780))
        await desktop.window(2)
        await desktop.display.perform(Type("echo 'héllo ☃' > out.txt\n"))
        with anyio.fail_after(5):
            while not (desktop.home / "out.txt").exists() or not (desktop.home / "out.txt").read_text():
                await desktop.display.settle(quiet=0.05)
        assert (desktop.home / "out.txt").read_text() == "héllo ☃\n"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_editor_saves_exactly_what_was_typed(text: str) -> None:
    """Text typed into the editor and saved with ctrl+s is on disk, character for character."""
    async with a_desktop() as desktop:
        note = desktop.home / "note.txt"
        note.write_text("")
        await desktop.start("l3afpad", "note.txt")
        await desktop.window(2)
        await desktop.display.perform(Type(text))
        await desktop.display.settle()
        await desktop.display.perform(Key("ctrl+s"))
        with anyio.fail_after(10):
            while not note.read_text(encoding="utf-8"):
                await desktop.display.settle(quiet=0.05)
        assert note.read_text(encoding="utf-8") == text


async def test_menu_of_the_desktop_opens_the_file_manager() -> None:
    """A right click on the background shows the menu, whose last entry opens the files."""
    async with a_desktop() as desktop:
        await desktop.display.settle()
        await desktop.display.perform(Click(1000, 100, "right"))
        await desktop.display.settle()
        for key in ("up", "enter"):
            await desktop.display.perform(Key(key))
            await desktop.display.settle()
        await desktop.window(2)


@pytest.mark.parametrize("button", ["left", "middle", "right"])
async def test_alt_click_and_drag_reach_the_application(button: MouseButton) -> None:
    """The window manager keeps no Alt and button for itself."""
    async with a_desktop() as desktop, a_logger(desktop.display, "managed") as logger:
        await desktop.window(2)
        display = desktop.display
        await display.perform(Click(600, 400))
        await logger.events(2, "button_down", "button_up")
        await display.perform(Click(600, 400, button, modifiers=("alt",)))
        down, up = await logger.events(2, "button_down", "button_up")
        assert (down["x"], down["y"], up["kind"]) == (600, 400, "button_up")
        assert down["state"] & 8
        await display.perform(Drag(((600, 400), (700, 500)), button, modifiers=("alt",)))
        down, up = await logger.events(2, "button_down", "button_up")
        assert (down["x"], up["x"], up["y"]) == (600, 700, 500)


async def test_missing_window_manager_is_named_within_the_deadline() -> None:
    """Where no window manager comes up, the error says so in time."""
    async with a_display() as display:
        with anyio.fail_after(3), pytest.raises(ConfigError, match="window manager"):
            await display.wait_for_window_manager(0.2)
