"""A screen of one's own: an X server, its capture, its input, and when it has come to rest."""

from __future__ import annotations

import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import xcffib
import xcffib.randr
from xcffib.xproto import CW, Atom, EventMask, PropertyNotifyEvent

from deskhand.errors import ConfigError, InvalidInputError, UnsupportedError
from deskhand.providers.actions import InputAction
from deskhand.providers.contract import Region, Screen
from deskhand.providers.local.capture import ScreenCapture
from deskhand.providers.local.damage import DamageTracker
from deskhand.providers.local.desktop import PANEL
from deskhand.providers.local.input import InputPlayer
from deskhand.providers.local.xconnection import XConnection, open_connection
from deskhand.providers.local.xserver import ServerKind, XServer, open_server
from deskhand.providers.pictures import image_format

__all__ = ["Display", "open_display"]

_BACKGROUND = 0x2E5077
_SMALLEST, _LARGEST = Screen(320, 200), Screen(7680, 4320)
_PANEL_DEADLINE = 2.0


class Display:
    """The screen, pointer and keyboard of a local computer.

    Attributes:
        name: What ``DISPLAY`` must be (``:1077``).
        xauthority: The cookie file that clients need as ``XAUTHORITY``.
        socket: The server's unix socket.
        server: Which X server it is.
        vnc_socket: A unix socket that speaks VNC, with Xvnc.
    """

    def __init__(self, server: XServer, connection: XConnection, screen: Screen) -> None:
        self.name: str = f":{server.display}"
        self.xauthority: Path = server.xauthority
        self.socket: Path = server.socket
        self.server: ServerKind = server.kind
        self.vnc_socket: Path | None = server.vnc_socket
        self._screen = screen
        self._connection = connection
        self._damage = DamageTracker(connection)
        self._capture = ScreenCapture(connection)
        self._input = InputPlayer(connection, self._damage)
        self._root_changed = anyio.Event()
        self._panel_expected = False
        connection.on(PropertyNotifyEvent, self._property_changed)

    @property
    def screen(self) -> Screen:
        """The screen's size in pixels."""
        return self._screen

    async def capture(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen or a region of it, encoded as ``png``, ``jpeg`` or ``auto``.

        Raises:
            InvalidInputError: If the region is not within the screen, or there is no such format.
            ComputerGoneError: If the X server has ended.
        """
        return await self._capture.capture(region, cursor=cursor, form=image_format(format))

    async def perform(self, action: InputAction) -> None:
        """Perform one input action; what it presses is released on every way out.

        Raises:
            InvalidInputError: If a point is off the screen, or a text cannot be typed.
            ComputerGoneError: If the X server has ended.
        """
        await self._input.perform(action, self._screen)

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in pixels."""
        pointer = await self._connection.reply(self._connection.core.QueryPointer(self._connection.root))
        return pointer.root_x, pointer.root_y

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Wait until nothing but carets changed for ``quiet`` seconds, at most ``limit``; return the seconds waited."""
        start = anyio.current_time()
        if self._panel_expected:
            self._panel_expected = False
            with anyio.move_on_after(min(limit, _PANEL_DEADLINE)):
                await self._root_has("_NET_WORKAREA", self._is_reserved)
        waited = anyio.current_time() - start
        return waited + await self._damage.settle(quiet, max(0.0, limit - waited))

    def changed(self, region: Region, *, within: float) -> bool:
        """Tell whether anything but carets was drawn in a region in the last ``within`` seconds."""
        return self._damage.changed(*region, within)

    async def wait_for_window_manager(self, deadline: float) -> None:
        """Wait until a window manager is there; the first settling then waits for its panel as well.

        Raises:
            ConfigError: If none came within ``deadline`` seconds.
        """
        try:
            with anyio.fail_after(deadline):
                await self._root_has("_NET_SUPPORTING_WM_CHECK", lambda values: bool(values and values[0]))
        except TimeoutError as error:
            raise ConfigError(
                f"no window manager came up within {deadline:g} s", hint="apt-get install openbox tint2"
            ) from error
        self._panel_expected = shutil.which(PANEL) is not None

    async def resize(self, width: int, height: int) -> None:
        """Change the screen's size.

        Raises:
            UnsupportedError: If the server is not Xvnc.
            InvalidInputError: If the size is out of bounds.
        """
        if self.server != "Xvnc":
            raise UnsupportedError(
                f"{self.server} cannot change its size", hint="apt-get install tigervnc-standalone-server"
            )
        if not (_SMALLEST.width <= width <= _LARGEST.width and _SMALLEST.height <= height <= _LARGEST.height):
            raise InvalidInputError(
                f"a screen of {width}x{height} is out of bounds: "
                f"{_SMALLEST.width}x{_SMALLEST.height} to {_LARGEST.width}x{_LARGEST.height}"
            )
        await _set_screen_size(self._connection, width, height)
        self._screen = Screen(width, height)
        await self._capture.resize(self._screen)
        self._damage.touch()

    async def _open(self) -> None:
        """Claim what lives on the server: buffers, events of the root window, the background."""
        connection = self._connection
        connection.core.ChangeWindowAttributes(
            connection.root, CW.BackPixel | CW.EventMask, [_BACKGROUND, EventMask.PropertyChange]
        )
        connection.core.ClearArea(False, connection.root, 0, 0, 0, 0)
        await self._capture.resize(self._screen)

    async def _close(self) -> None:
        """Disconnect, which ends whoever still waits, and give the buffers back."""
        self._connection.close()
        with anyio.CancelScope(shield=True):
            await self._capture.aclose()

    def _property_changed(self, event: Any) -> None:
        del event
        self._root_changed.set()

    async def _root_has(self, name: str, accept: Any) -> None:
        """Wait until a property of the root window has an acceptable value."""
        connection = self._connection
        atom = (await connection.reply(connection.core.InternAtom(False, len(name), name))).atom
        while True:
            self._root_changed = changed = anyio.Event()
            request = connection.core.GetProperty(False, connection.root, atom, Atom.Any, 0, 64)
            value = (await connection.reply(request)).value.buf()
            if accept(struct.unpack(f"={len(value) // 4}I", value[: len(value) // 4 * 4])):
                return
            await changed.wait()

    def _is_reserved(self, values: tuple[int, ...]) -> bool:
        """Whether a panel has taken its part of the work area (x, y, width, height for each desktop)."""
        return len(values) >= 4 and values[2] * values[3] < self._screen.width * self._screen.height


@asynccontextmanager
async def open_display(screen: Screen, directory: Path, *, owner: int | None = None) -> AsyncIterator[Display]:
    """Start an X server and connect to it; both end with the block, and the server with this process.

    Args:
        screen: The screen's size.
        directory: A private folder (mode 0700) for cookie, sockets and log.
        owner: The user id that clients run as, where it is not this process's.

    Raises:
        ConfigError: If there is no X server, or it does not start.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(screen, directory, owner=owner))
        connection = await stack.enter_async_context(open_connection(server.socket, server.cookie))
        display = Display(server, connection, screen)
        stack.push_async_callback(display._close)
        await display._open()
        yield display


