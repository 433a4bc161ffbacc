"""What one Orgo computer can do, found out once: which routes are there, and whether xdotool works on it.

Routes are asked for with ``OPTIONS``, which HTTP defines to change nothing; only a plain "not found", or a list of
methods without ours, is taken for a no. A server that says "not found" to ``OPTIONS`` on everything tells nothing: then
all routes count as there until one is used. The answers hold for all computers of a provider; xdotool is asked for on
each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deskhand.errors import NotFoundError, UnsupportedError
from deskhand.providers.composition import display_of
from deskhand.providers.contract import Capability, ComputerInfo
from deskhand.providers.orgo.agent import CHAT
from deskhand.providers.orgo.api import OPERATIONS, OrgoApi, instance_of
from deskhand.providers.shell_commands import ShellCommands

__all__ = ["IDLE_TIME", "TERMINAL", "Facts", "capabilities_of", "learn_desktop", "survey"]

TERMINAL: Final = "ws/terminal"
IDLE_TIME: Final = "auto-stop"
_SHARED: Final = "move"
"""A path at which another method does something else, so that its being there tells nothing. It is asked itself, to
move to nowhere: the answer is an error where the route is there, and were it none, nothing would have been pressed."""

_METHODS: Final = {
    **dict.fromkeys(("bash", "exec", "click", "move", "drag", "scroll", "type", "key"), "POST"),
    **dict.fromkeys(("start", "stop", "clone"), "POST"),
    **dict.fromkeys(("screenshot", "vnc-password", IDLE_TIME), "GET"),
    CHAT: "POST",
}
_NEEDS: Final[dict[Capability, tuple[str, ...]]] = {
    Capability.EXEC: ("bash",),
    Capability.FILES: ("bash",),
    Capability.TERMINAL: (TERMINAL, "vnc-password"),
    Capability.SCREENSHOT: ("screenshot",),
    Capability.REGION: ("screenshot",),
    Capability.POINTER: ("click",),
    Capability.MOVE: ("move",),
    Capability.DRAG: ("drag",),
    Capability.SCROLL: ("scroll",),
    Capability.KEYBOARD: ("type", "key"),
    Capability.EXTEND: (IDLE_TIME,),
    Capability.PAUSE: ("stop", "start"),
    Capability.CLONE: ("clone",),
    Capability.PROMPT: (CHAT,),
}
"""The routes without which a capability is not there."""

_BY_XDOTOOL: Final[dict[Capability, tuple[str, ...]]] = {
    Capability.FULL_INPUT: ("bash", "click", "move", "drag", "scroll", "type", "key"),
    Capability.CURSOR: ("bash",),
}
"""What xdotool adds, and the routes without which that is not whole."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about one desktop.

    Attributes:
        display: The X display that xdotool can use; ``None`` where it cannot.
    """

    display: str | None = None


def capabilities_of(api: OrgoApi, info: ComputerInfo, facts: Facts) -> frozenset[Capability]:
    """Return what a computer can do."""
    needs = _NEEDS | (_BY_XDOTOOL if facts.display is not None else {})
    found = {capability for capability, routes in needs.items() if not api.missing.intersection(routes)}
    if instance_of(info) is None:
        found.discard(Capability.TERMINAL)
    if info.raw.get("connection_url"):
        found.add(Capability.LIVE_VIEW)
    return frozenset(found)


async def survey(api: OrgoApi, info: ComputerInfo) -> None:
    """Find out which routes are missing, all at once, the first time that a provider has a computer to ask about."""

    async def is_there(route: str) -> bool:
        if route == IDLE_TIME:
            return await _is_idle_time_ours(api, info.id)
        path = route if route == CHAT else api.path(info.id, route)
        return await _is_there(api, path, _METHODS.get(route, "GET"))

    async def knock() -> None:
        instance = instance_of(info)
        if instance is not None:
            from deskhand.providers.orgo.terminal import is_terminal_there, terminal_uri

            if not await is_terminal_there(terminal_uri(api.http.origin, instance)):
                api.missing.add(TERMINAL)

    await api.survey(is_there, _METHODS, knock)


async def _is_idle_time_ours(api: OrgoApi, computer_id: str) -> bool:
    """Ask for the idle time: the answer tells whether the plan lets one set it."""
    try:
        told = await api.http.call(OPERATIONS["tell the idle time"], api.path(computer_id, IDLE_TIME))
    except (NotFoundError, UnsupportedError):
        return False
    return told.get("configurable") is not False


async def _is_there(api: OrgoApi, path: str, method: str) -> bool:
    status, headers = await api.http.probe(OPERATIONS["tell whether a route is there"], path)
    if status == 404:
        return False
    allowed = headers.get("allow")
    if allowed is not None:
        return method in {name.strip().upper() for name in allowed.split(",")}
    if path.endswith(f"/{_SHARED}"):
        status, _ = await api.http.probe(OPERATIONS["ask for no move"], path, {})
        return status not in {404, 405}
    return True


async def learn_desktop(commands: ShellCommands) -> Facts:
    """Find out what the desktop itself offers; fails where it is not up yet.

    Raises:
        ConflictError: If it is not up.
        UnsupportedError: If commands cannot be run at all.
    """
    return Facts(display=await display_of(commands))
