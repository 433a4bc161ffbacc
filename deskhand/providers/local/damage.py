"""Tell when the screen has come to rest, from the server's own reports of what was drawn."""

from __future__ import annotations

import time
from typing import Any

import anyio
import xcffib.damage

from deskhand.providers.local.xconnection import XConnection

__all__ = ["DamageTracker"]

_REARM = 0.015
_CARET_WIDTH, _CARET_HEIGHT = 3, 48
_BLOCK_AREA = 600
_BLINK_MEMORY = 3.0
_PLACES = 64
"""Places that are remembered, the last drawn on."""

_Box = tuple[int, int, int, int]


class DamageTracker:
    """Remembers when the screen last changed, apart from carets.

    The server reports a growing bounding box once and then keeps quiet until it is reset; resetting at most every 15 ms
    bounds what a video costs.
    """

    def __init__(self, connection: XConnection) -> None:
        self._connection = connection
        self._changed = time.monotonic()
        self._armed = True
        self._small: dict[_Box, float] = {}
        self._drawn: dict[_Box, float] = {}
        self._reported_since: list[_Box] = []
        self._forgotten = self._changed
        self._damage = connection.new_id()
        connection.on(xcffib.damage.NotifyEvent, self._reported)
        connection.damage.Create(self._damage, connection.root, xcffib.damage.ReportLevel.BoundingBox)
        connection.flush()

    def touch(self) -> None:
        """Count as a change: input was sent, and what it will draw is still to come."""
        self._changed = time.monotonic()

    def quiet_for(self) -> float:
        """Return the seconds since the last change."""
        return time.monotonic() - self._changed

    def changed(self, left: int, top: int, right: int, bottom: int, within: float) -> bool:
        """Tell whether anything but carets was drawn there in the last ``within`` seconds.

        What was drawn on more places than are remembered was drawn anywhere.
        """
        since = time.monotonic() - within
        return self._forgotten > since or any(
            at > since and x < right and left < x + width and y < bottom and top < y + height
            for (x, y, width, height), at in self._drawn.items()
        )

    async def settle(self, quiet: float, limit: float) -> float:
        """Wait until nothing has changed for ``quiet`` seconds, at most ``limit``; return the seconds waited."""
        start = time.monotonic()
        while True:
            waited = time.monotonic() - start
            rest = min(quiet - self.quiet_for(), limit - waited)
            if rest <= 0:
                self._connection.flush()  # says whether the server has ended meanwhile
                return waited
            await anyio.sleep(rest)

    def _reported(self, event: Any) -> None:
        area = event.area
        box = (area.x, area.y, area.width, area.height)
        if not self._is_blink(box):
            self._changed = time.monotonic()
            self._remember(box)
            self._reported_since.append(box)
        if self._armed:
            self._armed = False
            self._connection.call_later(_REARM, self._rearm)

    def _remember(self, box: _Box) -> None:
        self._drawn.pop(box, None)  # (the newest stands last)
        self._drawn[box] = time.monotonic()
        if len(self._drawn) > _PLACES:
            self._forgotten = self._drawn.pop(next(iter(self._drawn)))

    def _rearm(self) -> None:
        self._armed = True
        for box in self._reported_since:  # (what was drawn within these meanwhile was not reported)
            self._remember(box)
        self._reported_since.clear()
        self._connection.damage.Subtract(self._damage, 0, 0)
        self._connection.flush()

    def _is_blink(self, box: _Box) -> bool:
        """Whether this is a caret: a thin bar, or a small block that was drawn in the same place before."""
        _, _, width, height = box
        if width <= _CARET_WIDTH and height <= _CARET_HEIGHT:
            return True
        if width * height > _BLOCK_AREA:
            return False
        now = time.monotonic()
        seen = self._small.get(box)
        self._small = {known: at for known, at in self._small.items() if now - at < _BLINK_MEMORY}
        self._small[box] = now
        return seen is not None and now - seen > _REARM * 10
