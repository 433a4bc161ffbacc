"""The server's 37 commands, on the machine behind.

As the vendor's server does, what a command does not know is dropped without a word, what it needs and does not get is
an error in Python's words, points off the screen are taken for points at its edge, and keys without a name are ignored.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from deskhand.errors import DeskhandError
from deskhand.providers import (
    Capability,
    Click,
    Drag,
    ExternalComputer,
    InputAction,
    MouseButton,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
)
from deskhand.testing.simulators.wire import Json

from .files import Files, said
from .keyboard import Keyboard

__all__ = ["CUA_COMMANDS", "Commands"]

VERSION = "0.1.25"
MOST_OUTPUT = 64 * 1024 * 1024
LONGEST = 24 * 3600.0
"""Seconds that a command may take: the vendor's server sets no bound."""
BUTTONS: tuple[MouseButton, ...] = ("left", "middle", "right")

Command: TypeAlias = Callable[..., Awaitable[Json]]


class FailedError(Exception):
    """Raised when a command fails; its text is what the server says."""


class Commands:
    """The commands of one machine's server."""

    def __init__(self, machine: ExternalComputer) -> None:
        self.machine: ExternalComputer = machine
        self._machine = machine
        self._keyboard = Keyboard(machine)
        self._files = Files(machine)
        self._scheme: Mapping[str, Command] = {
            name: getattr(self._files if hasattr(self._files, name) else self, name) for name in CUA_COMMANDS
        }

    async def run(self, name: str, params: Mapping[str, Any]) -> Json:
        """Runs a command, and returns its answer, that it failed among them."""
        command = self._scheme[name]
        known = inspect.signature(command).parameters
        given = {key: value for key, value in params.items() if key in known}
        missing = [key for key, one in known.items() if one.default is one.empty and key not in given]
        if missing:
            return {"success": False, "error": _missing(name, missing)}
        try:
            return {"success": True, **await command(**given)}
        except DeskhandError as error:
            return {"success": False, "error": said(error, given)}
        except (FailedError, TypeError, ValueError) as error:
            return {"success": False, "error": str(error)}

    # What is told

    async def version(self) -> Json:
        """Tells the versions."""
        return {"protocol": 1, "package": VERSION}

    async def screenshot(self) -> Json:
        """Captures the screen, without the pointer."""
        if Capability.SCREENSHOT not in self._machine.capabilities:
            raise FailedError("Screenshot error: no screen")
        image = await self._machine.screenshot(cursor=False)
        return {"image_data": base64.b64encode(image).decode()}

    async def get_screen_size(self) -> Json:
        """Tells the screen's size."""
        screen = self._machine.info.screen
        if screen is None:
            raise FailedError("no screen")
        return {"size": {"width": screen.width, "height": screen.height}}

    async def get_cursor_position(self) -> Json:
        """Tells where the pointer is."""
        x, y = await self._machine.cursor_position()
        return {"position": {"x": x, "y": y}}

    async def get_accessibility_tree(self) -> Json:
        """Tells a tree that is made up, as on every Linux."""
        size: Json = {"width": 1920, "height": 1080}
        return {"tree": {"role": "Window", "title": "Linux Window", "position": {"x": 0, "y": 0}, "size": size}}

    async def find_element(self, role: object = None, title: object = None, value: object = None) -> Json:
        """Finds nothing, as on every Linux."""
        del role, title, value
        return {"success": False, "message": "Element search not supported on Linux"}

    async def diorama_cmd(self, action: str, arguments: object = None) -> Json:
        """Fails, as on every system but one."""
        del action, arguments
        return {"success": False, "error": "Diorama is not supported on this OS yet."}

    # Pointer

    async def left_click(self, x: object = None, y: object = None) -> Json:
        """Clicks."""
        return await self._click(x, y, "left", 1)

    async def right_click(self, x: object = None, y: object = None) -> Json:
        """Clicks with the right button."""
        return await self._click(x, y, "right", 1)

    async def double_click(self, x: object = None, y: object = None) -> Json:
        """Clicks twice."""
        return await self._click(x, y, "left", 2)

    async def move_cursor(self, x: object, y: object) -> Json:
        """Moves the pointer."""
        return await self._do(Move(*self._point(x, y)))

    async def mouse_down(self, x: object = None, y: object = None, button: str = "left") -> Json:
        """Presses a button."""
        await self._approach(x, y)
        return await self._do(MouseDown(_button(button)))

    async def mouse_up(self, x: object = None, y: object = None, button: str = "left") -> Json:
        """Releases a button."""
        await self._approach(x, y)
        return await self._do(MouseUp(_button(button)))

    async def drag(self, start_x: object, start_y: object, end_x: object, end_y: object, button: str = "left") -> Json:
        """Drags from one point to another."""
        path = (self._point(start_x, start_y), self._point(end_x, end_y))
        return await self._do(Drag(path, _button(button), self._keyboard.modifiers()))

    async def drag_to(self, x: object, y: object, button: str = "left", duration: float = 0.5) -> Json:
        """Drags from where the pointer is."""
        del duration
        path = (await self._machine.cursor_position(), self._point(x, y))
        return await self._do(Drag(path, _button(button), self._keyboard.modifiers()))

    async def scroll(self, x: object, y: object) -> Json:
        """Turns the wheel: up and to the right are positive."""
        dx, dy = _whole("x", x), -_whole("y", y)
        return await self._do(Scroll(dx=dx, dy=dy, modifiers=self._keyboard.modifiers())) if dx or dy else {}

    async def scroll_down(self, clicks: object = 1) -> Json:
        """Turns the wheel down."""
        return await self.scroll(0, -_whole("clicks", clicks))

    async def scroll_up(self, clicks: object = 1) -> Json:
        """Turns the wheel up."""
        return await self.scroll(0, _whole("clicks", clicks))

    # Keyboard

    async def key_down(self, key: str) -> Json:
        """Presses a key."""
        await self._keyboard.down(key)
        return {}

    async def key_up(self, key: str) -> Json:
        """Releases a key."""
        await self._keyboard.up(key)
        return {}

    async def press_key(self, key: str) -> Json:
        """Strikes a key."""
        await self._keyboard.strike([key])
        return {}

    async def hotkey(self, keys: list[str]) -> Json:
        """Strikes a chord."""
        await self._keyboard.strike(keys)
        return {}

    async def type_text(self, text: str) -> Json:
        """Types."""
        return await self._do(Type(text)) if text else {}

    # Clipboard, commands

    async def copy_to_clipboard(self) -> Json:
        """Tells what the clipboard holds."""
        done = await self._machine.exec("xclip -selection clipboard -o")
        if done.exit_code:
            raise FailedError("Pyperclip could not find a copy/paste mechanism for your system.")
        return {"content": done.output}

    async def set_clipboard(self, text: str) -> Json:
        """Puts text on the clipboard."""
        done = await self._machine.exec("xclip -selection clipboard -i >/dev/null 2>&1", stdin=text.encode())
        if done.exit_code:
            raise FailedError("Pyperclip could not find a copy/paste mechanism for your system.")
        return {}

    async def run_command(self, command: str) -> Json:
        """Runs a command line to its end, however long that takes; output that is no UTF-8 is an error."""
        kept: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        async with self._machine.exec_stream(command, timeout=LONGEST) as stream:
            async for chunk in stream:
                piece = kept[chunk.stream]
                piece += chunk.data[: MOST_OUTPUT - len(piece)]
            code = stream.exit_code
        return {"stdout": kept["stdout"].decode(), "stderr": kept["stderr"].decode(), "return_code": code}

    # Points

    async def _click(self, x: object, y: object, button: MouseButton, count: int) -> Json:
        held = self._keyboard.modifiers()
        if x is None or y is None:
            return await self._do(Click(button=button, count=count, modifiers=held))
        return await self._do(Click(*self._point(x, y), button, count, held))

    async def _approach(self, x: object, y: object) -> None:
        if x is not None and y is not None:
            await self._do(Move(*self._point(x, y)))

    def _point(self, x: object, y: object) -> tuple[int, int]:
        """Returns a point as the server takes it: what is beyond an edge is at the edge."""
        screen = self._machine.info.screen
        if screen is None:
            raise FailedError("no screen")
        return min(max(_whole("x", x), 0), screen.width - 1), min(max(_whole("y", y), 0), screen.height - 1)

    async def _do(self, action: InputAction) -> Json:
        await self._machine.perform(action)
        return {}


