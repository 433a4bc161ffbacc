"""What a request is allowed to cost, and whether it may be sent twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Operation", "Repetition"]

Repetition: TypeAlias = Literal["read", "repeatable", "once"]
"""``read`` changes nothing; ``repeatable`` does the same however often it arrives; ``once`` must not arrive twice."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of request that a provider makes.

    Attributes:
        name: What it does, as messages say it (``create a computer``).
        method: The HTTP method.
        repetition: Whether it may be sent again where there was no answer, or one that allows another try.
        deadline: Seconds that it may take, repetitions and the waits between them included.
        limit: Bytes of its answer at most.
        attempts: How often it is sent at most; what must not arrive twice is sent once, whatever this says.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "POST"
    repetition: Repetition = "once"
    deadline: float = 30.0
    limit: int = 1 << 20
    attempts: int = 3

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again."""
        return self.repetition != "once"
