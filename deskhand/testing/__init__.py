"""Helpers for tests: fake computers and models, captured events, and the suites that say whether an adapter is right.

Every public name is imported from where it lives on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.testing.captured import CapturedEvents, capture_events
    from deskhand.testing.computer import CommandScript, FakeCommand, FakeComputer, FakeFiles
    from deskhand.testing.models import (
        FakeAnthropic,
        FakeOpenAI,
        FakeTurn,
        ModelView,
        RecordedRequest,
        ScriptError,
        SeenImage,
        SeenResult,
        action,
        computer_call,
        member,
        redacted_thinking,
        refusal,
        text,
        thinking,
        tool_use,
    )
    from deskhand.testing.received import GroundTruth, Received, typed_text
    from deskhand.testing.screens import Button, FakeScreen, ListBox, TextField
    from deskhand.testing.scripted import ScriptedModel, ScriptedView, call

_HOMES: dict[str, tuple[str, ...]] = {
    "deskhand.testing.captured": ("CapturedEvents", "capture_events"),
    "deskhand.testing.computer": ("CommandScript", "FakeCommand", "FakeComputer", "FakeFiles"),
    "deskhand.testing.models": (
        "FakeAnthropic",
        "FakeOpenAI",
        "FakeTurn",
        "ModelView",
        "RecordedRequest",
        "ScriptError",
        "SeenImage",
        "SeenResult",
        "action",
        "computer_call",
        "member",
        "redacted_thinking",
        "refusal",
        "text",
        "thinking",
        "tool_use",
    ),
    "deskhand.testing.received": ("GroundTruth", "Received", "typed_text"),
    "deskhand.testing.screens": ("Button", "FakeScreen", "ListBox", "TextField"),
    "deskhand.testing.scripted": ("ScriptedModel", "ScriptedView", "call"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Button",
    "CapturedEvents",
    "CommandScript",
    "FakeAnthropic",
    "FakeCommand",
    "FakeComputer",
    "FakeFiles",
    "FakeOpenAI",
    "FakeScreen",
    "FakeTurn",
    "GroundTruth",
    "ListBox",
    "ModelView",
    "Received",
    "RecordedRequest",
    "ScriptError",
    "ScriptedModel",
    "ScriptedView",
    "SeenImage",
    "SeenResult",
    "TextField",
    "action",
    "call",
    "capture_events",
    "computer_call",
    "member",
    "redacted_thinking",
    "refusal",
    "text",
    "thinking",
    "tool_use",
    "typed_text",
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
    return list(__all__)
