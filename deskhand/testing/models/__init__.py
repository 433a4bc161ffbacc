"""Strict fakes of the vendors' model APIs.

They answer with what a script says, and refuse what the real APIs refuse, with their error bodies. They share no code
with the loops that talk to the real APIs, so that both cannot be wrong alike. ::

    def play(view: ModelView) -> FakeTurn:
        if view.frame is None:
            return FakeTurn([text("I look first."), member("screenshot")])
        x, y = find_the_button(view.frame.image)
        return FakeTurn([member("left_click", coordinate=[x, y])]) if view.turn == 1 else FakeTurn("Done.")

    fake = FakeAnthropic(play)
    client = fake.client()  # the vendor's own client, without a socket
    async with fake.serve() as base_url:  # or a server on the loopback interface
        ...
    fake.fail(529, retry_after=1)  # what goes wrong with the next request
"""

from __future__ import annotations

from .anthropic import FakeAnthropic
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
from .service import RecordedRequest

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
