"""The table of routes, and how a request finds its own."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from .wire import Answer, Call

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["ORGO_ROUTES", "Found", "Handler", "Route", "Router", "SocketHandler", "paths_of"]

Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
SocketHandler: TypeAlias = Callable[["WebSocket", str], Awaitable[None]]

_ACTION = "/api/computers/{id}"
_TABLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("list_workspaces", "GET", ("/api/workspaces", "/api/projects")),
    ("create_workspace", "POST", ("/api/workspaces", "/api/projects")),
    ("find_workspace", "GET", ("/api/workspaces/by-name/{name}", "/api/projects/by-name/{name}")),
    ("get_workspace", "GET", ("/api/workspaces/{id}", "/api/projects/{id}")),
    ("delete_workspace", "DELETE", ("/api/workspaces/{id}", "/api/projects/{id}")),
    ("delete_workspace_by_post", "POST", ("/api/workspaces/{id}/delete", "/api/projects/{id}/delete")),
    ("create", "POST", ("/api/computers",)),
    ("get", "GET", (_ACTION,)),
    ("delete", "DELETE", (_ACTION,)),
    ("start", "POST", (f"{_ACTION}/start",)),
    ("stop", "POST", (f"{_ACTION}/stop",)),
    ("restart", "POST", (f"{_ACTION}/restart",)),
    ("ensure_running", "POST", (f"{_ACTION}/ensure-running",)),
    ("clone", "POST", (f"{_ACTION}/clone",)),
    ("move_computer", "PATCH", (f"{_ACTION}/move",)),
    ("resize", "PATCH", (f"{_ACTION}/resize",)),
    ("get_auto_stop", "GET", (f"{_ACTION}/auto-stop",)),
    ("set_auto_stop", "PATCH", (f"{_ACTION}/auto-stop",)),
    ("vnc_password", "GET", (f"{_ACTION}/vnc-password",)),
    ("health", "GET", ("/api/desktops/{instance}/proxy/health",)),
    ("click", "POST", (f"{_ACTION}/click",)),
    ("mouse_move", "POST", (f"{_ACTION}/move",)),
    ("drag", "POST", (f"{_ACTION}/drag",)),
    ("scroll", "POST", (f"{_ACTION}/scroll",)),
    ("type", "POST", (f"{_ACTION}/type",)),
    ("key", "POST", (f"{_ACTION}/key",)),
    ("wait", "POST", (f"{_ACTION}/wait",)),
    ("bash", "POST", (f"{_ACTION}/bash",)),
    ("exec", "POST", (f"{_ACTION}/exec",)),
    ("screenshot", "GET", (f"{_ACTION}/screenshot",)),
    ("storage", "GET", ("/api/storage/{file}",)),
    ("signed_storage", "GET", ("/signed/{signature}/{name}",)),
    ("event_kinds", "GET", (f"{_ACTION}/events",)),
    ("start_stream", "POST", (f"{_ACTION}/stream/start",)),
    ("stop_stream", "POST", (f"{_ACTION}/stream/stop",)),
    ("stream_status", "GET", (f"{_ACTION}/stream/status",)),
    ("upload_file", "POST", ("/api/files/upload",)),
    ("list_files", "GET", ("/api/files",)),
    ("export_file", "POST", ("/api/files/export",)),
    ("download_file", "GET", ("/api/files/download",)),
    ("delete_file", "DELETE", ("/api/files/delete",)),
    ("chat", "POST", ("/api/v1/chat/completions",)),
    ("terminal", "WEBSOCKET", ("/desktops/{instance}/ws/terminal",)),
    ("events", "WEBSOCKET", ("/desktops/{instance}/ws/events",)),
)

ORGO_ROUTES: tuple[str, ...] = tuple(name for name, *_ in _TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""


def paths_of(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns a route's method and paths."""
    return next((method, paths) for known, method, paths in _TABLE if known == name)


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path."""

    name: str
    method: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a request met.

    Attributes:
        name: The route's name; None where there is none.
        path: The variable parts of the path.
        allowed: The methods that the path has, where it has not the request's.
    """

    name: str | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    allowed: Sequence[str] = ()


class Router:
    """The routes that are there."""

    def __init__(self) -> None:
        self._routes = [Route(name, method, _pattern(path)) for name, method, paths in _TABLE for path in paths]
        self._removed: set[str] = set()

    @property
    def removed(self) -> frozenset[str]:
        """The names of the routes that were removed."""
        return frozenset(self._removed)

    def remove(self, name: str) -> None:
        """Takes a route away."""
        self._removed.add(name)

    def restore(self, name: str) -> None:
        """Puts a removed route back."""
        self._removed.discard(name)

    def find(self, method: str, path: str) -> Found:
        """Returns the route of a request. A path that has lost its last method is not there at all."""
        allowed: list[str] = []
        gone = False
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is None or (route.method == "WEBSOCKET") != (method == "WEBSOCKET"):
                continue
            if route.name in self._removed:
                gone = gone or route.method == method
            elif route.method == method:
                return Found(route.name, match.groupdict())
            else:
                allowed.append(route.method)
        return Found(allowed=() if gone else allowed)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(re.escape(part) if index % 2 == 0 else f"(?P<{part}>[^/]+)" for index, part in enumerate(parts))
    )
