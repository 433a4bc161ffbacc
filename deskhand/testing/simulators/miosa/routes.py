"""The table of routes."""

from __future__ import annotations

from deskhand.testing.simulators.routing import Route, with_queries

__all__ = ["MIOSA_ROUTES", "MODEL_ROUTES", "TABLE"]

_API = "/api/v1"
_ONE = f"{_API}/computers/{{id}}"
_DESKTOP = f"{_ONE}/desktop"
_FILES = f"{_ONE}/files"
_SNAPSHOT = f"{_ONE}/snapshots/{{snapshot}}"
_SESSION = f"{_ONE}/control/sessions/{{session}}"
_SANDBOX = f"{_API}/sandboxes/{{id}}"

_ROUTES: tuple[Route, ...] = (
    Route("create", "POST", (f"{_API}/computers",)),
    Route("list", "GET", (f"{_API}/computers",)),
    Route("get", "GET", (_ONE,)),
    Route("update", "PATCH", (_ONE,)),
    Route("delete", "DELETE", (_ONE,)),
    Route("start", "POST", (f"{_ONE}/start",)),
    Route("stop", "POST", (f"{_ONE}/stop",)),
    Route("restart", "POST", (f"{_ONE}/restart",)),
    Route("clone", "POST", (f"{_ONE}/clone",)),
    Route("get_auto_stop", "GET", (f"{_ONE}/auto-stop",)),
    Route("set_auto_stop", "PATCH", (f"{_ONE}/auto-stop",)),
    Route("take_snapshot", "POST", (f"{_ONE}/snapshots",)),
    Route("list_snapshots", "GET", (f"{_ONE}/snapshots",)),
    Route("get_snapshot", "GET", (_SNAPSHOT,)),
    Route("delete_snapshot", "DELETE", (_SNAPSHOT,)),
    Route("snapshot_events", "GET", (f"{_SNAPSHOT}/events",)),
    Route("restore", "POST", (f"{_ONE}/restore/{{snapshot}}",)),
    Route("exec", "POST", (f"{_ONE}/exec",)),
    Route("python", "POST", (f"{_ONE}/exec/python",)),
    Route("exec_stream", "WEBSOCKET", (f"{_ONE}/exec/stream",)),
    Route("screenshot", "GET", (f"{_DESKTOP}/screenshot",)),
    Route("screenshot_region", "POST", (f"{_DESKTOP}/screenshot/region",)),
    Route("click", "POST", (f"{_DESKTOP}/click",)),
    Route("double_click", "POST", (f"{_DESKTOP}/double-click",)),
    Route("move", "POST", (f"{_DESKTOP}/move",)),
    Route("mouse_down", "POST", (f"{_DESKTOP}/mouse-down",)),
    Route("mouse_up", "POST", (f"{_DESKTOP}/mouse-up",)),
    Route("drag", "POST", (f"{_DESKTOP}/drag",)),
    Route("scroll", "POST", (f"{_DESKTOP}/scroll",)),
    Route("type", "POST", (f"{_DESKTOP}/type",)),
    Route("key", "POST", (f"{_DESKTOP}/key",)),
    Route("hotkey", "POST", (f"{_DESKTOP}/hotkey",)),
    Route("key_down", "POST", (f"{_DESKTOP}/key-down",)),
    Route("key_up", "POST", (f"{_DESKTOP}/key-up",)),
    Route("wait", "POST", (f"{_DESKTOP}/wait",)),
    Route("cursor", "GET", (f"{_DESKTOP}/cursor",)),
    Route("screen_size", "GET", (f"{_DESKTOP}/screen-size",)),
    Route("write_file", "POST", (f"{_FILES}/write",)),
    Route("upload_file", "POST", (f"{_FILES}/upload",), takes="form"),
    Route("download_file", "GET", (f"{_FILES}/download",)),
    Route("list_files", "GET", (_FILES,)),
    Route("delete_file", "DELETE", (_FILES,)),
    Route("read_folder", "GET", (f"{_FILES}/readdir",)),
    Route("stat_file", "POST", (f"{_FILES}/stat",)),
    Route("make_folder", "POST", (f"{_FILES}/mkdir",)),
    Route("rename_file", "POST", (f"{_FILES}/rename",)),
    Route("expose_port", "POST", (f"{_ONE}/ports",)),
    Route("list_ports", "GET", (f"{_ONE}/ports",)),
    Route("hide_port", "DELETE", (f"{_ONE}/ports/{{port}}",)),
    Route("embed", "GET", (f"{_ONE}/embed",)),
    Route("start_session", "POST", (f"{_ONE}/control/sessions",)),
    Route("list_sessions", "GET", (f"{_ONE}/control/sessions",)),
    Route("get_session", "GET", (_SESSION,)),
    Route("cancel_session", "DELETE", (_SESSION,)),
    Route("balance", "GET", (f"{_API}/credits/balance",)),
    Route("usage", "GET", (f"{_API}/usage",)),
    Route("create_sandbox", "POST", (f"{_API}/sandboxes",)),
    Route("list_sandboxes", "GET", (f"{_API}/sandboxes",)),
    Route("get_sandbox_by_name", "GET", (f"{_API}/sandboxes/by-name/{{name}}",)),
    Route("get_sandbox", "GET", (_SANDBOX,)),
    Route("delete_sandbox", "DELETE", (_SANDBOX,)),
    Route("sandbox_readiness", "GET", (f"{_SANDBOX}/readiness",)),
    Route("sandbox_readiness_stream", "GET", (f"{_SANDBOX}/readiness/stream",)),
    Route("pause_sandbox", "POST", (f"{_SANDBOX}/pause",)),
    Route("stop_sandbox", "POST", (f"{_SANDBOX}/stop",)),
    Route("resume_sandbox", "POST", (f"{_SANDBOX}/resume",)),
    Route("extend_sandbox", "POST", (f"{_SANDBOX}/extend",)),
    Route("fork_sandbox", "POST", (f"{_SANDBOX}/fork",)),
    Route("save_sandbox", "POST", (f"{_SANDBOX}/snapshot",)),
    Route("take_sandbox_snapshot", "POST", (f"{_SANDBOX}/snapshots",)),
    Route("list_sandbox_snapshots", "GET", (f"{_SANDBOX}/snapshots",)),
    Route("delete_sandbox_snapshot", "DELETE", (f"{_SANDBOX}/snapshots/{{snapshot}}",)),
    Route("restore_sandbox", "POST", (f"{_SANDBOX}/restore/{{snapshot}}",)),
    Route("sandbox_exec", "POST", (f"{_SANDBOX}/exec",)),
    Route("sandbox_exec_stream", "POST", (f"{_SANDBOX}/exec/stream",)),
    Route("sandbox_terminal", "WEBSOCKET", (f"{_SANDBOX}/terminal/stream",)),
    Route("write_sandbox_file", "POST", (f"{_SANDBOX}/fs/write",)),
    Route("download_sandbox_file", "GET", (f"{_SANDBOX}/fs/download",)),
    Route("list_sandbox_files", "GET", (f"{_SANDBOX}/files",)),
    Route("stat_sandbox_file", "POST", (f"{_SANDBOX}/fs/stat",)),
    Route("expose_sandbox_port", "POST", (f"{_SANDBOX}/expose",)),
    Route("chat", "POST", (f"{_API}/intelligence/chat/completions",), takes="bytes"),
    Route("list_models", "GET", (f"{_API}/intelligence/models",)),
)

_PATH = ("path",)
TABLE = with_queries(
    _ROUTES,
    {
        "list": ("workspace_id",),
        "download_file": _PATH,
        "list_files": _PATH,
        "read_folder": _PATH,
        "embed": ("ttl", "mode", "view_only"),
        "usage": ("group_by", "period", "start", "end"),
        "create_sandbox": None,
        "list_sandboxes": None,
        "download_sandbox_file": _PATH,
        "list_sandbox_files": ("path", "depth"),
        "list_models": None,
    },
)

MODEL_ROUTES = frozenset({"chat", "list_models"})
"""The routes that an intelligence key opens, and no other."""


MIOSA_ROUTES: tuple[str, ...] = tuple(route.name for route in TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""
