"""The steps of a recorded run, as its conversation went: what its model was told, what it answered, what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from pydantic import JsonValue

from deskhand.harness.blobs import LOST_BLOB, BlobStore
from deskhand.harness.events import (
    ActionFinished,
    ActionFinishedData,
    ActionStarted,
    CallSummary,
    FrameCaptured,
    Usage,
)
from deskhand.providers.contract import Screen
from deskhand.tools.calls import ErrorInfo, Frame, Observation, ToolCall

__all__ = ["LOOP", "TOLD", "Acted", "Answer", "Step", "Told", "frame_of", "pieces_of"]

TOLD: Final = "model.told"
"""The event that says what a model was told besides the goal and the results of its calls."""

LOOP: Final = "loop.started"
"""The event that says what drives one computer of a run whose computers have loops of their own."""

_PIECE: Final = 32 * 1024
"""Characters of a text that one event holds."""

_HARNESS: Final = "harness"
"""The actor of what is done for a loop."""


def frame_of(event: FrameCaptured) -> Frame:
    """Return the frame that an event tells of."""
    data = event.data
    return Frame(
        data.frame_id,
        data.sha256,
        data.mime,
        data.width,
        data.height,
        Screen(*data.screen),
        data.cause,
        data.bytes,
        event.computer_id or "",
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What the model was told; ``beside`` the results of its last calls, or else before its next answer."""

    text: str
    beside: bool
    computer_id: str | None = None


@dataclass(eq=False, slots=True)
class Answer:
    """One answer of the model.

    Attributes:
        turn: Its number.
        raw: The blob with the vendor's items as they came; ``None`` where the driver kept none.
        calls: Its calls, by the ids under which their actions were recorded.
        text: What it said.
        computer_id: The computer whose own loop asked for it.
        rest: The blob with what else a loop needs to take the answer up again.
        stop_reason: Why it stopped, in the vendor's words.
        usage: What it used.
    """

    turn: int
    raw: str | None
    calls: Sequence[CallSummary]
    text: str = ""
    computer_id: str | None = None
    rest: str | None = None
    stop_reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(eq=False, slots=True)
class Acted:
    """One action: its intent, its outcome, or both.

    Attributes:
        call_id: The call's id.
        turn: The turn in which it was; 0 before the first.
        computer_id: The computer that it was on.
        started: The intent; ``None`` where it was refused before there was one.
        finished: The outcome; ``None`` where the run ended, or died, before it was known.
        frame: The frame that it brought.
        approved: Whether a person let it run; ``None`` where nobody was asked.
    """

    call_id: str
    turn: int
    computer_id: str | None = None
    started: ActionStarted | None = None
    finished: ActionFinished | None = None
    frame: Frame | None = None
    approved: bool | None = None

    @property
    def by_loop(self) -> bool:
        """Whether the harness asked for it, and no person."""
        if self.started is not None:
            return self.started.data.actor == _HARNESS
        return self.finished is None or self.finished.data.actor in {None, _HARNESS}

    @property
    def is_look(self) -> bool:
        """Whether it is a screenshot that the loop itself took."""
        return self.finished is not None and self.finished.data.name == "screenshot" and self.by_loop

    async def observation(self, call: ToolCall, blobs: BlobStore) -> Observation | None:
        """Return what came of the call then; ``None`` where that is not recorded.

        A frame stands there without its image where that is no longer kept, as that of a frame that was dropped.
        """
        if self.finished is None:
            return None
        data = self.finished.data
        error = data.error
        return Observation(
            replace(call, id=self.call_id, computer_id=self.computer_id),
            data.outcome,
            data.effect,
            text=await _text(data, blobs),
            frame=self.frame,
            image=None if self.frame is None else await _kept(self.frame.sha256, blobs),
            error=None if error is None else ErrorInfo(**error.model_dump()),
            duration=data.duration,
            approved=self.approved,
        )


Step: TypeAlias = Told | Answer | Acted


async def _text(data: ActionFinishedData, blobs: BlobStore) -> str:
    """Return a result's whole text; what its event holds of it where the rest is no longer kept."""
    whole = None if data.text_blob is None else await _kept(data.text_blob, blobs)
    return data.text if whole is None else whole.decode()


async def _kept(key: str, blobs: BlobStore) -> bytes | None:
    try:
        return await blobs.get(key)
    except LOST_BLOB:
        return None


def pieces_of(text: str, *, beside: bool) -> list[dict[str, JsonValue]]:
    """Return the values of the events that record what a model is told."""
    starts = range(0, max(1, len(text)), _PIECE)
    return [{"text": text[at : at + _PIECE], "beside": beside, "more": at + _PIECE < len(text)} for at in starts]
