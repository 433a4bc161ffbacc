"""How much of what is asked may be a repetition: shared by all runs of a client, which could keep an API down else.

A run alone is never held back. Where many fail at once, each would be in its rights to ask again, and all together they
would ask several times what the other side had too much of already.
"""

from __future__ import annotations

import functools
from typing import Final
from weakref import WeakKeyDictionary

__all__ = ["RetryBudget", "budget_at", "budget_of"]

SHARE: Final = 0.2
"""What a request adds: repetitions are a fifth of all that is asked."""

RATE: Final = 1.0
"""What a second adds, so that those who failed together are asked again even where nobody else asks."""

MOST: Final = 5.0
"""What can be saved up: as many as one run repeats in a row."""


class RetryBudget:
    """Counts requests and allows repetitions; one that is answered gives back what it took."""

    def __init__(self) -> None:
        self._left = MOST
        self._at: float | None = None

    def count(self) -> None:
        """Take note of a request that is no repetition."""
        self._left = min(MOST, self._left + SHARE)

    def take(self, now: float) -> bool:
        """Tell whether a request may be repeated; if so, that counts.

        Args:
            now: Seconds that never go back.
        """
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(MOST, self._left + RATE * passed)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Take note that a repetition was answered: the other side is there, and the next may come."""
        self._left = min(MOST, self._left + 1)


_BUDGETS: Final[WeakKeyDictionary[object, RetryBudget]] = WeakKeyDictionary()


def budget_of(client: object) -> RetryBudget:
    """Return the budget of all who use a client; one for the caller alone where a client cannot be told from others."""
    try:
        return _BUDGETS.setdefault(client, RetryBudget())
    except TypeError:
        return RetryBudget()


@functools.lru_cache(maxsize=64)
def budget_at(address: str) -> RetryBudget:
    """Return the budget of this process for an address that it makes clients for."""
    del address
    return RetryBudget()
