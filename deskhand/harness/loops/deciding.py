"""What follows a model's answer: a pure decision, the same for an answer that comes and for one that was recorded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from deskhand.errors import BudgetExceededError, ProtocolError, RefusedError, RunStoppedError
from deskhand.harness.models.adapter import Turn
from deskhand.tools.calls import Observation, SafetyCheck

__all__ = [
    "MAX_CALLS",
    "MAX_CUT",
    "TOO_MANY",
    "Act",
    "Finish",
    "GoOn",
    "Next",
    "Repeat",
    "Resume",
    "decide",
    "heed",
    "unasked",
    "with_look",
]

MAX_CALLS: Final = 64
"""Calls of one turn that are run; the rest are answered with an error."""

MAX_CUT: Final = 3
"""How often in a row an answer may be cut off at its token limit."""


@dataclass(frozen=True, slots=True)
class Act:
    """Run the calls and show the model what came of them."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Send the conversation as it is: the model paused."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Ask the same again: the answer is no answer."""

    why: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """Run nothing, and let the model go on."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The model is done."""


Next: TypeAlias = Act | Resume | Repeat | GoOn | Finish

TOO_MANY: Final = f"Not executed: one turn may ask for {MAX_CALLS} actions. Ask again in the next turn."
_CUT: Final = "Your answer was cut off at the token limit; nothing of it was run. Go on, in smaller steps."


def decide(turn: Turn, used: Collection[str | None] = frozenset()) -> Next:
    """Decide what follows an answer; nothing is run unless the model stopped to have it run.

    Args:
        turn: The answer.
        used: The vendor's ids of all earlier calls.

    Raises:
        RefusedError: If the model declined.
        BudgetExceededError: If the conversation has outgrown the model.
        ProtocolError: If the model stopped for a reason that nobody here knows.
    """
    ids = turn.call_ids
    if len(set(ids)) < len(ids) or any(one in used for one in ids):
        return Repeat("its calls have ids that repeat")
    match turn.stop:
        case "act":
            return Act() if ids else Repeat("it stopped for a tool and called none")
        case "done":
            return Finish()
        case "resume":
            return Resume()
        case "cut":
            return GoOn(_CUT)
        case "declined":
            raise RefusedError(f"the model declined: {turn.declined or 'it gave no reason'}"[:500])
        case "full":
            raise BudgetExceededError("the conversation no longer fits into the model's context", reason="context")
        case None:
            raise ProtocolError(
                f"the model stopped for a reason that is not known here: {turn.stop_reason[:80]!r}", effect="no"
            )


def heed(observations: Sequence[Observation]) -> None:
    """End the run where a person denied what the model's vendor wanted a person to see.

    Raises:
        RunStoppedError: If so: the vendor takes no answer to such a call but an acknowledgement.
    """
    for seen in observations:
        if seen.call.checks and seen.outcome == "denied":
            raise RunStoppedError(f"{seen.call.name}: {seen.text}", reason="denied")


def unasked(observations: Sequence[Observation]) -> list[SafetyCheck]:
    """Return the vendor's checks of calls that failed before a person was asked."""
    return [check for seen in observations if seen.approved is None for check in seen.call.checks]


def with_look(observations: Sequence[Observation], index: int, look: Observation) -> list[Observation]:
    """Return the results of a batch with a look at the screen in one of them.

    Args:
        observations: The results.
        index: Which of them bears the look.
        look: The look; a person who was asked beside it has answered the checks that nobody was asked about.
    """
    found = [
        replace(seen, approved=look.approved) if seen.call.checks and seen.approved is None else seen
        for seen in observations
    ]
    if look.frame is not None and look.ok:
        found[index] = replace(found[index], frame=look.frame, image=look.image)
    return found
