"""The events of actions: what was to be done and came of it, who was asked, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, JsonValue

from deskhand.errors import Effect
from deskhand.harness.events.envelope import ErrorData, EventBase, Fields
from deskhand.tools.calls import ActionOutcome, EffectClass, Frame, Risk

__all__ = [
    "ActionFinished",
    "ActionFinishedData",
    "ActionOutput",
    "ActionOutputData",
    "ActionStarted",
    "ActionStartedData",
    "ApprovalRequested",
    "ApprovalRequestedData",
    "ApprovalResolved",
    "ApprovalResolvedData",
    "CheckData",
    "FrameCaptured",
    "FrameCapturedData",
    "FrameDropped",
    "FrameDroppedData",
]


class ActionStartedData(Fields):
    """The intent of an action."""

    call_id: str
    provider_call_id: str | None = None
    name: str
    arguments: dict[str, JsonValue]
    effect: EffectClass
    risk: Risk
    actor: str
    frame_id: str | None = None


def _arguments(arguments: Mapping[str, JsonValue]) -> str:
    return " ".join(
        f"{name}={value!r}" if isinstance(value, str) else f"{name}={value}" for name, value in arguments.items()
    )


class ActionStarted(EventBase):
    """The intent: durable before the effect is sent."""

    type: Literal["action.started"] = "action.started"
    data: ActionStartedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.data.name} {_arguments(self.data.arguments)}".rstrip()


class ActionOutputData(Fields):
    """A piece of a command's output as it comes, decoded with replacement."""

    call_id: str
    stream: Literal["stdout", "stderr"]
    chunk: str


class ActionOutput(EventBase):
    """A piece of a command's output as it comes (transient)."""

    durable: ClassVar[bool] = False
    type: Literal["action.output"] = "action.output"
    data: ActionOutputData

    @property
    def summary(self) -> str:
        """One line for people."""
        return self.data.chunk


class ActionFinishedData(Fields):
    """The outcome of an action; ``duration`` and ``settle`` in seconds.

    ``text_blob`` is the blob with the whole text where ``text`` is not all of it, ``approved`` whether a person let it
    run, ``actor`` who asked for it where that was not the harness.
    """

    call_id: str
    name: str
    outcome: ActionOutcome
    effect: Effect
    text: str = ""
    error: ErrorData | None = None
    duration: float
    settle: float | None = None
    frame_id: str | None = None
    text_blob: str | None = None
    approved: bool | None = None
    actor: str | None = None


class ActionFinished(EventBase):
    """The outcome, after the effect."""

    type: Literal["action.finished"] = "action.finished"
    data: ActionFinishedData

    @property
    def summary(self) -> str:
        """One line for people."""
        said = self.data.error.message if self.data.error else self.data.text
        first = said.strip().splitlines()[0] if said.strip() else ""
        return f"{self.data.name} → {self.data.outcome}" + (f": {first}" if first else "")


class CheckData(Fields):
    """What a model's vendor wants a person to know before a call is run."""

    id: str
    code: str | None = None
    message: str | None = None


class ApprovalRequestedData(Fields):
    """What is asked.

    ``digest`` names exactly this call on this frame, ``crop`` is the blob with what the frame shows around it, and
    ``expires`` is when it counts as denied.
    """

    approval_id: str
    call_id: str
    name: str
    arguments: dict[str, JsonValue]
    digest: str = ""
    risk: Risk = "low"
    reason: str
    checks: list[CheckData] = Field(default=[])
    frame_id: str | None = None
    crop: str | None = None
    expires: datetime


class ApprovalRequested(EventBase):
    """A call waits for a person's answer."""

    type: Literal["approval.requested"] = "approval.requested"
    data: ApprovalRequestedData

    @property
    def summary(self) -> str:
        """One line for people."""
        asked = f"{self.data.name} {_arguments(self.data.arguments)}".rstrip()
        return f"approval wanted: {asked}: {self.data.reason}"


class ApprovalResolvedData(Fields):
    """The answer, and whose: ``arguments`` where a person changed them, and the ``digest`` of what may run."""

    approval_id: str
    call_id: str
    decision: Literal["approved", "denied", "expired"]
    actor: str
    reason: str | None = None
    arguments: dict[str, JsonValue] | None = None
    digest: str = ""
    always: bool = False


class ApprovalResolved(EventBase):
    """A call that waited was answered."""

    type: Literal["approval.resolved"] = "approval.resolved"
    data: ApprovalResolvedData

    @property
    def summary(self) -> str:
        """One line for people."""
        reason = f": {self.data.reason}" if self.data.reason else ""
        return f"{self.data.decision} by {self.data.actor}{reason}"


class FrameCapturedData(Fields):
    """A frame; the image itself is the blob ``sha256``. ``bytes`` is its size."""

    frame_id: str
    sha256: str
    width: int
    height: int
    screen: tuple[int, int]
    mime: str
    bytes: int
    cause: str | None = None

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Take over a frame's data."""
        return cls(
            frame_id=frame.id,
            sha256=frame.sha256,
            width=frame.width,
            height=frame.height,
            screen=(frame.screen.width, frame.screen.height),
            mime=frame.mime,
            bytes=frame.size,
            cause=frame.call_id,
        )


class FrameCaptured(EventBase):
    """A screenshot was taken."""

    type: Literal["frame.captured"] = "frame.captured"
    data: FrameCapturedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"frame {self.data.frame_id} {self.data.width}x{self.data.height}"


class FrameDroppedData(Fields):
    """Which frame, and why."""

    frame_id: str
    reason: str


class FrameDropped(EventBase):
    """A frame could not be kept."""

    type: Literal["frame.dropped"] = "frame.dropped"
    data: FrameDroppedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"frame {self.data.frame_id} dropped: {self.data.reason}"
