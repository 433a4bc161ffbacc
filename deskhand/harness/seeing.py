"""How a run looks: how long it waits for a screen to come to rest, and when a frame has become too old to act on."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread

from deskhand.providers.contract import Region, Screen

__all__ = ["Seeing", "difference", "region_around"]

_GRID: Final = 16
"""Cells a side in which two pictures of a place are compared: the traces of encoding and scaling are blurred away."""

_VISIBLE: Final = 24
"""Steps of 255 by which a cell's colour must differ to count."""


@dataclass(frozen=True, slots=True)
class Seeing:
    """How a run looks at its computers' screens; data, to be tuned.

    Attributes:
        settle: Seconds that a look waits at most for what was done to show; 0 to look at once.
        quiet: Seconds for which the screen must have kept still.
        refuse_stale: Whether a call is answered with a fresh frame, and not done, where the screen under its target is
            no longer what the model saw.
        reach: Pixels of the frame around a target that count as under it.
        focus: Pixels of the frame around the last click that count as where typing and keys go; 0 where these are never
            compared.
        tolerance: The share of these pixels that may have changed.
        patience: Seconds of waiting between a plan and its action (for an approval, in a pause) after which it is
            looked again on a computer that cannot tell what was drawn. 0: after any wait.
    """

    settle: float = 2.0
    quiet: float = 0.15
    refuse_stale: bool = True
    reach: int = 24
    focus: int = 24
    tolerance: float = 0.1
    patience: float = 3.0

    @classmethod
    def off(cls) -> Seeing:
        """Return that of a run which acts on whatever is there, and looks at once."""
        return cls(settle=0.0, refuse_stale=False)


def region_around(point: tuple[int, int], reach: int, shown: Screen, screen: Screen) -> Region:
    """Return what lies around a pixel of a frame, in pixels of the screen that the frame shows.

    Args:
        point: A pixel of the frame.
        reach: Pixels of the frame to each side.
        shown: The frame's size.
        screen: The screen's.
    """
    across, down = screen.width / shown.width, screen.height / shown.height
    left = max(0, int((point[0] - reach) * across))
    top = max(0, int((point[1] - reach) * down))
    right = min(screen.width, int((point[0] + reach + 1) * across))
    bottom = min(screen.height, int((point[1] + reach + 1) * down))
    return Region(left, top, max(right, left + 1), max(bottom, top + 1))


async def difference(before: bytes, after: bytes, region: Region, limiter: anyio.CapacityLimiter) -> float:
    """Return the share of a region of the screen that two whole pictures of it show otherwise.

    Args:
        before: The frame, which may have been scaled.
        after: The screen as it was captured.
        region: In pixels of ``after``.
        limiter: Bounds the threads that decode.
    """
    return await anyio.to_thread.run_sync(_difference, before, after, region, limiter=limiter)


def _difference(before: bytes, after: bytes, region: Region) -> float:
    from PIL import Image, ImageChops

    cells = []
    size = Image.open(io.BytesIO(after)).size
    for data in (before, after):
        image = Image.open(io.BytesIO(data))
        across, down = image.width / size[0], image.height / size[1]
        box = (region.left * across, region.top * down, region.right * across, region.bottom * down)
        cells.append(image.convert("RGB").resize((_GRID, _GRID), Image.Resampling.BOX, box=box))
    bands = ImageChops.difference(*cells).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    return sum(most.histogram()[_VISIBLE:]) / (_GRID * _GRID)
