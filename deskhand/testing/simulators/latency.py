"""How long a simulator takes for its answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Literal, TypeAlias

__all__ = ["Latency", "LatencyName"]

LatencyName: TypeAlias = Literal["none", "seed"]
"""``none``: as fast as it goes; ``seed``: the figures that were measured with the vendor, in the seed's table."""


class Latency:
    """How many seconds the answer of each route is held back; the same every time.

    Args:
        ranges: The fastest and the slowest answer by route name, in seconds.
        other: The range of the routes that are not named.
        seed: Where the figures in between begin.
    """

    def __init__(self, ranges: Mapping[str, tuple[float, float]], other: tuple[float, float], *, seed: int = 0) -> None:
        self._ranges = dict(ranges)
        self._other = other
        self._random = random.Random(seed)  # noqa: S311 - times to wait, not secrets

    def of(self, route: str) -> float:
        """Returns the seconds that the next answer of a route takes."""
        return self._random.uniform(*self._ranges.get(route, self._other))
