"""The simulated vendor MIOSA."""

from __future__ import annotations

from .dialect import MiosaDialect, MiosaPlan
from .routes import MIOSA_ROUTES
from .simulator import MiosaSimulator

__all__ = ["MIOSA_ROUTES", "MiosaDialect", "MiosaPlan", "MiosaSimulator"]
