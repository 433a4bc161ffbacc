"""The simulated vendor Daytona."""

from __future__ import annotations

from .dialect import DaytonaDialect, DaytonaPlan
from .routes import DAYTONA_ROUTES
from .simulator import DaytonaSimulator

__all__ = ["DAYTONA_ROUTES", "DaytonaDialect", "DaytonaPlan", "DaytonaSimulator"]
