"""What of a history is sent: each request within its model's limits, and as much of it cached as can be.

A model whose thinking is bound to what it saw gets a history that only grows; old results are dropped by the server.
For others old screenshots are left out here, many at a time: between two such prunings a request begins with the very
bytes of the one before, and a pruning itself keeps what is before the last one. Calls, their answers and the model's
own words stay: only what an image block held changes. Where even that is too much to be sent, the oldest exchanges go
whole, an answer with what came of its calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from deskhand.errors import BudgetExceededError
from deskhand.harness.models.profiles import ModelProfile
from deskhand.harness.models.transcript import Transcript

__all__ = ["Pruned", "plan"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a request goes without for the first time.

    Attributes:
        images: How many images were left out.
        exchanges: How many answers of the model were, each with what came of its calls.
        forced: Whether some of it had to be, since the request could not have been sent else; on a model that is bound
            to what it saw, thinking goes with it.
    """

    images: int = 0
    exchanges: int = 0
    forced: bool = False


def plan(transcript: Transcript, profile: ModelProfile, max_body: int) -> Pruned:
    """Bring a history into a form that can be sent.

    Args:
        transcript: The history; changed in place.
        profile: What is known of the model.
        max_body: Bytes that a request may have.

    Raises:
        BudgetExceededError: If the words of the newest items alone are more than can be sent.
    """
    transcript.settle()
    images = exchanges = 0
    keep = profile.keep_images
    if keep is not None and transcript.images > keep + profile.prune_every:
        images = transcript.prune(keep)
    room = profile.max_images - transcript.blanks
    if transcript.images <= room and transcript.size <= max_body:
        return Pruned(images)
    if room < profile.max_images // 2:
        exchanges = transcript.forget(max_body, profile.max_images // 4)
        room = profile.max_images - transcript.blanks
    if transcript.images > room or transcript.size > max_body:
        images += transcript.shrink(max_body // 2, room // 2)
    if transcript.size > max_body:
        exchanges += transcript.forget(max_body // 2, profile.max_images)
    if transcript.size > max_body or transcript.images + transcript.blanks > profile.max_images:
        raise BudgetExceededError(
            f"the newest part of the conversation alone is more than one request may have ({max_body} bytes, "
            f"{profile.max_images} images)",
            reason="context",
            hint="have long output written to files, and look at parts of it",
        )
    return Pruned(images, exchanges, forced=True)
