"""What was measured: the figures of repeated times, or why there are none."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["Cell", "Figures", "duration"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in milliseconds: how many, the least, the middle, the 95th percentile, the mean and the greatest."""

    n: int
    min: float
    p50: float
    p95: float
    mean: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Return the figures of one or more times, given in seconds."""
        times = sorted(1000 * value for value in seconds)
        return cls(
            n=len(times),
            min=times[0],
            p50=_percentile(times, 0.5),
            p95=_percentile(times, 0.95),
            mean=statistics.fmean(times),
            max=times[-1],
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one provider.

    Attributes:
        figures: What was measured.
        text: What was found, where that is no time.
        note: What a reader must know beside it; where there is neither of the two, why.
        failed: Whether it should have been measured, and an error kept it from being.
        published: The milliseconds that ``text`` names, where it was not measured but published.
    """

    figures: Figures | None = None
    text: str | None = None
    note: str | None = None
    failed: bool = False
    published: float | None = None


def _percentile(times: Sequence[float], share: float) -> float:
    """Return a percentile of sorted times, between the two that are next to it."""
    place = (len(times) - 1) * share
    below, above = math.floor(place), math.ceil(place)
    return times[below] + (times[above] - times[below]) * (place - below)


def duration(milliseconds: float) -> str:
    """Return a time as people read it: ``2.4 ms``, ``272 ms``, ``3.13 s``."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.2f} s"
