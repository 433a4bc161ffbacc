"""Requests to put to the fake, correct until a test breaks them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from deskhand.testing.models import FakeAnthropic, FakeTurn
from deskhand.testing.models.wire import WireRequest

Json = dict[str, Any]
MODEL = "claude-sonnet-5-5"
HALTED = "Not executed: an earlier computer action in this turn failed."


def picture(width: int = 1280, height: int = 800, kind: str = "PNG") -> str:
    """Returns an image as base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (width % 256, height % 256, 90)).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def image(width: int = 1280, height: int = 800, kind: str = "PNG", media_type: str | None = None) -> Json:
    """Returns an image block."""
    media = media_type or f"image/{kind.lower()}"
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": picture(width, height, kind)}}


def words(text: str) -> Json:
    """Returns a text block."""
    return {"type": "text", "text": text}


def call(call_id: str, name: str = "screenshot", **arguments: object) -> Json:
    """Returns a call of a toolset member."""
    return {"type": "tool_use", "id": call_id, "name": name, "toolset_name": "computer", "input": arguments}


def function_call(call_id: str, name: str = "exec", **arguments: object) -> Json:
    """Returns a call of a function tool."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id: str, *content: Json, **fields: object) -> Json:
    """Returns the answer to a call of a toolset member."""
    answer: Json = {"type": "tool_result", "tool_use_id": call_id, "toolset_name": "computer", "content": list(content)}
    return {**answer, **fields}


def function_result(call_id: str, content: object = "done") -> Json:
    """Returns the answer to a call of a function tool."""
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def user(*content: Json) -> Json:
    """Returns a user message."""
    return {"role": "user", "content": list(content)}


def assistant(*content: Json) -> Json:
    """Returns an assistant message."""
    return {"role": "assistant", "content": list(content)}


def function_tool(name: str = "exec", **fields: object) -> Json:
    """Returns a function tool."""
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    return {"name": name, "description": "Runs a command.", "input_schema": schema, **fields}


def request(*messages: Json, **fields: object) -> Json:
    """Returns the body of a request that keeps all rules."""
    body: Json = {
        "model": MODEL,
        "max_tokens": 4096,
        "tools": [{"type": "computer_toolset_20260801"}, function_tool()],
        "messages": list(messages) or [user(words("Open the editor."))],
    }
    return {key: value for key, value in {**body, **fields}.items() if value is not None}


def batch(*results: Json, calls: Sequence[Json] | None = None) -> Json:
    """Returns a request whose last turn answers a batch: two clicks and a screenshot, unless ``calls`` says else."""
    made = calls or [
        call("toolu_1", "left_click", coordinate=[1, 2]),
        call("toolu_2", "type", text="x"),
        call("toolu_3"),
    ]
    return request(user(words("Go.")), assistant(*made), user(*results))


def fake(count: int = 1) -> FakeAnthropic:
    """Returns a fake that says ``Done.`` a number of times."""
    return FakeAnthropic([FakeTurn("Done.")] * count)


async def post(
    server: FakeAnthropic,
    body: object,
    *,
    betas: Iterable[str] = (),
    headers: Json | None = None,
    path: str = "/v1/messages",
    method: str = "POST",
) -> tuple[int, Json]:
    """Sends one request and returns the status and the body of the answer."""
    sent = {"x-api-key": server.api_key, "anthropic-version": "2023-06-01", **(headers or {})}
    if betas:
        sent["anthropic-beta"] = ",".join(betas)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await server.handle(WireRequest(method, path, {k: v for k, v in sent.items() if v}, content))
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)
