"""The simulated computer servers, and the simulated cloud, of Cua."""

from __future__ import annotations

from .commands import CUA_COMMANDS
from .routes import CUA_ROUTES
from .simulator import CuaSimulator

__all__ = ["CUA_COMMANDS", "CUA_ROUTES", "CuaSimulator"]
