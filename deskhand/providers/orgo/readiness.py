"""Waiting until a computer is what it shall be: up, running, stopped."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from deskhand.errors import ComputerGoneError, DeadlineExceededError, DeskhandError, ProviderError
from deskhand.providers.contract import ComputerInfo, ComputerStatus
from deskhand.providers.orgo.api import NAME

__all__ = ["until_status", "until_up"]

_DEADLINE: Final = 120.0
"""Seconds that a desktop may take to come up, or to stop."""
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8)


async def until_up(look: Callable[[], Awaitable[None]], computer_id: str) -> None:
    """Look until looking succeeds.

    Args:
        look: Uses the desktop; fails as long as it is not up.
        computer_id: Whose it is.

    Raises:
        DeadlineExceededError: If it does not come up in time.
        DeskhandError: If it fails in a way that no waiting mends.
    """
    ends = anyio.current_time() + _DEADLINE
    attempt = 0
    while True:
        try:
            return await look()
        except DeskhandError as error:
            if not error.retryable:
                raise
            pause = _pause(attempt)
            if error.retry_at is not None:
                pause = max(pause, error.retry_at - time.time())
            if anyio.current_time() + pause > ends:
                raise DeadlineExceededError(
                    f"the orgo computer {computer_id} was not up after {_DEADLINE:g} s: {error.message}",
                    effect="yes",
                    provider=NAME,
                    request_id=error.request_id,
                ) from error
        attempt += 1
        await anyio.sleep(pause)


async def until_status(ask: Callable[[], Awaitable[ComputerInfo]], *words: str) -> None:
    """Ask until a computer is in one of some states, in Orgo's words.

    Raises:
        ComputerGoneError: If it is gone.
        ProviderError: If it has failed.
        DeadlineExceededError: If that takes too long.
    """
    ends = anyio.current_time() + _DEADLINE
    attempt = 0
    while True:
        info = await ask()
        status = info.raw.get("status")
        if info.status is ComputerStatus.DESTROYED:
            raise ComputerGoneError(f"the orgo computer {info.id} is gone", provider=NAME)
        if status in words:
            return
        if status == "error":
            raise ProviderError(f"the orgo computer {info.id} has failed", hint="destroy it", provider=NAME)
        if anyio.current_time() + _pause(attempt) > ends:
            raise DeadlineExceededError(
                f"the orgo computer {info.id} was {status}, not {words[0]}, after {_DEADLINE:g} s", provider=NAME
            )
        await anyio.sleep(_pause(attempt))
        attempt += 1


def _pause(attempt: int) -> float:
    return _PAUSES[min(attempt, len(_PAUSES) - 1)]
