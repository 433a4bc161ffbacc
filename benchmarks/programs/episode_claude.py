"""The episode in the format of Claude's Messages, and the vendor's client for it."""

from __future__ import annotations

from anthropic import AsyncAnthropic
from episode import CLICKED, GOAL, base64_of

MODEL = "claude-sonnet-5-5"
TOOLSET = {"type": "computer_toolset_20260801"}
CLICKED_BLOCK: dict[str, object] = {"type": "text", "text": CLICKED}


def connect(url: str) -> AsyncAnthropic:
    """Return a new client; that hundreds of runs at once are slow is measured and no failure."""
    return AsyncAnthropic(api_key="benchmark", base_url=url, max_retries=0, timeout=600)


def image(frame: bytes) -> dict[str, object]:
    """Return a frame as a block of a message."""
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64_of(frame)}}


def goal(frame: bytes) -> list[object]:
    """Return the content of the first message."""
    return [{"type": "text", "text": GOAL}, image(frame)]


def result(call_id: str, content: object) -> dict[str, object]:
    """Return the answer to a call."""
    return {"type": "tool_result", "tool_use_id": call_id, "toolset_name": "computer", "content": [content]}
