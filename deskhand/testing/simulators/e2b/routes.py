"""The table of routes: the API that creates sandboxes, and the daemon inside of each."""

from __future__ import annotations

from deskhand.testing.simulators.routing import Route

__all__ = ["DAEMON", "E2B_ROUTES", "TABLE"]

_ONE = "/sandboxes/{id}"
_API: tuple[Route, ...] = (
    Route("create", "POST", ("/v2/sandboxes", "/sandboxes")),
    Route("list", "GET", ("/v2/sandboxes",)),
    Route("get", "GET", (_ONE,)),
    Route("delete", "DELETE", (_ONE,)),
    Route("set_timeout", "POST", (f"{_ONE}/timeout",)),
    Route("pause", "POST", (f"{_ONE}/pause",)),
    Route("connect", "POST", (f"/v2{_ONE}/connect", f"{_ONE}/connect", f"{_ONE}/resume")),
    Route("fork", "POST", (f"{_ONE}/fork",)),
    Route("snapshot", "POST", (f"{_ONE}/snapshots",)),
    Route("delete_template", "DELETE", ("/templates/{id*}",)),
)
_PROCESS, _FILES = "/process.Process", "/filesystem.Filesystem"
_DAEMON: tuple[Route, ...] = (
    Route("start", "POST", (f"{_PROCESS}/Start",), takes="envelope"),
    Route("attach", "POST", (f"{_PROCESS}/Connect",), takes="envelope"),
    Route("list_processes", "POST", (f"{_PROCESS}/List",)),
    Route("send_input", "POST", (f"{_PROCESS}/SendInput",)),
    Route("send_signal", "POST", (f"{_PROCESS}/SendSignal",)),
    Route("close_stdin", "POST", (f"{_PROCESS}/CloseStdin",)),
    Route("update", "POST", (f"{_PROCESS}/Update",)),
    Route("stat", "POST", (f"{_FILES}/Stat",)),
    Route("list_dir", "POST", (f"{_FILES}/ListDir",)),
    Route("make_dir", "POST", (f"{_FILES}/MakeDir",)),
    Route("move", "POST", (f"{_FILES}/Move",)),
    Route("remove", "POST", (f"{_FILES}/Remove",)),
    Route("read_file", "GET", ("/files",)),
    Route("write_file", "POST", ("/files",), takes="bytes"),
    Route("health", "GET", ("/health",)),
)
TABLE: tuple[Route, ...] = (*_API, *_DAEMON)

DAEMON: frozenset[str] = frozenset(route.name for route in _DAEMON)
"""The routes that the daemon inside of a sandbox answers."""

E2B_ROUTES: tuple[str, ...] = tuple(route.name for route in TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""
