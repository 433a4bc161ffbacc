"""Waiting until a computer or a snapshot is what it shall be."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from deskhand.errors import DeadlineExceededError, DeskhandError
from deskhand.providers.miosa.api import NAME

__all__ = ["until"]

_DEADLINE: Final = 150.0
"""Seconds that it may take."""
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8)


async def until(what: str, look: Callable[[], Awaitable[bool]], *, deadline: float = _DEADLINE) -> None:
    """Look until looking returns that it is so; an error that waiting may mend is waited through.

    Args:
        what: What is waited for, as an error says it.
        look: Looks.
        deadline: Seconds.

    Raises:
        DeadlineExceededError: If it takes longer.
        DeskhandError: If looking fails in a way that no waiting mends.
    """
    ends = anyio.current_time() + deadline
    attempt, last = 0, ""
    while True:
        pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
        try:
            if await look():
                return
        except DeskhandError as error:
            if not error.retryable:
                raise
            last = f": {error.message}"
            if error.retry_at is not None:
                pause = max(pause, error.retry_at - time.time())
        if anyio.current_time() + pause > ends:
            raise DeadlineExceededError(
                f"after {deadline:g} s {what} was still awaited{last}", effect="yes", provider=NAME
            )
        attempt += 1
        await anyio.sleep(pause)
