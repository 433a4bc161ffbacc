"""The episode in the format of OpenAI's Responses, and the vendor's client for it."""

from __future__ import annotations

from typing import Any

from episode import CLICK_SCHEMA, CLICKED, GOAL, LOOK_SCHEMA, base64_of
from openai import AsyncOpenAI

MODEL = "gpt-5.5"
FUNCTIONS: list[Any] = [
    {
        "type": "function",
        "name": "left_click",
        "description": "Click at a point.",
        "parameters": CLICK_SCHEMA,
        "strict": True,
    },
    {
        "type": "function",
        "name": "screenshot",
        "description": "See the screen.",
        "parameters": LOOK_SCHEMA,
        "strict": True,
    },
]
TOOLS: dict[str, list[Any]] = {"computer": [{"type": "computer"}], "functions": FUNCTIONS}


def connect(url: str) -> AsyncOpenAI:
    """Return a new client; that hundreds of runs at once are slow is measured and no failure."""
    return AsyncOpenAI(api_key="benchmark", base_url=url, max_retries=0, timeout=600)


def data_url(frame: bytes) -> str:
    """Return a frame as the API takes it."""
    return f"data:image/png;base64,{base64_of(frame)}"


def goal(frame: bytes) -> dict[str, object]:
    """Return the first item."""
    image = {"type": "input_image", "image_url": data_url(frame), "detail": "auto"}
    return {"role": "user", "content": [{"type": "input_text", "text": GOAL}, image]}


def result(call: dict[str, Any], frame: bytes | None) -> dict[str, object]:
    """Return the answer to a call: what the screen shows, where there is a frame."""
    if call["type"] == "computer_call":
        assert frame is not None
        shown = {"type": "computer_screenshot", "image_url": data_url(frame)}
        return {"type": "computer_call_output", "call_id": call["call_id"], "output": shown}
    image = None if frame is None else [{"type": "input_image", "image_url": data_url(frame), "detail": "auto"}]
    return {"type": "function_call_output", "call_id": call["call_id"], "output": image or CLICKED}


def looks(call: dict[str, Any]) -> bool:
    """Whether a call asks for the screen."""
    return call["type"] == "computer_call" or call["name"] == "screenshot"


def actions(call: dict[str, Any]) -> int:
    """Return how many actions a call has."""
    return len(call["actions"]) if call["type"] == "computer_call" else 1
