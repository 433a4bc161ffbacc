"""The table of routes."""

from __future__ import annotations

from deskhand.testing.simulators.routing import Route

__all__ = ["CUA_ROUTES", "TABLE"]

_SERVER = "/machines/{name}"
_MACHINE = "/v1/vms/{name}"
TABLE: tuple[Route, ...] = (
    Route("status", "GET", (f"{_SERVER}/status",)),
    Route("cmd", "POST", (f"{_SERVER}/cmd",), takes="bytes"),
    Route("responses", "POST", (f"{_SERVER}/responses",), takes="bytes"),
    Route("ws", "WEBSOCKET", (f"{_SERVER}/ws",)),
    Route("list_vms", "GET", ("/v1/vms",)),
    Route("start", "POST", (f"{_MACHINE}/start",)),
    Route("stop", "POST", (f"{_MACHINE}/stop",)),
    Route("restart", "POST", (f"{_MACHINE}/restart",)),
)

CUA_ROUTES: tuple[str, ...] = tuple(route.name for route in TABLE)
"""The names of all routes that the simulator has, each of which can be removed."""
