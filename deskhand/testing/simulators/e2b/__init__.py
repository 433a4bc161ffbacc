"""The simulated vendor E2B."""

from __future__ import annotations

from .account import E2BPlan
from .routes import E2B_ROUTES
from .simulator import E2BSimulator

__all__ = ["E2B_ROUTES", "E2BPlan", "E2BSimulator"]
