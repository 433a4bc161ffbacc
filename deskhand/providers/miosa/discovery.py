"""What a computer can do: the routes that the vendor has, and what the desktop itself offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from deskhand.providers.contract import Capability, ComputerInfo
from deskhand.providers.miosa.agent import SESSIONS
from deskhand.providers.miosa.api import OPERATIONS, MiosaApi
from deskhand.providers.miosa.sockets import ROUTE, is_socket_there, socket_uri

__all__ = ["IDLE_TIME", "Facts", "Needs", "capabilities_of", "capabilities_over", "survey", "survey_routes"]

IDLE_TIME: Final = "auto-stop"

Needs: TypeAlias = Mapping[Capability, tuple[str, ...]]
"""The routes without which a capability is not there; of routes with a ``|`` between them one is enough."""

_MOUSE: Final = ("desktop/click", "desktop/double-click", "desktop/move", "desktop/mouse-down", "desktop/mouse-up")
_KEYS: Final = ("desktop/type", "desktop/key")
_NEEDS: Final[Needs] = {
    Capability.EXEC: ("exec",),
    Capability.FILES: ("exec",),
    Capability.EXEC_STREAM: ("exec", ROUTE),
    Capability.TERMINAL: (ROUTE,),
    Capability.PORTS: ("ports",),
    Capability.EXTEND: (IDLE_TIME,),
    Capability.PAUSE: ("stop", "start"),
    Capability.SNAPSHOT: ("snapshots", "restore"),
    Capability.CLONE: ("clone",),
    Capability.PROMPT: (SESSIONS,),
}
_OF_DESKTOP: Final[Needs] = {
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
    return capabilities_over(api, {**_NEEDS, **(_OF_DESKTOP if facts.has_desktop else {})})


def capabilities_over(api: MiosaApi, needs: Needs) -> frozenset[Capability]:
    """Return the capabilities whose routes are there."""

    def is_there(need: str) -> bool:
        return not api.missing.issuperset(need.split("|"))

    return frozenset(one for one, routes in needs.items() if all(map(is_there, routes)))


async def survey(api: MiosaApi, info: ComputerInfo) -> None:
    """Find out which routes of computers are missing, the first time that a provider has one to ask about."""
    await survey_routes(api, info.id, (_NEEDS, _OF_DESKTOP), _OPTIONAL, socket=ROUTE)


async def survey_routes(
    api: MiosaApi, computer_id: str, needs: Iterable[Needs], optional: Iterable[str], *, socket: str
) -> None:
    """Find out which routes are missing, all at once, the first time that a provider has a computer to ask about.

    Args:
        api: The API.
        computer_id: The computer to ask about.
        needs: What capabilities need.
        optional: Routes for which there is another way.
        socket: The route that is a WebSocket.
    """

    async def is_there(route: str) -> bool:
        path = api.path(computer_id, _TEMPLATE.get(route, route))
        status, _ = await api.http.probe(OPERATIONS["tell whether a route is there"], path)
        return status != 404

    async def knock() -> None:
        if not await is_socket_there(socket_uri(api, computer_id, socket)):
            api.missing.add(socket)

    routes = {route for each in needs for some in each.values() for need in some for route in need.split("|")}
    await api.survey(is_there, (*sorted(routes - {socket}), *optional), knock)
