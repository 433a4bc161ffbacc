"""The simulator of MIOSA's OpenComputers: machines of other people behind the API by which a tenant uses them."""

from __future__ import annotations

from .dialect import OpenComputersDialect
from .routes import OPENCOMPUTERS_ROUTES
from .simulator import OpenComputersSimulator

__all__ = ["OPENCOMPUTERS_ROUTES", "OpenComputersDialect", "OpenComputersSimulator"]
