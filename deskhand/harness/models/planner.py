"""What of a history is sent: each request within its model's limits, and as much of it cached as can be.

A model whose thinking is bound to what it saw gets a history that only grows; old results are dropped by the server.
For others old screenshots are left out here, many at a time: between two such prunings a request begins with the very
bytes of the one before, and a pruning itself keeps what is before the last one. Calls, their answers and the model's
own words always stay: only what an image block held changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from deskhand.errors import BudgetExceededError
from deskhand.harness.models.profiles import ModelProfile
from deskhand.harness.models.transcript import Transcript

__all__ = ["Pruned", "plan"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a request went without.

    Attributes:
        images: How many images were left out, all told.
        forced: Whether some had to be, since the request could not have been sent else; on a model that is bound to
            what it saw, thinking goes with them.
    """

    images: int = 0
    forced: bool = False


def plan(transcript: Transcript, profile: ModelProfile, max_body: int) -> Pruned:
    """Bring a history into a form that can be sent.

    Args:
        transcript: The history; changed in place.
        profile: What is known of the model.
        max_body: Bytes that a request may have.

    Raises:
        BudgetExceededError: If its words alone are more than can be sent.
    """
    transcript.settle()
    lost = 0
    keep = profile.keep_images
    if keep is not None and transcript.images > keep + profile.prune_every:
        lost = transcript.prune(keep)
    if transcript.images <= profile.max_images and transcript.size <= max_body:
        return Pruned(lost)
    forced = transcript.shrink(max_body // 2, profile.max_images // 2)
    if transcript.size > max_body:
        raise BudgetExceededError(
            f"the conversation has more than the {max_body} bytes that one request may have, without its screenshots",
            reason="context",
            hint="have long output written to files, and look at parts of it",
        )
    return Pruned(lost + forced, forced=forced > 0)
