"""The same names for programs that block: each call is done by an event loop in a thread of its own, and waited for.

``with`` stands for ``async with``, ``for`` for ``async for``, and nothing for ``await``. What is made outside of a
``with`` ends when the interpreter exits: a provider destroys then what it created and what was neither destroyed nor
kept. Ctrl-C cancels the call, which cleans up before it is raised.

There is no second implementation: the classes are made from the asynchronous ones. What checkers read of them stands in
``__init__.pyi``, which ``scripts/blocking`` prints.
"""

# pyright: reportUnsupportedDunderAll=false
from __future__ import annotations

import importlib

from deskhand.sync.blocking import blocking, blocking_class, blocking_function, is_mirrored

_HOMES: dict[str, tuple[str, ...]] = {
    "deskhand.harness.base": ("Harness",),
    "deskhand.harness.context": ("OnComputer", "RunContext", "TurnContext"),
    "deskhand.harness.engine": ("Engine", "open_run"),
    "deskhand.harness.inbox": ("Inbox",),
    "deskhand.harness.log": ("EventLog", "MemoryLog"),
    "deskhand.harness.loops.claude": ("ClaudeComputerUseHarness",),
    "deskhand.harness.loops.miosa": ("MiosaModelHarness",),
    "deskhand.harness.loops.openai": ("OpenAIComputerUseHarness", "OpenAIFunctionHarness"),
    "deskhand.harness.loops.probe": ("ProbeHarness",),
    "deskhand.harness.run": ("OpenRun", "Run"),
    "deskhand.harness.sqlite_log": ("SqliteLog",),
    "deskhand.harness.stream": ("EventStream",),
    "deskhand.harness.takeover": ("Takeover",),
    "deskhand.providers.contract": (
        "Capability",
        "ComputeProvider",
        "ComputerInfo",
        "ComputerSpec",
        "ExecResult",
        "ExecStream",
        "ExternalComputer",
        "Shell",
        "ShellEndpoint",
        "Terminal",
    ),
    "deskhand.providers.e2b.computer": ("E2BComputer",),
    "deskhand.providers.e2b.provider": ("E2BProvider",),
    "deskhand.providers.cua.computer": ("CuaComputer",),
    "deskhand.providers.cua.provider": ("CuaProvider",),
    "deskhand.providers.local.computer": ("LocalComputer",),
    "deskhand.providers.local.provider": ("LocalProvider",),
    "deskhand.providers.lookup": ("attach", "open_computer", "provider"),
    "deskhand.providers.orgo.computer": ("OrgoComputer",),
    "deskhand.providers.orgo.provider": ("OrgoProvider",),
    "deskhand.tools.seed": ("TOOL_SCHEMAS", "anthropic_tools", "dispatch"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_BLOCKING = frozenset({"attach", "dispatch", "open_computer", "open_run", "provider"})
"""The functions that have a blocking twin."""

__all__ = [
    "TOOL_SCHEMAS",
    "Capability",
    "ClaudeComputerUseHarness",
    "ComputeProvider",
    "ComputerInfo",
    "ComputerSpec",
    "CuaComputer",
    "CuaProvider",
    "E2BComputer",
    "E2BProvider",
    "Engine",
    "EventLog",
    "EventStream",
    "ExecResult",
    "ExecStream",
    "ExternalComputer",
    "Harness",
    "Inbox",
    "LocalComputer",
    "LocalProvider",
    "MemoryLog",
    "MiosaModelHarness",
    "OnComputer",
    "OpenAIComputerUseHarness",
    "OpenAIFunctionHarness",
    "OpenRun",
    "OrgoComputer",
    "OrgoProvider",
    "ProbeHarness",
    "Run",
    "RunContext",
    "Shell",
    "ShellEndpoint",
    "SqliteLog",
    "Takeover",
    "Terminal",
    "TurnContext",
    "anthropic_tools",
    "attach",
    "blocking",
    "dispatch",
    "open_computer",
    "open_run",
    "provider",
]


def __getattr__(name: str) -> object:
    """Make the blocking twin of a public name, or import the name itself where it does not wait."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOME_OF[name]), name)
    if isinstance(value, type):
        value = blocking_class(value) if is_mirrored(value) else value
    elif callable(value) and name in _BLOCKING:
        value = blocking_function(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
