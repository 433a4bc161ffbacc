"""The table of routes: the control plane, and behind ``/toolbox`` the daemon of each sandbox."""

from __future__ import annotations

from deskhand.testing.simulators.routing import Route

__all__ = ["DAYTONA_ROUTES", "TABLE"]

_BOX = "/api/sandbox/{id}"
_TOOLS = "/toolbox/{id}"
_DESK = f"{_TOOLS}/computeruse"
_SESSION = f"{_TOOLS}/process/session"

TABLE: tuple[Route, ...] = (
    Route("create", "POST", ("/api/sandbox",)),
    Route("list", "GET", ("/api/sandbox",)),
    Route("get", "GET", (_BOX,)),
    Route("delete", "DELETE", (_BOX,)),
    Route("start", "POST", (f"{_BOX}/start",)),
    Route("stop", "POST", (f"{_BOX}/stop",)),
    Route("pause", "POST", (f"{_BOX}/pause",)),
    Route("archive", "POST", (f"{_BOX}/archive",)),
    Route("fork", "POST", (f"{_BOX}/fork",)),
    Route("snapshot", "POST", (f"{_BOX}/snapshot",)),
    Route("labels", "PUT", (f"{_BOX}/labels",)),
    Route("auto_stop", "POST", (f"{_BOX}/autostop/{{minutes}}",)),
    Route("auto_delete", "POST", (f"{_BOX}/autodelete/{{minutes}}",)),
    Route("ttl", "POST", (f"{_BOX}/ttl/{{minutes}}",)),
    Route("toolbox_url", "GET", (f"{_BOX}/toolbox-proxy-url",)),
    Route("preview", "GET", (f"{_BOX}/ports/{{port}}/preview-url",)),
    Route("signed_preview", "GET", (f"{_BOX}/ports/{{port}}/signed-preview-url",)),
    Route("ssh_access", "POST", (f"{_BOX}/ssh-access",)),
    Route("execute", "POST", (f"{_TOOLS}/process/execute",)),
    Route("create_session", "POST", (_SESSION,)),
    Route("list_sessions", "GET", (_SESSION,)),
    Route("get_session", "GET", (f"{_SESSION}/{{session}}",)),
    Route("delete_session", "DELETE", (f"{_SESSION}/{{session}}",)),
    Route("session_exec", "POST", (f"{_SESSION}/{{session}}/exec",)),
    Route("session_command", "GET", (f"{_SESSION}/{{session}}/command/{{command}}",)),
    Route("session_logs", "GET", (f"{_SESSION}/{{session}}/command/{{command}}/logs",)),
    Route("follow_logs", "WEBSOCKET", (f"{_SESSION}/{{session}}/command/{{command}}/logs",)),
    Route("list_ptys", "GET", (f"{_TOOLS}/process/pty",)),
    Route("resize_pty", "POST", (f"{_TOOLS}/process/pty/{{pty}}/resize",)),
    Route("delete_pty", "DELETE", (f"{_TOOLS}/process/pty/{{pty}}",)),
    Route("create_pty", "WEBSOCKET", (f"{_TOOLS}/process/pty/create-connect",)),
    Route("connect_pty", "WEBSOCKET", (f"{_TOOLS}/process/pty/{{pty}}/connect",)),
    Route("upload", "POST", (f"{_TOOLS}/files/bulk-upload",), takes="form"),
    Route("download", "POST", (f"{_TOOLS}/files/bulk-download",)),
    Route("list_files", "GET", (f"{_TOOLS}/files",)),
    Route("file_info", "GET", (f"{_TOOLS}/files/info",)),
    Route("delete_file", "DELETE", (f"{_TOOLS}/files",)),
    Route("create_folder", "POST", (f"{_TOOLS}/files/folder",)),
    Route("home", "GET", (f"{_TOOLS}/user-home-dir",)),
    Route("work_dir", "GET", (f"{_TOOLS}/work-dir",)),
    Route("start_desktop", "POST", (f"{_DESK}/start",)),
    Route("stop_desktop", "POST", (f"{_DESK}/stop",)),
    Route("desktop_status", "GET", (f"{_DESK}/process-status", f"{_DESK}/status")),
    Route("display", "GET", (f"{_DESK}/display/info",)),
    Route("screenshot", "GET", (f"{_DESK}/screenshot",)),
    Route("region", "GET", (f"{_DESK}/screenshot/region",)),
    Route("position", "GET", (f"{_DESK}/mouse/position",)),
    Route("move", "POST", (f"{_DESK}/mouse/move",)),
    Route("click", "POST", (f"{_DESK}/mouse/click",)),
    Route("mouse_down", "POST", (f"{_DESK}/mouse/down",)),
    Route("mouse_up", "POST", (f"{_DESK}/mouse/up",)),
    Route("drag", "POST", (f"{_DESK}/mouse/drag",)),
    Route("scroll", "POST", (f"{_DESK}/mouse/scroll",)),
    Route("type", "POST", (f"{_DESK}/keyboard/type",)),
    Route("key", "POST", (f"{_DESK}/keyboard/key",)),
    Route("hotkey", "POST", (f"{_DESK}/keyboard/hotkey",)),
    Route("key_down", "POST", (f"{_DESK}/keyboard/down",)),
    Route("key_up", "POST", (f"{_DESK}/keyboard/up",)),
)

DAYTONA_ROUTES: tuple[str, ...] = tuple(route.name for route in TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""
