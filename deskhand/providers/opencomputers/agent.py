"""MIOSA's own agent on a host, to which a goal is given, and which is asked until it is done."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote

import anyio
from pydantic import JsonValue

from deskhand.errors import DeadlineExceededError, DeskhandError, InvalidInputError, ProtocolError, ProviderError
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.miosa.envelope import unwrapped
from deskhand.providers.opencomputers.api import NAME, HostApi

__all__ = ["AGENT", "prompt_agent"]

AGENT: Final = "agent"

_LONGEST: Final = 1800.0
"""Seconds that a goal may take."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
_DONE: Final = frozenset({"succeeded", "completed"})
_FAILED: Final = frozenset({"failed", "canceled", "cancelled"})


async def prompt_agent(api: HostApi, host_id: str, goal: str) -> str:
    """Give a goal to the agent, wait until it is done, and return its summary; whoever stops waiting stops it.

    Raises:
        InvalidInputError: If the goal is empty.
        UnsupportedError: If there is no agent, which is remembered.
        ProviderError: If it failed, or was stopped.
        DeadlineExceededError: If it took more than half an hour.
    """
    if not goal.strip():
        raise InvalidInputError("the goal is empty")
    with anyio.CancelScope(shield=True):  # an agent whose session nobody was told of could not be stopped
        session = _session(await api.act("prompt its agent", host_id, f"{AGENT}/dispatch", {"task": goal}))
    where = f"{AGENT}/sessions/{quote(_id_of(session), safe='')}"
    is_over = False
    try:
        with anyio.move_on_after(_LONGEST):
            session = await _until_over(api, host_id, where, session)
            is_over = True
    finally:
        if not is_over:
            await api.in_background(lambda: _stop(api, host_id, where))
    if not is_over:
        raise DeadlineExceededError(f"the agent of {NAME} took more than {_LONGEST:g} s", effect="yes", provider=NAME)
    if session["status"] in _FAILED:
        said = text(session.get("error")) or f"it was {session['status']}"
        raise ProviderError(
            f"the agent of {NAME} did not reach the goal: {said[:500]}",
            hint="see what it has done before it is asked again",
            effect="yes",
            retryable=False,
            provider=NAME,
        )
    return text(session.get("result_summary")) or ""


async def _until_over(api: HostApi, host_id: str, where: str, session: JsonObject) -> JsonObject:
    attempt = 0
    while session.get("status") not in _DONE | _FAILED:
        await anyio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
        attempt += 1
        session = _session(await api.act("tell how its agent fares", host_id, where))
    return session


async def _stop(api: HostApi, host_id: str, where: str) -> None:
    with suppress(DeskhandError):  # it has ended meanwhile, or nobody can be told
        await api.ask("stop its agent", host_id, where, is_urgent=True)


def _session(answer: Mapping[str, JsonValue]) -> JsonObject:
    return unwrapped(answer, "session")


def _id_of(session: Mapping[str, JsonValue]) -> str:
    found = text(session.get("id")) or text(session.get("session_id"))
    if found is None:
        raise ProtocolError(f"{NAME} tells no id of what its agent does", provider=NAME)
    return found