def _whole(name: str, value: object) -> int:
    """Returns a coordinate; one that is text is taken for the name of a picture to look for, as pyautogui does."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FailedError(f"PyAutoGUI was unable to locate the image for {name}: {value!r}")
    return int(value)


def _button(name: str) -> MouseButton:
    for button in BUTTONS:
        if button == name:
            return button
    raise FailedError("button argument must be one of ('left', 'middle', 'right', 'primary', 'secondary', 1 to 7)")


def _missing(name: str, names: list[str]) -> str:
    told = [repr(one) for one in names]
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])}{',' if len(told) > 2 else ''} and {told[-1]}"
    return f"{name}() missing {len(told)} required positional argument{'s' if len(told) > 1 else ''}: {listed}"


CUA_COMMANDS: tuple[str, ...] = (
    *("version", "diorama_cmd", "get_accessibility_tree", "find_element", "run_command"),
    *("file_exists", "directory_exists", "list_dir", "read_text", "write_text", "read_bytes", "write_bytes"),
    *("get_file_size", "delete_file", "create_dir", "delete_dir"),
    *("mouse_down", "mouse_up", "left_click", "right_click", "double_click", "move_cursor", "drag_to", "drag"),
    *("key_down", "key_up", "type_text", "press_key", "hotkey", "scroll", "scroll_down", "scroll_up"),
    *("screenshot", "get_cursor_position", "get_screen_size", "copy_to_clipboard", "set_clipboard"),
)
"""The names of all commands that the server has, each of which can be removed."""
