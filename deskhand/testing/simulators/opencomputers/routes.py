"""The table of routes."""

from __future__ import annotations

from deskhand.testing.simulators.routing import Route, with_queries

__all__ = ["OPENCOMPUTERS_ROUTES", "TABLE"]

_HOSTS = "/api/v1/opencomputers/hosts"
_HOST = f"{_HOSTS}/{{id}}"
_JOB = f"{_HOST}/exec/{{job}}"
_TUNNEL = f"{_HOST}/tunnels/{{tunnel}}"
_SESSION = f"{_HOST}/agent/sessions/{{session}}"

_ROUTES: tuple[Route, ...] = (
    Route("list_hosts", "GET", (_HOSTS,)),
    Route("register", "POST", (_HOSTS,)),
    Route("get", "GET", (_HOST,)),
    Route("revoke", "DELETE", (_HOST,)),
    Route("exec", "POST", (f"{_HOST}/exec",)),
    Route("start_job", "POST", (f"{_HOST}/jobs",)),
    Route("list_jobs", "GET", (f"{_HOST}/jobs",)),
    Route("get_job", "GET", (_JOB,)),
    Route("cancel_job", "DELETE", (_JOB,)),
    Route("follow_job", "GET", (f"{_JOB}/stream",)),
    Route("list_files", "GET", (f"{_HOST}/fs",)),
    Route("delete_file", "DELETE", (f"{_HOST}/fs",)),
    Route("stat_file", "GET", (f"{_HOST}/fs/stat",)),
    Route("download", "GET", (f"{_HOST}/fs/download",)),
    Route("upload", "POST", (f"{_HOST}/fs/upload",), takes="form"),
    Route("make_folder", "POST", (f"{_HOST}/fs/mkdir",)),
    Route("terminal_ticket", "POST", (f"{_HOST}/terminal/ticket",)),
    Route("desktop_ticket", "POST", (f"{_HOST}/desktop/ticket",)),
    Route("list_tunnels", "GET", (f"{_HOST}/tunnels",)),
    Route("create_tunnel", "POST", (f"{_HOST}/tunnels",)),
    Route("get_tunnel", "GET", (_TUNNEL,)),
    Route("change_tunnel", "PATCH", (_TUNNEL,)),
    Route("delete_tunnel", "DELETE", (_TUNNEL,)),
    Route("dispatch", "POST", (f"{_HOST}/agent/dispatch",)),
    Route("list_sessions", "GET", (f"{_HOST}/agent/sessions",)),
    Route("get_session", "GET", (_SESSION,)),
    Route("follow_session", "GET", (f"{_SESSION}/events",)),
    Route("cancel_session", "DELETE", (_SESSION,)),
)

_PATH = ("path",)
TABLE = with_queries(
    _ROUTES,
    {
        "list_hosts": ("page", "per_page", "tag"),
        "list_jobs": ("limit",),
        "list_files": _PATH,
        "delete_file": ("path", "recursive"),
        "stat_file": _PATH,
        "download": _PATH,
    },
)

OPENCOMPUTERS_ROUTES: tuple[str, ...] = tuple(route.name for route in TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""
