"""MIOSA's own agent, to which a goal is given as a session of control."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote

import anyio
from pydantic import JsonValue

from deskhand.errors import DeskhandError, InvalidInputError, ProtocolError, ProviderError
from deskhand.providers.answers import text
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi
from deskhand.providers.miosa.envelope import unwrapped
from deskhand.providers.readiness import until

__all__ = ["SESSIONS", "prompt_agent"]

SESSIONS: Final = "control/sessions"

_DEADLINE: Final = 1800.0
_GOING_ON: Final = frozenset({"pending", "running", "paused", None})
"""What a session is doing that has not ended; an answer that does not say it is no end either."""


async def prompt_agent(api: MiosaApi, computer_id: str, goal: str) -> str:
    """Give a goal to the agent and return what it says in the end; its session ends with whoever waits for it.

    Raises:
        InvalidInputError: If the goal is empty.
        UnsupportedError: If there is no agent, which is remembered.
        ProviderError: If it failed.
        DeadlineExceededError: If it takes longer than half an hour.
    """
    if not goal.strip():
        raise InvalidInputError("the goal is empty")
    with anyio.CancelScope(shield=True):  # an agent whose session nobody was told of could not be ended
        session = unwrapped(await api.act("start its agent", computer_id, SESSIONS, {"goal": goal}), "session")
    session_id = text(session.get("id"))
    if session_id is None:
        raise ProtocolError("miosa tells no id of its agent's session", provider=NAME)
    path = api.path(computer_id, f"{SESSIONS}/{quote(session_id, safe='')}")

    async def look() -> bool:
        nonlocal session
        if session.get("status") in _GOING_ON:
            session = unwrapped(await api.http.call(OPERATIONS["ask its agent"], path), "session")
        return session.get("status") not in _GOING_ON

    async def cancel() -> None:
        with suppress(DeskhandError):  # it has ended meanwhile, or ends with its computer
            await api.http.ask(OPERATIONS["stop its agent"], path)

    is_over = False
    try:
        await until("the end of miosa's agent", look, deadline=_DEADLINE, provider=NAME)
        is_over = True
    finally:
        if not is_over:
            await api.in_background(cancel)
    return _answer(session)


def _answer(session: Mapping[str, JsonValue]) -> str:
    if session.get("status") != "completed":
        why = text(session.get("error")) or f"it was {session.get('status')}"
        raise ProviderError(f"miosa's agent did not reach the goal: {why[:500]}", provider=NAME, effect="yes")
    return text(session.get("result")) or ""
