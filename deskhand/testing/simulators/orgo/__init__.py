"""The simulated vendor Orgo."""

from __future__ import annotations

from .dialect import OrgoDialect, OrgoPlan
from .routes import ORGO_ROUTES
from .simulator import OrgoSimulator

__all__ = ["ORGO_ROUTES", "OrgoDialect", "OrgoPlan", "OrgoSimulator"]
