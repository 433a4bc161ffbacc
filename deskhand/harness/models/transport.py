"""How long a model is waited for and how often it is asked again: one policy for every vendor.

The vendors' own retries are switched off: they repeat a request without a word, wait as long as a header says (weeks,
if it says so), and know nothing of a run's deadlines.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import anyio

from deskhand.errors import DeadlineExceededError, DeskhandError, RateLimitedError, TruncatedStreamError

__all__ = ["Clock", "Deadlines", "Patience", "Retry", "persist", "retry_after"]

ResultT = TypeVar("ResultT")

_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,9})?")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as this module sees it.

    Attributes:
        wall: Unix seconds.
        monotonic: Seconds that never go back.
        sleep: Waits so many seconds.
        random: A number from 0 up to 1.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    random: Callable[[], float] = random.random


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
        cap: The longest wait in seconds; who asks for more gets an error at once.
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
    """That a turn is asked for again: what went wrong, how often so far, and after how many seconds."""

    error: DeskhandError
    attempt: int
    delay: float


@dataclass(slots=True)
class _Count:
    refusals: int = 0
    cuts: int = 0
    total: int = field(default=0)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait; ``None`` where it names none that makes sense.

    ``retry-after-ms`` counts before ``retry-after``, which holds seconds or an HTTP date. A date that has passed means
    now; a negative number, an infinity or anything else means nothing.

    Args:
        headers: The response's headers, names in lower case or in a mapping that does not mind.
        now: The wall clock, in Unix seconds.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    seconds = _number(given)
    if seconds is not None or given is None:
        return seconds
    try:
        until = parsedate_to_datetime(given).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, until - now)


def _number(text: str | None) -> float | None:
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


async def persist(
    ask: Callable[[], Awaitable[ResultT]],
    *,
    patience: Patience,
    deadlines: Deadlines,
    clock: Clock,
    on_retry: Callable[[Retry], None],
) -> ResultT:
    """Ask until there is an answer, or no more sense in asking.

    Args:
        ask: One attempt; raises a `DeskhandError` that says whether it may be repeated.
        patience: How often, and how long to wait between.
        deadlines: ``total`` bounds it all.
        clock: Time.
        on_retry: Told before each wait.

    Raises:
        RateLimitedError: At once, where the other side asks for a longer wait than the cap; ``retry_at`` says which.
        DeadlineExceededError: If ``total`` has passed.
        DeskhandError: The last error.
    """
    ends = clock.monotonic() + deadlines.total
    count = _Count()
    while True:
        try:
            with anyio.fail_after(max(0.0, ends - clock.monotonic())):
                return await ask()
        except DeskhandError as error:
            delay = _delay(error, count, patience, clock)
            if delay is None or clock.monotonic() + delay >= ends:
                raise
            on_retry(Retry(error, count.total, delay))
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the model's turn was not complete after {deadlines.total:g} s", effect="no"
            ) from error
        await clock.sleep(delay)


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
        wait = max(0.0, error.retry_at - clock.wall())
        if wait > patience.cap:
            raise _too_long(error, wait, patience.cap)
        return min(patience.cap, wait * (1 + 0.1 * clock.random()))  # never earlier than asked, and not all at once
    longest = min(patience.ceiling, math.ldexp(patience.base, count.total - 1))
    return longest * (0.5 + 0.5 * clock.random())


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
