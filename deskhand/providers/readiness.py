"""Waiting until a computer, or what belongs to one, is what it shall be."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from deskhand.errors import ComputerGoneError, ConflictError, DeadlineExceededError, DeskhandError, ProviderError
from deskhand.providers.contract import ComputerInfo, ComputerStatus

__all__ = ["set_going", "until", "until_status", "until_up"]

_DEADLINE: Final = 120.0
"""Seconds that a desktop may take to come up, or to stop."""
_LONG: Final = 150.0
"""Seconds that anything else may take."""
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8)


async def until(what: str, look: Callable[[], Awaitable[bool]], *, provider: str, deadline: float = _LONG) -> None:
    """Look until looking returns that it is so; an error that waiting may mend is waited through.

    Args:
        what: What is waited for, as an error says it.
        look: Looks.
        provider: Whose it is, as errors say it.
        deadline: Seconds.

    Raises:
        DeadlineExceededError: If it takes longer.
        DeskhandError: If looking fails in a way that no waiting mends.
    """
    ends = anyio.current_time() + deadline
    attempt, last = 0, ""
    while True:
        pause = _pause(attempt)
        try:
            if await look():
                return
        except DeskhandError as error:
            if not error.retryable:
                raise
            last = f": {error.message}"
            pause = max(pause, _wait(error))
        if anyio.current_time() + pause > ends:
            raise DeadlineExceededError(
                f"after {deadline:g} s {what} was still awaited{last}", effect="yes", provider=provider
            )
        attempt += 1
        await anyio.sleep(pause)


async def until_up(look: Callable[[], Awaitable[None]], provider: str, computer_id: str) -> None:
    """Look until looking succeeds.

    Args:
        look: Uses the desktop; fails as long as it is not up.
        provider: Whose it is, as errors say it.
        computer_id: Which it is.

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
            pause = max(pause, _wait(error))
            if anyio.current_time() + pause > ends:
                raise DeadlineExceededError(
                    f"the {provider} computer {computer_id} was not up after {_DEADLINE:g} s: {error.message}",
                    effect="yes",
                    provider=provider,
                    request_id=error.request_id,
                ) from error
        attempt += 1
        await anyio.sleep(pause)


async def set_going(
    do: Callable[[], Awaitable[object]],
    ask: Callable[[], Awaitable[ComputerInfo]],
    *aimed: ComputerStatus,
) -> None:
    """Have a computer go to another state; a refusal because it is there, or on its way, is none.

    An earlier request whose answer was lost may have arrived.

    Args:
        do: Has it go there.
        ask: Asks for its information.
        aimed: What it is doing there and on its way.

    Raises:
        ConflictError: If it is in another state that does not allow it.
    """
    try:
        await do()
    except ConflictError:
        if (await ask()).status not in aimed:
            raise


async def until_status(
    ask: Callable[[], Awaitable[ComputerInfo]],
    *words: str,
    field: str = "status",
    failed: Sequence[str] = ("error",),
    deadline: float = _DEADLINE,
) -> None:
    """Ask until a computer is in one of some states, in its vendor's words.

    An error that waiting may mend is waited through.

    Args:
        ask: Asks for its information.
        words: The states.
        field: Where the vendor's answer has the state.
        failed: The states that nothing good comes after.
        deadline: Seconds that it may take.

    Raises:
        ComputerGoneError: If it is gone.
        ProviderError: If it has failed.
        DeadlineExceededError: If that takes too long.
    """
    ends = anyio.current_time() + deadline
    attempt, late, why = 0, "", None
    while True:
        pause = _pause(attempt)
        try:
            info = await ask()
            if _is_one_of(info, words, field, failed):
                return
            late = f"the {info.provider} computer {info.id} was {info.raw.get(field)}, not {words[0]}"
            why = None
        except DeskhandError as error:
            if not error.retryable:
                raise
            pause, why = max(pause, _wait(error)), error
        if anyio.current_time() + pause > ends:
            said = f": {why.message}" if why is not None else ""
            raise DeadlineExceededError(
                f"{late or f'no computer was {words[0]}'}, after {deadline:g} s{said}",
                provider=why.provider if why is not None else info.provider,
            ) from why
        await anyio.sleep(pause)
        attempt += 1


def _is_one_of(info: ComputerInfo, words: Sequence[str], field: str, failed: Sequence[str]) -> bool:
    """Tell whether a computer is in one of some states.

    Raises:
        ComputerGoneError: If it is gone.
        ProviderError: If it has failed.
    """
    status = info.raw.get(field)
    if info.status is ComputerStatus.DESTROYED:
        said = f"the {info.provider} computer {info.id} is gone{_reason(info)}"
        raise ComputerGoneError(said, provider=info.provider)
    if status in failed and status not in words:
        said = f"the {info.provider} computer {info.id} has failed{_reason(info)}"
        raise ProviderError(said, hint="destroy it", retryable=False, provider=info.provider)
    return status in words


def _wait(error: DeskhandError) -> float:
    """Return the seconds that an error asks to wait."""
    return 0.0 if error.retry_at is None else error.retry_at - time.time()


def _reason(info: ComputerInfo) -> str:
    reason = info.raw.get("errorReason")
    return f": {reason[:500]}" if isinstance(reason, str) and reason else ""


def _pause(attempt: int) -> float:
    return _PAUSES[min(attempt, len(_PAUSES) - 1)]
