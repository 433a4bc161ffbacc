"""The table of routes."""

from __future__ import annotations

from deskhand.testing.simulators.routing import Route, with_queries

__all__ = ["ORGO_ROUTES", "TABLE", "paths_of"]

_ACTION = "/api/computers/{id}"
_ROUTES: tuple[Route, ...] = (
    Route("list_workspaces", "GET", ("/api/workspaces", "/api/projects")),
    Route("create_workspace", "POST", ("/api/workspaces", "/api/projects")),
    Route("find_workspace", "GET", ("/api/workspaces/by-name/{name}", "/api/projects/by-name/{name}")),
    Route("get_workspace", "GET", ("/api/workspaces/{id}", "/api/projects/{id}")),
    Route("delete_workspace", "DELETE", ("/api/workspaces/{id}", "/api/projects/{id}")),
    Route("delete_workspace_by_post", "POST", ("/api/workspaces/{id}/delete", "/api/projects/{id}/delete")),
    Route("create", "POST", ("/api/computers",)),
    Route("get", "GET", (_ACTION,)),
    Route("delete", "DELETE", (_ACTION,)),
    Route("start", "POST", (f"{_ACTION}/start",)),
    Route("stop", "POST", (f"{_ACTION}/stop",)),
    Route("restart", "POST", (f"{_ACTION}/restart",)),
    Route("ensure_running", "POST", (f"{_ACTION}/ensure-running",)),
    Route("clone", "POST", (f"{_ACTION}/clone",)),
    Route("move_computer", "PATCH", (f"{_ACTION}/move",)),
    Route("resize", "PATCH", (f"{_ACTION}/resize",)),
    Route("get_auto_stop", "GET", (f"{_ACTION}/auto-stop",)),
    Route("set_auto_stop", "PATCH", (f"{_ACTION}/auto-stop",)),
    Route("vnc_password", "GET", (f"{_ACTION}/vnc-password",)),
    Route("health", "GET", ("/api/desktops/{instance}/proxy/health",)),
    Route("click", "POST", (f"{_ACTION}/click",)),
    Route("mouse_move", "POST", (f"{_ACTION}/move",)),
    Route("drag", "POST", (f"{_ACTION}/drag",)),
    Route("scroll", "POST", (f"{_ACTION}/scroll",)),
    Route("type", "POST", (f"{_ACTION}/type",)),
    Route("key", "POST", (f"{_ACTION}/key",)),
    Route("wait", "POST", (f"{_ACTION}/wait",)),
    Route("bash", "POST", (f"{_ACTION}/bash",)),
    Route("exec", "POST", (f"{_ACTION}/exec",)),
    Route("screenshot", "GET", (f"{_ACTION}/screenshot",)),
    Route("storage", "GET", ("/api/storage/{file}",)),
    Route("signed_storage", "GET", ("/signed/{signature}/{name}",)),
    Route("event_kinds", "GET", (f"{_ACTION}/events",)),
    Route("start_stream", "POST", (f"{_ACTION}/stream/start",)),
    Route("stop_stream", "POST", (f"{_ACTION}/stream/stop",)),
    Route("stream_status", "GET", (f"{_ACTION}/stream/status",)),
    Route("upload_file", "POST", ("/api/files/upload",), takes="form"),
    Route("list_files", "GET", ("/api/files",)),
    Route("export_file", "POST", ("/api/files/export",)),
    Route("download_file", "GET", ("/api/files/download",)),
    Route("delete_file", "DELETE", ("/api/files/delete",)),
    Route("chat", "POST", ("/api/v1/chat/completions",)),
    Route("terminal", "WEBSOCKET", ("/desktops/{instance}/ws/terminal",)),
    Route("events", "WEBSOCKET", ("/desktops/{instance}/ws/events",)),
)

TABLE = with_queries(
    _ROUTES,
    {
        "screenshot": ("response_format",),
        "list_files": ("projectId", "desktopId"),
        "download_file": ("id",),
        "delete_file": ("id",),
    },
)

ORGO_ROUTES: tuple[str, ...] = tuple(route.name for route in TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""


def paths_of(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns a route's method and paths."""
    return next((route.method, route.paths) for route in TABLE if route.name == name)
