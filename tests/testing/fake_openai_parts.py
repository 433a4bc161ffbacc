"""Requests to put to the fake of OpenAI, correct until a test breaks them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from deskhand.testing.models import FakeOpenAI, FakeTurn
from deskhand.testing.models.wire import WireRequest

from .fake_anthropic_parts import picture

Json = dict[str, Any]
MODEL = "gpt-5.5"
COMPUTER = {"type": "computer"}


def data_url(width: int = 1280, height: int = 800, kind: str = "PNG", media_type: str | None = None) -> str:
    """Returns an image as a data URL."""
    return f"data:{media_type or f'image/{kind.lower()}'};base64,{picture(width, height, kind)}"


def user(*content: Json | str) -> Json:
    """Returns a user message of texts and parts."""
    parts = [{"type": "input_text", "text": part} if isinstance(part, str) else part for part in content]
    return {"role": "user", "content": parts}


def input_image(url: str | None = None, **fields: object) -> Json:
    """Returns an image part."""
    return {"type": "input_image", "image_url": url or data_url(), **fields}


def called(call_id: str = "call_1", name: str = "exec", arguments: str = '{"command":"ls"}') -> Json:
    """Returns a function call."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def answered(call_id: str = "call_1", output: object = "done") -> Json:
    """Returns the answer to a function call."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def acted(call_id: str = "call_1", *actions: Json, checks: Iterable[str] = ()) -> Json:
    """Returns a computer call."""
    pending = [{"id": check, "code": "malicious_instructions", "message": "Look."} for check in checks]
    made = list(actions) or [{"type": "screenshot"}]
    return {"type": "computer_call", "call_id": call_id, "actions": made, "pending_safety_checks": pending}


def shot(call_id: str = "call_1", url: str | None = None, **fields: object) -> Json:
    """Returns the answer to a computer call."""
    output = {"type": "computer_screenshot", "image_url": url or data_url()}
    return {"type": "computer_call_output", "call_id": call_id, "output": output, **fields}


def function_tool(name: str = "exec", *, strict: bool = True, **schema: Any) -> Json:
    """Returns a function tool of the Responses API."""
    parameters: Json = {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
        "additionalProperties": False,
        **schema,
    }
    return {
        "type": "function",
        "name": name,
        "description": "Runs a command.",
        "strict": strict,
        "parameters": parameters,
    }


def request(*items: Json, **fields: object) -> Json:
    """Returns the body of a request to the Responses API that keeps all rules."""
    body: Json = {
        "model": MODEL,
        "input": list(items) or [user("Go.")],
        "tools": [COMPUTER, function_tool()],
        "store": False,
        **fields,
    }
    return {key: value for key, value in body.items() if value is not ...}


def fake() -> FakeOpenAI:
    """Returns a fake that answers everything with a word."""
    return FakeOpenAI(lambda _: FakeTurn("Done."))


async def post(
    server: FakeOpenAI,
    body: object,
    *,
    path: str = "/v1/responses",
    headers: Json | None = None,
    method: str = "POST",
) -> tuple[int, Json]:
    """Sends one request and returns the status and the body of the answer."""
    sent = {"authorization": f"Bearer {server.api_key}", **(headers or {})}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await server.handle(WireRequest(method, path, {k: v for k, v in sent.items() if v}, content))
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)
