"""How long to wait before something is asked for again: what every client of a server shares."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final

import anyio

__all__ = ["Clock", "backoff", "retry_after", "wait_asked_for"]

_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,9})?")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as a client sees it.

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


def retry_after(
    headers: Mapping[str, str], now: float, told: Mapping[str, object] = MappingProxyType({})
) -> float | None:
    """Return the seconds that a response asks to wait; ``None`` where it names none that makes sense.

    ``retry-after-ms`` counts before ``retry-after``, which holds seconds or an HTTP date; where neither makes sense,
    what the error itself says does. A date that has passed means now; a negative number, an infinity or anything else
    means nothing.

    Args:
        headers: The response's headers, names in lower case or in a mapping that does not mind.
        now: The wall clock, in Unix seconds.
        told: The error in the response's body: some say ``retry_after_ms`` or ``retry_after``, in seconds, there.
    """
    asked = _in_headers(headers, now)
    if asked is None:
        milliseconds = _number(told.get("retry_after_ms"))
        asked = _number(told.get("retry_after")) if milliseconds is None else milliseconds / 1000
    return asked


def _in_headers(headers: Mapping[str, str], now: float) -> float | None:
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


def _number(value: object) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        with suppress(OverflowError):  # (a whole number may have hundreds of digits)
            return float(value)
    return None


def backoff(attempt: int, clock: Clock, *, base: float, ceiling: float) -> float:
    """Return the seconds to wait where the other side names none: doubling, and never all at once.

    Args:
        attempt: How often it was tried, from 1.
        clock: Where chance comes from.
        base: The first wait at most.
        ceiling: Any wait at most.
    """
    longest = min(ceiling, math.ldexp(base, attempt - 1))
    return longest * (0.5 + 0.5 * clock.random())


def wait_asked_for(retry_at: float, clock: Clock, *, cap: float) -> float | None:
    """Return the seconds until a time that the other side named, a little more; ``None`` where that is beyond the cap.

    Args:
        retry_at: The time in Unix seconds.
        clock: Time.
        cap: The longest wait in seconds.
    """
    wait = max(0.0, retry_at - clock.wall())
    if wait > cap:
        return None
    return min(cap, wait * (1 + 0.1 * clock.random()))  # never earlier than asked, and not all at once
