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

:class:`FakeOpenAI` is used alike. What the computer tool is asked to do is said in the vendor's own words, by
``computer_call(action("click", x=640, y=360))`` in place of ``member(...)``.
"""

from __future__ import annotations

from .anthropic import FakeAnthropic
from .openai import OPENAI_MODELS, FakeOpenAI, OpenAIModel
from .profiles import COMPUTER_TOOLSET, MODELS, TOOLSET_MEMBERS, ImageTier, ModelProfile
from .script import (
    Block,
    ComputerCall,
    FakeTurn,
    ModelView,
    RedactedThinking,
    Refusal,
    Script,
    ScriptError,
    SeenImage,
    SeenResult,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    TurnFunction,
    action,
    computer_call,
    member,
    redacted_thinking,
    refusal,
    text,
    thinking,
    tool_use,
)
from .service import RecordedRequest

__all__ = [
    "COMPUTER_TOOLSET",
    "MODELS",
    "OPENAI_MODELS",
    "TOOLSET_MEMBERS",
    "Block",
    "ComputerCall",
    "FakeAnthropic",
    "FakeOpenAI",
    "FakeTurn",
    "ImageTier",
    "ModelProfile",
    "ModelView",
    "OpenAIModel",
    "RecordedRequest",
    "RedactedThinking",
    "Refusal",
    "Script",
    "ScriptError",
    "SeenImage",
    "SeenResult",
    "StopReason",
    "Text",
    "Thinking",
    "ToolUse",
    "TurnFunction",
    "action",
    "computer_call",
    "member",
    "redacted_thinking",
    "refusal",
    "text",
    "thinking",
    "tool_use",
]
