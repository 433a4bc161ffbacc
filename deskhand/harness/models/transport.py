"""How long a model is waited for and how often it is asked again: one policy for every vendor.

The vendors' own retries are switched off: they repeat a request without a word, wait as long as a header says (weeks,
if it says so), and know nothing of a run's deadlines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio

from deskhand.errors import (
    DeadlineExceededError,
    DeskhandError,
    OverloadedError,
    RateLimitedError,
    TruncatedStreamError,
)
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.retry import Clock, backoff, wait_asked_for

__all__ = ["Deadlines", "Patience", "Retry", "persist"]

ResultT = TypeVar("ResultT")

_HELD: Final = 1.0
"""Seconds at most between two looks at whether a repetition is allowed by now."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an answer may take, in seconds.

    Attributes:
        connect: Until there is a connection.
        idle: Between two events that bring content; pings do not count.
        total: From the first request of a turn to the end of its answer, waits included.
    """

    connect: float = 10.0
    idle: float = 300.0
    total: float = 1800.0


@dataclass(frozen=True, slots=True)
class Patience:
    """When a turn is asked for again.

    Attributes:
        refusals: How often at most after the other side refused or could not be reached.
        cuts: How often at most after an answer was cut off; each of them has been paid for.
        cap: The longest wait in seconds; who asks for more gets an error at once. A repetition that the client's runs
            leave no room for waits as long.
        base: The first wait in seconds where the other side names none; it doubles, up to ``ceiling``.
        ceiling: The longest wait of that kind.
    """

    refusals: int = 5
    cuts: int = 2
    cap: float = 60.0
    base: float = 0.5
    ceiling: float = 16.0


@dataclass(frozen=True, slots=True)
class Retry:
    """That a turn is asked for again: what went wrong, how often so far, and after how many seconds at least."""

    error: DeskhandError
    attempt: int
    delay: float


@dataclass(slots=True)
class _Count:
    refusals: int = 0
    cuts: int = 0
    total: int = field(default=0)


async def persist(
    ask: Callable[[], Awaitable[ResultT]],
    *,
    patience: Patience,
    deadlines: Deadlines,
    clock: Clock,
    budget: RetryBudget,
    afford: Callable[[float], None],
    on_retry: Callable[[Retry], None],
) -> ResultT:
    """Ask until there is an answer, or no more sense in asking.

    Args:
        ask: One attempt; raises a `DeskhandError` that says whether it may be repeated.
        patience: How often, and how long to wait between.
        deadlines: ``total`` bounds it all.
        clock: Time.
        budget: How much of what is asked may be a repetition.
        afford: Asked before each wait, with its seconds; raises where the run does not have them.
        on_retry: Told before each wait.

    Raises:
        RateLimitedError: At once, where the other side asks for a longer wait than the cap; ``retry_at`` says which.
        OverloadedError: If the budget allowed no repetition for as long as the cap.
        DeadlineExceededError: If ``total`` has passed.
        DeskhandError: The last error.
    """
    ends = clock.monotonic() + deadlines.total
    count = _Count()
    budget.count()
    while True:
        try:
            with anyio.fail_after(max(0.0, ends - clock.monotonic())):
                result = await ask()
        except DeskhandError as error:
            delay = _delay(error, count, patience, clock)
            if delay is None or clock.monotonic() + delay >= ends:
                raise
            failed = error
            afford(delay)
            on_retry(Retry(error, count.total, delay))
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the model's turn was not complete after {deadlines.total:g} s", effect="no"
            ) from error
        else:
            if count.total:
                budget.give_back()
            return result
        await clock.sleep(delay)
        await _allowed(failed, budget, clock, min(patience.cap, ends - clock.monotonic()), afford)


async def _allowed(
    failed: DeskhandError, budget: RetryBudget, clock: Clock, longest: float, afford: Callable[[float], None]
) -> None:
    """Wait until the budget allows a repetition.

    Raises:
        OverloadedError: If that takes longer than it may.
    """
    ends = clock.monotonic() + longest
    while not budget.take(clock.monotonic()):
        wait = backoff(1, clock, base=_HELD, ceiling=_HELD)
        if clock.monotonic() + wait >= ends:
            raise OverloadedError(
                f"{failed.message} Too many requests of this client fail to ask again: there was no room for "
                f"{longest:.0f} s.",
                hint="start it again later, with fewer runs at once",
                provider=failed.provider,
                request_id=failed.request_id,
                effect="no",
            ) from failed
        afford(wait)
        await clock.sleep(wait)


def _delay(error: DeskhandError, count: _Count, patience: Patience, clock: Clock) -> float | None:
    """Count an error and return the seconds to wait; ``None`` where it is final."""
    if not error.retryable:
        return None
    count.total += 1
    if isinstance(error, TruncatedStreamError | DeadlineExceededError):
        count.cuts += 1
        if count.cuts > patience.cuts:
            return None
    else:
        count.refusals += 1
        if count.refusals > patience.refusals:
            return None
    if error.retry_at is not None:
        wait = wait_asked_for(error.retry_at, clock, cap=patience.cap)
        if wait is None:
            raise _too_long(error, error.retry_at - clock.wall(), patience.cap)
        return wait
    return backoff(count.total, clock, base=patience.base, ceiling=patience.ceiling)


def _too_long(error: DeskhandError, wait: float, cap: float) -> RateLimitedError:
    late = RateLimitedError(
        f"{error.message} It asks to wait {wait:.0f} s; this run waits {cap:.0f} s at most.",
        hint="start it again later",
        provider=error.provider,
        request_id=error.request_id,
        retry_at=error.retry_at,
    )
    late.__cause__ = error
    return late
