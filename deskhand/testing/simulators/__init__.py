"""Simulators of the vendors' services: real servers on the loopback interface, with real computers behind them.

They refuse what the vendors refuse, and share no code with the adapters that talk to the vendors, so that both cannot
be wrong alike. They need ``pip install 'deskhand[simulate]'``.
"""

from __future__ import annotations

from .cua import CUA_COMMANDS, CUA_ROUTES, CuaSimulator
from .daytona import DAYTONA_ROUTES, DaytonaDialect, DaytonaPlan, DaytonaSimulator
from .e2b import E2B_ROUTES, E2BPlan, E2BSimulator
from .made_up import made_up_machine
from .miosa import MIOSA_ROUTES, MiosaDialect, MiosaPlan, MiosaSimulator
from .opencomputers import OPENCOMPUTERS_ROUTES, OpenComputersDialect, OpenComputersSimulator
from .orgo import ORGO_ROUTES, OrgoDialect, OrgoPlan, OrgoSimulator
from .recorded import RecordedRequest
from .simulator import Simulator

__all__ = [
    "CUA_COMMANDS",
    "CUA_ROUTES",
    "DAYTONA_ROUTES",
    "E2B_ROUTES",
    "MIOSA_ROUTES",
    "OPENCOMPUTERS_ROUTES",
    "ORGO_ROUTES",
    "CuaSimulator",
    "DaytonaDialect",
    "DaytonaPlan",
    "DaytonaSimulator",
    "E2BPlan",
    "E2BSimulator",
    "MiosaDialect",
    "MiosaPlan",
    "MiosaSimulator",
    "OpenComputersDialect",
    "OpenComputersSimulator",
    "OrgoDialect",
    "OrgoPlan",
    "OrgoSimulator",
    "RecordedRequest",
    "Simulator",
    "made_up_machine",
]
