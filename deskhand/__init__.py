"""Give any agent loop hands on any computer.

Every public name is imported from where it lives on first use, so that ``import deskhand`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.errors import (
        BudgetExceededError,
        ConfigError,
        DeskhandError,
        OutcomeUnknownError,
        ToolError,
        UnsupportedError,
    )
    from deskhand.harness.base import Harness
    from deskhand.harness.blobs import DirectoryBlobs, MemoryBlobs
    from deskhand.harness.budget import Allowance, Budget
    from deskhand.harness.context import RunContext
    from deskhand.harness.engine import Engine, open_run
    from deskhand.harness.events import Event, parse_event
    from deskhand.harness.log import EventLog, MemoryLog
    from deskhand.harness.loops.claude import ClaudeComputerUseHarness
    from deskhand.harness.loops.fleet import FleetError, FleetHarness
    from deskhand.harness.loops.miosa import MiosaModelHarness
    from deskhand.harness.loops.openai import OpenAIComputerUseHarness, OpenAIFunctionHarness
    from deskhand.harness.loops.probe import ProbeHarness
    from deskhand.harness.policy import Policy, Rule
    from deskhand.harness.prices import Price
    from deskhand.harness.run import OpenRun, Run, RunError, RunResult
    from deskhand.harness.secrets import Secret, Secrets
    from deskhand.harness.sqlite_log import SqliteLog
    from deskhand.providers.contract import (
        Capability,
        ComputeProvider,
        ComputerInfo,
        ComputerSpec,
        ExecResult,
        ExternalComputer,
    )
    from deskhand.providers.cua.provider import CuaProvider
    from deskhand.providers.daytona.provider import DaytonaProvider
    from deskhand.providers.e2b.provider import E2BProvider
    from deskhand.providers.lookup import attach, open_computer, provider
    from deskhand.providers.miosa.provider import MiosaProvider
    from deskhand.providers.opencomputers.provider import OpenComputersProvider
    from deskhand.providers.orgo.provider import OrgoProvider
    from deskhand.tools.calls import Frame, Observation, ToolCall
    from deskhand.tools.computer import computer_tools
    from deskhand.tools.registry import Tool, ToolContext, ToolRegistry
    from deskhand.tools.seed import TOOL_SCHEMAS, anthropic_tools, dispatch

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "deskhand.errors": (
        "BudgetExceededError",
        "ConfigError",
        "DeskhandError",
        "OutcomeUnknownError",
        "ToolError",
        "UnsupportedError",
    ),
    "deskhand.harness.base": ("Harness",),
    "deskhand.harness.blobs": ("DirectoryBlobs", "MemoryBlobs"),
    "deskhand.harness.budget": ("Allowance", "Budget"),
    "deskhand.harness.context": ("RunContext",),
    "deskhand.harness.engine": ("Engine", "open_run"),
    "deskhand.harness.events": ("Event", "parse_event"),
    "deskhand.harness.log": ("EventLog", "MemoryLog"),
    "deskhand.harness.loops.claude": ("ClaudeComputerUseHarness",),
    "deskhand.harness.loops.fleet": ("FleetError", "FleetHarness"),
    "deskhand.harness.loops.miosa": ("MiosaModelHarness",),
    "deskhand.harness.loops.openai": ("OpenAIComputerUseHarness", "OpenAIFunctionHarness"),
    "deskhand.harness.loops.probe": ("ProbeHarness",),
    "deskhand.harness.policy": ("Policy", "Rule"),
    "deskhand.harness.prices": ("Price",),
    "deskhand.harness.run": ("OpenRun", "Run", "RunError", "RunResult"),
    "deskhand.harness.secrets": ("Secret", "Secrets"),
    "deskhand.harness.sqlite_log": ("SqliteLog",),
    "deskhand.providers.contract": (
        "Capability",
        "ComputeProvider",
        "ComputerInfo",
        "ComputerSpec",
        "ExecResult",
        "ExternalComputer",
    ),
    "deskhand.providers.daytona.provider": ("DaytonaProvider",),
    "deskhand.providers.e2b.provider": ("E2BProvider",),
    "deskhand.providers.lookup": ("attach", "open_computer", "provider"),
    "deskhand.providers.miosa.provider": ("MiosaProvider",),
    "deskhand.providers.opencomputers.provider": ("OpenComputersProvider",),
    "deskhand.providers.cua.provider": ("CuaProvider",),
    "deskhand.providers.orgo.provider": ("OrgoProvider",),
    "deskhand.tools.calls": ("Frame", "Observation", "ToolCall"),
    "deskhand.tools.computer": ("computer_tools",),
    "deskhand.tools.registry": ("Tool", "ToolContext", "ToolRegistry"),
    "deskhand.tools.seed": ("TOOL_SCHEMAS", "anthropic_tools", "dispatch"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "TOOL_SCHEMAS",
    "Allowance",
    "Budget",
    "BudgetExceededError",
    "Capability",
    "ClaudeComputerUseHarness",
    "ComputeProvider",
    "ComputerInfo",
    "ComputerSpec",
    "ConfigError",
    "CuaProvider",
    "DaytonaProvider",
    "DeskhandError",
    "DirectoryBlobs",
    "E2BProvider",
    "Engine",
    "Event",
    "EventLog",
    "ExecResult",
    "ExternalComputer",
    "FleetError",
    "FleetHarness",
    "Frame",
    "Harness",
    "MemoryBlobs",
    "MemoryLog",
    "MiosaModelHarness",
    "MiosaProvider",
    "Observation",
    "OpenAIComputerUseHarness",
    "OpenAIFunctionHarness",
    "OpenComputersProvider",
    "OpenRun",
    "OrgoProvider",
    "OutcomeUnknownError",
    "Policy",
    "Price",
    "ProbeHarness",
    "Rule",
    "Run",
    "RunContext",
    "RunError",
    "RunResult",
    "Secret",
    "Secrets",
    "SqliteLog",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolRegistry",
    "UnsupportedError",
    "anthropic_tools",
    "attach",
    "computer_tools",
    "dispatch",
    "open_computer",
    "open_run",
    "parse_event",
    "provider",
]


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]
