"""What a machine received of input: the measure that tests hold ``perform`` against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["GroundTruth", "Received", "typed_text"]

ReceivedKind = Literal["key_down", "key_up", "button_down", "button_up", "motion"]


@dataclass(frozen=True, slots=True)
class Received:
    """One input event as an application on the machine got it.

    Attributes:
        kind: What happened.
        name: The key (canonical name or character), or the button (``left``, ..., ``wheel_down``); empty for motion.
        text: What the key typed; empty where it types nothing.
        x: The pointer's place on the screen in pixels.
        y: The pointer's place on the screen in pixels.
        modifiers: The modifiers in force just before the event.
        time: Seconds on the machine's own clock.
    """

    kind: ReceivedKind
    name: str = ""
    text: str = ""
    x: int = 0
    y: int = 0
    modifiers: frozenset[str] = frozenset()
    time: float = 0.0


class GroundTruth(Protocol):
    """Someone on the machine who writes down the input that arrives, independent of whoever sends it."""

    async def clear(self) -> None:
        """Forget what was received so far."""

    async def events(self) -> Sequence[Received]:
        """Return everything received since the last `clear`, with nothing on its way left out."""
        ...


def typed_text(events: Sequence[Received]) -> str:
    """Return the text that these events type."""
    return "".join(event.text for event in events if event.kind == "key_down")
