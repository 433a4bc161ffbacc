"""Whether a run goes in circles: seen from its calls and the pictures that they were planned on, not from what is said.

What is done between two looks at the screen is a round. The same calls many times within a round are a plan; the same
round on the same picture, seen anew, is a circle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["Finding", "Level", "Pattern", "Step", "Stuck", "Watch"]

Pattern: TypeAlias = Literal["repeats", "ping_pong", "no_effect", "errors"]
"""The same on the same picture; a few things in turn; input that changes no picture; calls that fail."""

Level: TypeAlias = Literal["nudged", "asked", "stalled"]
"""What is done about it: the model is told, a person is asked, the run ends."""

_PLAN: Final = 256
"""Calls of one round that are told apart; a driver that never looks has one endless round."""

_LONGEST_CYCLE: Final = 3


@dataclass(frozen=True, slots=True)
class Stuck:
    """When a run counts as stuck; data, to be tuned. 0 switches one off.

    Attributes:
        repeats: How often the same input may follow on the same picture, seen anew each time.
        looks: How often nothing but looking may show the same picture, or a command the same output: that may be
            waiting for something.
        ping_pong: How often two or three rounds may follow each other in turn on the same pictures.
        no_effect: How many rounds of input in a row may leave the picture as it was.
        errors: How many calls in a row may fail.
        ask_after: How many more rounds like that until a person is asked, where one can be.
        fail_after: How many more after that until the run ends as failed, with the reason ``stalled``.
    """

    repeats: int = 4
    looks: int = 30
    ping_pong: int = 4
    no_effect: int = 8
    errors: int = 6
    ask_after: int = 4
    fail_after: int = 4

    @property
    def finds(self) -> bool:
        """Whether it finds anything at all."""
        return any((self.repeats, self.looks, self.ping_pong, self.no_effect, self.errors))

    @classmethod
    def off(cls) -> Stuck:
        """Return that which finds nothing."""
        return cls(repeats=0, looks=0, ping_pong=0, no_effect=0, errors=0)


class Step(NamedTuple):
    """A call as it ended.

    Attributes:
        kind: ``look`` at the whole screen, ``input`` on it, or anything ``other``.
        call: What tells its tool and arguments from others.
        seen: What tells from others what came of it: the picture of a look, the text of what is not on the screen.
        failed: Whether it failed.
    """

    kind: Literal["look", "input", "other"]
    call: Hashable
    seen: Hashable = ""
    failed: bool = False


class Finding(NamedTuple):
    """What is wrong, and how often."""

    pattern: Pattern
    times: int

    @property
    def text(self) -> str:
        """What it is, in a sentence."""
        return _SAID[self.pattern].format(self.times)


_SAID: Final[Mapping[Pattern, str]] = {
    "repeats": "The same was done {} times on the same screen, or with the same result.",
    "ping_pong": "The same few things were done in turn {} times.",
    "no_effect": "The screen has stayed the same {} times, whatever was done.",
    "errors": "{} actions in a row have failed.",
}


@dataclass(eq=False)
class Watch:
    """What was done on one computer, and what was done about it.

    Args:
        limits: When it counts as stuck.
    """

    limits: Stuck = field(default_factory=Stuck.off)
    level: Level | None = None
    _rounds: deque[Hashable] = field(default_factory=lambda: deque(maxlen=_LONGEST_CYCLE))
    _alike: list[int] = field(default_factory=lambda: [0] * (_LONGEST_CYCLE + 1))
    _on_screen: bool = True
    _plan: deque[Hashable] = field(default_factory=lambda: deque(maxlen=_PLAN))
    _picture: Hashable = ""
    _looks: int = 0
    _unchanged: int = 0
    _failed: int = 0
    _more: int = 0
    _found: Finding | None = None

    @property
    def only_looks(self) -> bool:
        """Whether nothing was done lately but to look."""
        return self._looks > 1

    @property
    def due(self) -> tuple[Level, Finding] | None:
        """What must be done before the next call: it has gone on, though the model was told or a person was asked."""
        if self._found is None:
            return None
        if self.level == "nudged" and self._more >= self.limits.ask_after:
            return "asked", self._found
        if self.level == "asked" and self._more >= self.limits.fail_after:
            return "stalled", self._found
        return None

    def take(self, step: Step) -> Finding | None:
        """Take a step; return what is wrong where the model is to be told so now."""
        if not self._ends_round(step):
            return None
        found = self._find()
        if found is None:
            self.level, self._more, self._found = None, 0, None
            return None
        self._found = found
        if self.level is None:
            self.level = "nudged"
            return found
        self._more += 1
        return None

    def escalate(self, level: Level) -> None:
        """Note what was done, and count from there."""
        self.level, self._more = level, 0

    def forgive(self) -> None:
        """Begin anew: a person said to go on."""
        self.level, self._more, self._found = None, 0, None
        self._rounds.clear()
        self._alike = [0] * (_LONGEST_CYCLE + 1)
        self._plan.clear()
        self._looks = self._failed = self._unchanged = 0

    def _ends_round(self, step: Step) -> bool:
        """Take a step into account; tell whether there is anything to judge."""
        if step.failed:
            self._failed += 1
        elif step.kind != "look":
            self._failed = 0
        if step.kind == "input":
            self._plan.append(step.call)
            return step.failed
        if step.kind == "other":
            self._end_round((step.call, step.seen), on_screen=False)
            return True
        if step.failed:
            return True
        if self._plan:
            self._end_round((hash(tuple(self._plan)), self._picture), on_screen=True)
            self._unchanged = self._unchanged + 1 if step.seen == self._picture else 0
            self._plan.clear()
            self._looks = 1
        else:
            self._looks = self._looks + 1 if step.seen == self._picture else 1
        self._picture = step.seen
        return True

    def _end_round(self, what: Hashable, *, on_screen: bool) -> None:
        """Count for each period for how many rounds each has been like the one that long before it."""
        for length in range(1, _LONGEST_CYCLE + 1):
            alike = len(self._rounds) >= length and self._rounds[-length] == what
            self._alike[length] = self._alike[length] + 1 if alike else 0
        self._rounds.append(what)
        self._on_screen = on_screen

    def _find(self) -> Finding | None:
        """Say what the last rounds show."""
        limits = self.limits
        if limits.errors and self._failed >= limits.errors:
            return Finding("errors", self._failed)
        if limits.looks and self._looks >= limits.looks:
            return Finding("repeats", self._looks)
        most, times = limits.repeats if self._on_screen else limits.looks, self._alike[1] + 1
        if most and times >= most and self._rounds:
            return Finding("repeats", times)
        for length in range(2, _LONGEST_CYCLE + 1):
            times = self._alike[length] // length + 1
            all_alike = self._alike[1] >= length - 1  # (that has the period 1)
            if limits.ping_pong and times >= limits.ping_pong and not all_alike:
                return Finding("ping_pong", times)
        if limits.no_effect and self._unchanged >= limits.no_effect:
            return Finding("no_effect", self._unchanged)
        return None
