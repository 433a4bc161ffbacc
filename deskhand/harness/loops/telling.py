"""The pieces of a model's answer as events, as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deskhand.harness.context import TurnContext
from deskhand.harness.models.adapter import Delta
from deskhand.retry import Clock

__all__ = ["Teller"]

MOMENT: Final = 0.03
"""Seconds within which pieces of an answer are told as one."""


class Teller:
    """Tells the pieces of an answer, those that come within a moment as one: each is an event for every subscriber.

    A piece is held back until the next event at most, and that one only while it comes within the moment.
    """

    def __init__(self, turn: TurnContext, clock: Clock) -> None:
        self._turn = turn
        self._clock = clock
        self._held: list[Delta] = []
        self._since = 0.0

    def tell(self, deltas: Sequence[Delta]) -> None:
        """Take in what an event brought; nothing where it brought nothing to be told."""
        now = self._clock.monotonic()
        if self._held and (not deltas or deltas[0].kind != self._held[0].kind or now - self._since > MOMENT):
            self._flush()
        for delta in deltas:
            if self._held and self._held[0].kind != delta.kind:
                self._flush()
            if not self._held:
                self._since = now
            self._held.append(delta)

    def _flush(self) -> None:
        self._turn.delta("".join(delta.text for delta in self._held), kind=self._held[0].kind)
        self._held = []
