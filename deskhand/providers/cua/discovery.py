"""What one computer can do, found out once: the commands that its server knows, and what is installed beside it.

Commands are asked for by giving them without what they need, which is refused before anything is done. Those that need
nothing (clicks, buttons) are not tried: they count as there until the server says that it does not know them.
"""

from __future__ import annotations

from typing import Final

import anyio

from deskhand.errors import DeskhandError, ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import Capability, Screen
from deskhand.providers.cua.api import NAME
from deskhand.providers.cua.server import MOST_IDLE, CuaServer

__all__ = ["capabilities_of", "has_xdotool", "screen_of", "survey"]

_ASKED: Final = (
    *("move the pointer", "drag", "scroll", "type", "strike a key", "strike a chord", "press a key", "release a key"),
    *("run a command", "fetch a part of a file", "append to a file"),
)
_LOOK: Final = "command -v xdotool >/dev/null && timeout 5 xdotool getmouselocation >/dev/null 2>&1 && echo xdotool"

_NEEDS: Final[dict[Capability, tuple[str, ...]]] = {
    Capability.EXEC: ("run_command",),
    Capability.FILES: ("run_command", "read_bytes", "write_bytes"),
    Capability.SCREENSHOT: ("screenshot",),
    Capability.REGION: ("screenshot",),
    Capability.CURSOR: ("get_cursor_position",),
    Capability.POINTER: ("left_click", "right_click", "double_click"),
    Capability.MOVE: ("move_cursor",),
    Capability.DRAG: ("drag",),
    Capability.SCROLL: ("scroll", "move_cursor"),
    Capability.KEYBOARD: ("type_text", "press_key", "hotkey"),
}
"""The commands without which a capability is not there."""

_FULL: Final = (
    *("left_click", "right_click", "double_click", "move_cursor", "drag", "scroll", "type_text", "press_key", "hotkey"),
    *("mouse_down", "mouse_up", "key_down", "key_up"),
)


def capabilities_of(server: CuaServer) -> set[Capability]:
    """Return what a computer can do whose server knows all commands but those that are missing."""
    needs = _NEEDS | {Capability.FULL_INPUT: _FULL}
    return {capability for capability, commands in needs.items() if not server.missing.intersection(commands)}


async def survey(server: CuaServer) -> None:
    """Find out which commands are missing."""
    failed: list[DeskhandError] = []
    few = anyio.CapacityLimiter(MOST_IDLE)  # what is opened beyond those is closed at once

    async def ask(name: str) -> None:
        try:
            async with few:
                await server.knows(name)
        except DeskhandError as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        for name in _ASKED:
            tasks.start_soon(ask, name)
    if failed:
        raise failed[0]


async def has_xdotool(server: CuaServer) -> bool:
    """Find out whether xdotool works on the server's display."""
    if "run_command" in server.missing:
        return False
    answer = await server.ask("look around", {"command": _LOOK})
    return answer.get("stdout") == "xdotool\n"


def screen_of(answer: JsonObject) -> Screen:
    """Read the screen's size.

    Raises:
        ProtocolError: If it is none.
    """
    size = answer.get("size")
    sides = [size.get(side) for side in ("width", "height")] if isinstance(size, dict) else []
    numbers = [side for side in sides if isinstance(side, int) and not isinstance(side, bool) and 0 < side < 1 << 15]
    if len(numbers) != 2:
        raise ProtocolError("cua tells no size of the screen", provider=NAME, effect="no")
    return Screen(*numbers)
