"""The events of a run: one typed union, numbered, CloudEvents-shaped.

A **durable** event carries ``seq``, gapless from 1 per run, and an ``id`` of ``{run}/{seq}``. A **transient** event
carries neither, may be merged or dropped, and is never needed to rebuild state. Types change only by addition; a type
that this version does not know parses to `UnknownEvent` and keeps its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, get_args

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from deskhand.errors import CorruptJournalError
from deskhand.harness.events.actions import (
    ActionFinished,
    ActionFinishedData,
    ActionOutput,
    ActionOutputData,
    ActionStarted,
    ActionStartedData,
    ApprovalRequested,
    ApprovalRequestedData,
    ApprovalResolved,
    ApprovalResolvedData,
    CheckData,
    FrameCaptured,
    FrameCapturedData,
    FrameDropped,
    FrameDroppedData,
)
from deskhand.harness.events.envelope import (
    CallSummary,
    ErrorData,
    EventBase,
    UnknownEvent,
    Usage,
)
from deskhand.harness.events.runs import (
    ComputerStatusChanged,
    ComputerStatusData,
    ControlData,
    ControlReturned,
    ControlReturnedData,
    ControlTaken,
    CustomData,
    CustomEvent,
    InsteadOf,
    LoopBlocked,
    LoopBlockedData,
    RunCheckpoint,
    RunCheckpointData,
    RunFinished,
    RunFinishedData,
    RunOutcome,
    RunPaused,
    RunRecovered,
    RunRecoveredData,
    RunResumed,
    RunStarted,
    RunStartedData,
    RunSteered,
    RunSteeredData,
    RunStuck,
    RunStuckData,
    StreamGap,
    StreamGapData,
)
from deskhand.harness.events.turns import (
    BudgetWarned,
    BudgetWarnedData,
    ModelDelta,
    ModelDeltaData,
    ModelMessage,
    ModelMessageData,
    TurnFinished,
    TurnFinishedData,
    TurnStarted,
    TurnStartedData,
    UsageRecorded,
    UsageRecordedData,
)

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
    "BudgetWarned",
    "BudgetWarnedData",
    "CallSummary",
    "CheckData",
    "ComputerStatusChanged",
    "ComputerStatusData",
    "ControlData",
    "ControlReturned",
    "ControlReturnedData",
    "ControlTaken",
    "CustomData",
    "CustomEvent",
    "ErrorData",
    "Event",
    "EventBase",
    "FrameCaptured",
    "FrameCapturedData",
    "FrameDropped",
    "FrameDroppedData",
    "InsteadOf",
    "LoopBlocked",
    "LoopBlockedData",
    "ModelDelta",
    "ModelDeltaData",
    "ModelMessage",
    "ModelMessageData",
    "RunCheckpoint",
    "RunCheckpointData",
    "RunFinished",
    "RunFinishedData",
    "RunOutcome",
    "RunPaused",
    "RunRecovered",
    "RunRecoveredData",
    "RunResumed",
    "RunStarted",
    "RunStartedData",
    "RunSteered",
    "RunSteeredData",
    "RunStuck",
    "RunStuckData",
    "StreamGap",
    "StreamGapData",
    "TurnFinished",
    "TurnFinishedData",
    "TurnStarted",
    "TurnStartedData",
    "UnknownEvent",
    "Usage",
    "UsageRecorded",
    "UsageRecordedData",
    "event_types",
    "parse_event",
]


def _tag(value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return kind if kind in _BY_TYPE and isinstance(kind, str) else "unknown"


Event = Annotated[
    Annotated[RunStarted, Tag("run.started")]
    | Annotated[RunPaused, Tag("run.paused")]
    | Annotated[RunResumed, Tag("run.resumed")]
    | Annotated[RunSteered, Tag("run.steered")]
    | Annotated[RunRecovered, Tag("run.recovered")]
    | Annotated[RunCheckpoint, Tag("run.checkpoint")]
    | Annotated[RunStuck, Tag("run.stuck")]
    | Annotated[ControlTaken, Tag("control.taken")]
    | Annotated[ControlReturned, Tag("control.returned")]
    | Annotated[RunFinished, Tag("run.finished")]
    | Annotated[TurnStarted, Tag("turn.started")]
    | Annotated[TurnFinished, Tag("turn.finished")]
    | Annotated[ModelDelta, Tag("model.delta")]
    | Annotated[ModelMessage, Tag("model.message")]
    | Annotated[ActionStarted, Tag("action.started")]
    | Annotated[ActionOutput, Tag("action.output")]
    | Annotated[ActionFinished, Tag("action.finished")]
    | Annotated[ApprovalRequested, Tag("approval.requested")]
    | Annotated[ApprovalResolved, Tag("approval.resolved")]
    | Annotated[FrameCaptured, Tag("frame.captured")]
    | Annotated[FrameDropped, Tag("frame.dropped")]
    | Annotated[ComputerStatusChanged, Tag("computer.status")]
    | Annotated[UsageRecorded, Tag("usage.recorded")]
    | Annotated[BudgetWarned, Tag("budget.warned")]
    | Annotated[CustomEvent, Tag("custom")]
    | Annotated[LoopBlocked, Tag("loop.blocked")]
    | Annotated[StreamGap, Tag("stream.gap")]
    | Annotated[UnknownEvent, Tag("unknown")],
    Discriminator(_tag),
]
"""Any event of a run."""

_BY_TYPE: Final[dict[str, type[EventBase]]] = {
    tag.tag: kind for kind, tag in map(get_args, get_args(get_args(Event)[0])) if kind is not UnknownEvent
}
_ADAPTER: Final[TypeAdapter[Event]] = TypeAdapter(Event)


def event_types() -> dict[str, type[EventBase]]:
    """Return every event class of this version by its type's name."""
    return dict(_BY_TYPE)


def parse_event(data: bytes | str) -> Event:
    """Read an event from its JSON.

    Raises:
        CorruptJournalError: If it is not one.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise CorruptJournalError(
            f"an event cannot be read: {error.error_count()} fields are wrong", hint="restore it from a copy"
        ) from error
