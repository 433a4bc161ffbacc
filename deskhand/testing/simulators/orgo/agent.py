"""The vendor's own agent, to which a goal is given in one request."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pydantic import JsonValue

from deskhand.testing.simulators.wire import Answer, ApiError, json_answer

from .account import Account
from .computer import SimulatedComputer
from .wire import NestedApiError, OrgoCall

__all__ = ["Agent", "HostedAgent", "look"]

Agent: TypeAlias = Callable[[SimulatedComputer, str], Awaitable[str]]
"""What the vendor's agent does with a goal on a computer: returns its answer."""

MODELS = ("claude-sonnet-4.6", "claude-opus-4.6")
COST_CENTS = 3
MOST_STEPS = 100


async def look(computer: SimulatedComputer, goal: str) -> str:
    """Looks at the screen and says so, whatever the goal is."""
    image = await computer.on().screenshot()
    screen = computer.settings.screen
    return f"I looked at the screen ({screen.width}x{screen.height}, {len(image)} bytes). You asked: {goal}"


class HostedAgent:
    """The route ``/v1/chat/completions``.

    Args:
        account: Who pays.
        agent: What is done with a goal; None looks at the screen and says so.
    """

    def __init__(self, account: Account, agent: Agent | None) -> None:
        self._account = account
        self._agent = agent or look
        self._threads: dict[str, list[str]] = {}

    async def complete(self, call: OrgoCall) -> Answer:
        """Gives a goal to the agent and answers when it is done."""
        goal, model, computer_id = _read(call)
        computer = self._account.computers.get(computer_id)
        if computer is None:
            raise NestedApiError(404, "computer_not_found", "Computer not found")
        self._account.check_scope(call.caller, computer.workspace_id)
        if self._account.balance_cents <= 0:
            raise NestedApiError(402, "credits_exhausted", "You are out of credits.", "billing_error")
        thread_id = call.body.get("thread_id")
        if not isinstance(thread_id, str):
            thread_id = str(uuid.uuid4())
        try:
            text = await self._agent(computer, goal)
        except ApiError as error:
            raise NestedApiError(500, "internal_error", error.message, "api_error") from error
        self._account.balance_cents -= COST_CENTS
        self._threads.setdefault(thread_id, []).append(goal)
        headers = {"x-request-id": call.request_id, "x-thread-id": thread_id}
        if call.body.get("stream") is True:
            return _streamed(text, model, headers)
        spent: dict[str, JsonValue] = {
            "thread_id": thread_id,
            "steps": 1,
            "cost_cents": COST_CENTS,
            "credit_balance_cents": self._account.balance_cents,
        }
        choice: dict[str, JsonValue] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        return json_answer(
            {
                "id": f"chatcmpl-{uuid.uuid4().hex}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": model,
                "choices": [choice],
                "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
                "orgo": spent,
            },
            headers=headers,
        )


def _read(call: OrgoCall) -> tuple[str, str, str]:
    """Returns goal, model and computer of a request."""
    body = call.body
    computer_id = body.get("computer_id")
    if not isinstance(computer_id, str) or not computer_id:
        raise NestedApiError(400, "missing_computer_id", "computer_id is required")
    model = body.get("model", MODELS[0])
    if model not in MODELS:
        raise NestedApiError(400, "invalid_model", f"model must be one of {', '.join(MODELS)}")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise NestedApiError(400, "empty_messages", "messages must not be empty")
    first, last = messages[0], messages[-1]
    if not isinstance(first, dict) or first.get("role") != "user" or not isinstance(last, dict):
        raise NestedApiError(400, "invalid_message_order", "the first message must be the user's")
    steps = body.get("max_steps", MOST_STEPS)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise NestedApiError(400, "invalid_json", f"max_steps must be 1 to {MOST_STEPS}")
    content = last.get("content")
    goal = content if isinstance(content, str) else json.dumps(content)
    return goal, str(model), computer_id


def _streamed(text: str, model: str, headers: dict[str, str]) -> Answer:
    """Returns the answer as a stream: the final text alone, in a few pieces."""
    chunk_id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
    deltas: list[dict[str, JsonValue]] = [{"role": "assistant"}]
    deltas.extend({"content": text[start : start + 40]} for start in range(0, len(text), 40))
    lines = []
    for index, delta in enumerate([*deltas, {}]):
        choice: dict[str, JsonValue] = {
            "index": 0,
            "delta": delta,
            "finish_reason": "stop" if index == len(deltas) else None,
        }
        chunk = {
            "id": chunk_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [choice],
        }
        lines.append(f"data: {json.dumps(chunk)}\n\n")
    lines.append("data: [DONE]\n\n")
    return Answer(200, "".join(lines).encode(), "text/event-stream", headers)
