"""Orgo's own agent, to which a goal is given as a chat completion."""

from __future__ import annotations

from typing import Final

from deskhand.errors import InvalidInputError, NotFoundError, ProtocolError, UnsupportedError
from deskhand.providers.orgo.api import NAME, OPERATIONS, OrgoApi

__all__ = ["CHAT", "prompt_agent"]

CHAT: Final = "/v1/chat/completions"


async def prompt_agent(api: OrgoApi, computer_id: str, model: str, goal: str) -> str:
    """Give a goal to the agent and return its last words.

    Raises:
        InvalidInputError: If the goal is empty, or there is no such model.
        UnsupportedError: If there is no agent, which is remembered.
        ProtocolError: If it says nothing.
    """
    if not goal.strip():
        raise InvalidInputError("the goal is empty")
    messages = [{"role": "user", "content": goal}]
    body = {"computer_id": computer_id, "model": model, "messages": messages, "stream": False}
    try:
        answer = await api.http.call(OPERATIONS["prompt its agent"], CHAT, body)
    except (NotFoundError, UnsupportedError) as error:
        raise api.lost_route(error, "prompt its agent", CHAT) from error
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str):
        raise ProtocolError("the answer of orgo's agent holds no text", provider=NAME, effect="yes")
    return content
