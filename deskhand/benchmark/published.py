"""Figures that others have published: references beside what is measured, never in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deskhand.benchmark.figures import Cell, duration

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True, slots=True)
class Published:
    """What somebody has published of a provider.

    Attributes:
        provider: The provider's name.
        date: When it was measured; where that is not said, when it was read.
        source: Who says so, and of what.
        cells: The figures by the metric's name.
    """

    provider: str
    date: str
    source: str
    cells: Mapping[str, Cell]


def _said(milliseconds: float, note: str | None = None, *, prefix: str = "") -> Cell:
    return Cell(text=f"{prefix}{duration(milliseconds)}", note=note, published=milliseconds)


PUBLISHED: Final = (
    Published(
        "orgo",
        "2026-06-09",
        "MIOSA's documentation of external providers: one run by a client in the US",
        {
            "boot_warm": _said(272),
            "boot_cold": _said(3130),
            "ready": _said(2090),
            "exec": Cell(text="100 ms / 116 ms", published=100),
            "python": _said(206),
            "file_write": _said(100),
            "click": _said(200),
            "screenshot": Cell(text="290 ms - 1.19 s", published=290),
            "clone": Cell(note="404: not of that plan"),
            "reported": Cell(text="1 vCPU / 4 GB / 1280x720"),
            "measured": Cell(text="8 cores"),
        },
    ),
    Published(
        "miosa",
        "2026-06-09",
        "the same page, of MIOSA's own benchmark",
        {"boot_warm": _said(166, "a sandbox restored from a snapshot")},
    ),
    Published(
        "daytona",
        "read 2026-11-30",
        "Daytona's documentation, undated",
        {"boot_warm": _said(90, "from code to execution", prefix="under ")},
    ),
)
"""The references that are known."""