async def _set_screen_size(connection: XConnection, width: int, height: int) -> None:
    """Find or make a mode of that size and switch to it."""
    randr, root = connection.randr, connection.root
    resources = await connection.reply(randr.GetScreenResourcesCurrent(root))
    crtc, output = resources.crtcs[0], resources.outputs[0]
    modes = [mode.id for mode in resources.modes if (mode.width, mode.height) == (width, height)]
    if not modes:
        mode_info: Any = xcffib.randr.ModeInfo  # untyped
        name = f"{width}x{height}"
        info = mode_info.synthetic(
            *(0, width, height, width * height * 60),
            *(width, width, width, 0),
            *(height, height, height),
            *(len(name), 0),
        )
        modes = [(await connection.reply(randr.CreateMode(root, info, len(name), name))).mode]
    randr.AddOutputMode(output, modes[0])
    state = await connection.reply(randr.GetCrtcInfo(crtc, resources.config_timestamp))
    now = (state.timestamp, resources.config_timestamp)
    connection.core.GrabServer()
    try:
        off = randr.SetCrtcConfig(crtc, *now, 0, 0, 0, xcffib.randr.Rotation.Rotate_0, 0, [])
        size = (width, height, width * 254 // 960, height * 254 // 960)
        randr.SetScreenSize(root, *size)
        on = randr.SetCrtcConfig(crtc, *now, 0, 0, modes[0], xcffib.randr.Rotation.Rotate_0, 1, [output])
    finally:
        connection.core.UngrabServer()
    for request in (off, on):
        status = (await connection.reply(request)).status
        if status != xcffib.randr.SetConfig.Success:
            raise ConfigError(f"the X server refused a screen of {width}x{height} (status {status})")
