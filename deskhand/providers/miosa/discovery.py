"""What a computer can do: the routes that the vendor has, and what the desktop itself offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import anyio

from deskhand.errors import DeskhandError
from deskhand.providers.contract import Capability, ComputerInfo
from deskhand.providers.miosa.agent import SESSIONS
from deskhand.providers.miosa.api import OPERATIONS, MiosaApi
from deskhand.providers.miosa.sockets import ROUTE, is_socket_there, socket_uri
from deskhand.providers.shell_commands import ShellCommands

__all__ = ["Facts", "capabilities_of", "find_display", "survey"]

_LONGEST: Final = 10.0
"""Seconds for all questions together; what is not answered by then counts as there."""
_QUESTION: Final = r"""exec 2>/dev/null </dev/null
if command -v xdotool >/dev/null; then
  for d in "$DISPLAY" :0 :1 :99; do
    [ -n "$d" ] && DISPLAY=$d timeout 2 xdotool getmouselocation >/dev/null && { printf 'xdotool=%s\n' "$d"; break; }
  done
fi
echo ready"""

_MOUSE: Final = ("desktop/click", "desktop/double-click", "desktop/move", "desktop/mouse-down", "desktop/mouse-up")
_KEYS: Final = ("desktop/type", "desktop/key")
_NEEDS: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.EXEC: ("exec",),
    Capability.FILES: ("exec",),
    Capability.EXEC_STREAM: ("exec", ROUTE),
    Capability.TERMINAL: (ROUTE,),
    Capability.PORTS: ("ports",),
    Capability.PAUSE: ("stop", "start"),
    Capability.SNAPSHOT: ("snapshots", "restore"),
    Capability.CLONE: ("clone",),
    Capability.PROMPT: (SESSIONS,),
}
"""The routes without which a capability is not there."""
_OF_DESKTOP: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.SCREENSHOT: ("desktop/screenshot",),
    Capability.REGION: ("desktop/screenshot",),
    Capability.POINTER: ("desktop/click", "desktop/double-click"),
    Capability.MOVE: ("desktop/move",),
    Capability.DRAG: ("desktop/drag",),
    Capability.SCROLL: ("desktop/scroll",),
    Capability.KEYBOARD: _KEYS,
    Capability.CURSOR: ("desktop/cursor",),
    Capability.FULL_INPUT: (
        *_MOUSE,
        *_KEYS,
        "desktop/drag",
        "desktop/scroll",
        "desktop/key-down",
        "desktop/key-up",
        "desktop/cursor",
    ),
    Capability.LIVE_VIEW: ("embed",),
}
"""The same, of computers that have a desktop."""
_TEMPLATE: Final = {"restore": "restore/none"}
"""Where a route's path goes on."""
_OPTIONAL: Final = ("exec/python", "files/download", "files/upload", "desktop/screenshot/region")
"""Routes for which there is another way."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about one computer.

    Attributes:
        has_desktop: Whether it has a screen.
    """

    has_desktop: bool = True


def capabilities_of(api: MiosaApi, facts: Facts) -> frozenset[Capability]:
    """Return what a computer can do."""
    needs = {**_NEEDS, **(_OF_DESKTOP if facts.has_desktop else {})}
    return frozenset(one for one, routes in needs.items() if not api.missing.intersection(routes))


async def survey(api: MiosaApi, info: ComputerInfo) -> None:
    """Find out which routes are missing, all at once, the first time that a provider has a computer to ask about."""
    async with api.surveying:
        if not api.is_surveyed:
            await _survey(api, info)


async def _survey(api: MiosaApi, info: ComputerInfo) -> None:
    missing: set[str] = set()
    seen: list[str] = []

    async def ask(route: str) -> None:
        path = api.path(info.id, _TEMPLATE.get(route, route))
        try:
            status, _ = await api.http.probe(OPERATIONS["tell whether a route is there"], path)
        except DeskhandError:
            return  # nobody knows: its first use will tell
        seen.append(route)
        if status == 404:
            missing.add(route)

    async def knock() -> None:
        if not await is_socket_there(socket_uri(api, info.id)):
            api.missing.add(ROUTE)

    routes = {route for needs in (_NEEDS, _OF_DESKTOP) for some in needs.values() for route in some}
    with anyio.move_on_after(_LONGEST):
        async with anyio.create_task_group() as tasks:
            for route in ("", *sorted(routes - {ROUTE}), *_OPTIONAL):
                tasks.start_soon(ask, route)
            tasks.start_soon(knock)
    if "" not in missing:  # the computer's own path is there for certain: whoever denies it knows no OPTIONS
        api.missing |= missing
    api.is_surveyed = bool(seen)


async def find_display(commands: ShellCommands) -> str | None:
    """Return the X display that xdotool can use; ``None`` where it cannot. It fails where commands cannot be run yet.

    Raises:
        ConflictError: If the computer is not up.
        UnsupportedError: If commands cannot be run at all.
    """
    output, _ = await commands.plain("look around", _QUESTION)
    found = [line.removeprefix("xdotool=") for line in output.splitlines() if line.startswith("xdotool=")]
    return found[0] if found else None
