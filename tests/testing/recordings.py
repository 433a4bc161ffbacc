"""Requests as the vendors' own clients send them, kept in files beside this one.

``python -m tests.testing.recordings`` records them anew, with the clients that are installed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from openai import pydantic_function_tool
from openai.lib.computer import AsyncComputerToolset
from openai.lib.responses_tool_runner import AsyncRegisteredFunction, AsyncResponsesToolRunner
from pydantic import BaseModel

from deskhand.testing import (
    FakeAnthropic,
    FakeOpenAI,
    FakeTurn,
    RecordedRequest,
    action,
    computer_call,
    text,
    thinking,
    tool_use,
)

from .fake_openai_parts import MODEL, Json, data_url, function_tool
from .test_fake_anthropic_threads import Desktop, drive, scripted

FOLDER = Path(__file__).parent / "recorded"
KEPT_HEADERS = frozenset({"content-type", "anthropic-version", "anthropic-beta"})
COMMAND = tool_use("exec", command="ls")


class Driver:
    """A computer that does nothing and shows a small screen."""

    async def _act(self, action: object) -> None:
        """Does nothing."""

    click = double_click = drag = keypress = move = scroll = type = wait = _act

    async def screenshot(self) -> Any:
        """Returns a picture."""
        return {"type": "computer_screenshot", "image_url": data_url(64, 48)}


class Weather(BaseModel):
    """What a parsed answer holds."""

    city: str
    umbrella: bool | None


async def anthropic_runner() -> FakeAnthropic:
    """Anthropic's tool runner with a toolset and a function, the whole history in each request."""
    server = scripted([])
    await drive(server, Desktop(), threads=False, stream=False)
    return server


async def openai_runner() -> FakeOpenAI:
    """OpenAI's runner with the computer tool, a function and a safety check that is approved."""
    checked = computer_call(action("click", x=5, y=6), action("wait"), checks=[{"id": "check_1", "code": "x"}])
    looks = FakeTurn([thinking("Where?"), text("I look."), computer_call(action("screenshot"))])
    server = FakeOpenAI([looks, FakeTurn([thinking("Now."), checked, COMMAND]), FakeTurn("Done.")])

    async def run(_: dict[str, object]) -> str:
        return "ran"

    async def approve(_: object) -> bool:
        return True

    tool: Any = function_tool()
    computer = AsyncComputerToolset(Driver())
    runner = AsyncResponsesToolRunner(computer=computer, functions=[AsyncRegisteredFunction(tool, run)])
    params: Any = {"model": MODEL, "input": "Go.", "store": False, "reasoning": {"summary": "auto"}}
    await runner.run(server.client(), params, max_steps=5, stream=True, approve_safety_checks=approve)
    return server


async def openai_preview() -> FakeOpenAI:
    """OpenAI's computer toolset with the older model, which has one action a call."""
    server = FakeOpenAI([FakeTurn([thinking("Hm."), computer_call(action("move", x=1, y=2))]), FakeTurn("Done.")])
    tool = {"type": "computer_use_preview", "display_width": 64, "display_height": 48, "environment": "linux"}
    params: Any = {"model": "computer-use-preview", "input": "Go.", "truncation": "auto", "tools": [tool]}
    await AsyncComputerToolset(Driver()).run(server.client(), params)
    return server


async def openai_chat() -> FakeOpenAI:
    """OpenAI's typed client over Chat Completions: a call and its answer, an image, a parsed answer."""
    parsed = FakeTurn('{"city": "Bonn", "umbrella": null}')
    server = FakeOpenAI([FakeTurn([tool_use("Weather", city="Bonn", umbrella=None)]), parsed])
    completions = server.client().chat.completions
    messages: list[Any] = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Rain?"}]
    tools: Any = [pydantic_function_tool(Weather)]
    first: Any = (await completions.create(model=MODEL, messages=messages, tools=tools)).choices[0].message
    image = {"type": "image_url", "image_url": {"url": data_url(64, 48), "detail": "high"}}
    messages += [
        first,
        {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "dry"},
        {"role": "user", "content": [image]},
    ]
    async with completions.stream(model=MODEL, messages=messages, response_format=Weather) as stream:
        await stream.get_final_completion()
    return server


SESSIONS: Mapping[str, Callable[[], Awaitable[FakeAnthropic | FakeOpenAI]]] = {
    "anthropic_runner": anthropic_runner,
    "openai_runner": openai_runner,
    "openai_preview": openai_preview,
    "openai_chat": openai_chat,
}


def kept(request: RecordedRequest) -> Json:
    """Returns what is kept of a request."""
    headers = {name: value for name, value in request.headers.items() if name in KEPT_HEADERS}
    return {"path": request.path, "headers": headers, "body": request.body}


async def record() -> None:
    """Records every session."""
    FOLDER.mkdir(exist_ok=True)
    for name, session in SESSIONS.items():
        server = await session()
        server.raise_script_errors()
        lines = [json.dumps(kept(request), ensure_ascii=False, separators=(",", ":")) for request in server.requests]
        (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(record())
