"""Strict fakes of the vendors' model APIs.

They share no code with the loops that talk to the real APIs, so that both cannot be wrong alike.
"""

from __future__ import annotations

from .anthropic import FakeAnthropic, RecordedRequest
from .profiles import COMPUTER_TOOLSET, MODELS, TOOLSET_MEMBERS, ImageTier, ModelProfile
from .script import (
    Block,
    FakeTurn,
    ModelView,
    RedactedThinking,
    Script,
    ScriptError,
    SeenImage,
    SeenResult,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    TurnFunction,
    member,
    redacted_thinking,
    text,
    thinking,
    tool_use,
)

__all__ = [
    "COMPUTER_TOOLSET",
    "MODELS",
    "TOOLSET_MEMBERS",
    "Block",
    "FakeAnthropic",
    "FakeTurn",
    "ImageTier",
    "ModelProfile",
    "ModelView",
    "RecordedRequest",
    "RedactedThinking",
    "Script",
    "ScriptError",
    "SeenImage",
    "SeenResult",
    "StopReason",
    "Text",
    "Thinking",
    "ToolUse",
    "TurnFunction",
    "member",
    "redacted_thinking",
    "text",
    "thinking",
    "tool_use",
]
