"""The events of a run: one typed union, numbered, CloudEvents-shaped.

A **durable** event carries ``seq``, gapless from 1 per run, and an ``id`` of ``{run}/{seq}``. A **transient** event
carries neither, may be merged or dropped, and is never needed to rebuild state. Types change only by addition; a type
that this version does not know parses to `UnknownEvent` and keeps its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter, ValidationError

from deskhand.errors import CorruptJournalError, DeskhandError, Effect
from deskhand.tools.calls import ActionOutcome, EffectClass, ErrorInfo, Frame, Risk

__all__ = [
    "ActionFinished",
    "ActionOutput",
    "ActionStarted",
    "ApprovalRequested",
    "ApprovalResolved",
    "CallSummary",
    "ComputerStatusChanged",
    "CustomEvent",
    "Event",
    "EventBase",
    "FrameCaptured",
    "FrameDropped",
    "LoopBlocked",
    "ModelDelta",
    "ModelMessage",
    "RunCheckpoint",
    "RunFinished",
    "RunOutcome",
    "RunPaused",
    "RunRecovered",
    "RunResumed",
    "RunStarted",
    "StreamGap",
    "TurnFinished",
    "TurnStarted",
    "UnknownEvent",
    "Usage",
    "UsageRecorded",
    "event_types",
    "parse_event",
]

RunOutcome = Literal["completed", "failed", "stopped", "refused", "budget_exceeded", "quarantined"]
"""How a run ended; exactly one, persisted once."""


class _Model(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


_FIELDS: Final[dict[type[BaseModel], set[str]]] = {}


def _lighten(model: BaseModel) -> None:
    """Let a model share with all of its kind the set of the fields that were given: a third of an event's memory.

    Thousands of events are held for their subscribers, and none is ever asked which of its fields were left out.
    """
    kind = type(model)
    if (fields := _FIELDS.get(kind)) is None:
        fields = _FIELDS[kind] = set(kind.model_fields)
    object.__setattr__(model, "__pydantic_fields_set__", fields)


class Usage(_Model):
    """Tokens of one or more model turns, as the vendor reported them.

    ``input`` is uncached input; ``cache_read`` and ``cache_write`` stand beside it, not in it. ``reasoning`` is part of
    ``output``.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """Tokens of all kinds."""
        return self.input + self.output + self.cache_read + self.cache_write

    def __add__(self, other: Usage) -> Usage:
        """Add two usages."""
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            reasoning=self.reasoning + other.reasoning,
        )


class CallSummary(_Model):
    """A call as a model message names it."""

    call_id: str
    name: str
    provider_call_id: str | None = None


class ErrorData(_Model):
    """An error as an event holds it."""

    code: str
    message: str
    hint: str | None = None
    retryable: bool = False
    effect: Effect = "unknown"
    request_id: str | None = None
    retry_at: float | None = None

    @classmethod
    def of(cls, error: DeskhandError | ErrorInfo) -> Self:
        """Take over an error's data."""
        return cls(
            code=error.code,
            message=error.message,
            hint=error.hint,
            retryable=error.retryable,
            effect=error.effect,
            request_id=error.request_id,
            retry_at=error.retry_at,
        )


def now() -> datetime:
    """The wall clock, in UTC, with microseconds."""
    return datetime.now(UTC)


class EventBase(_Model):
    """The envelope of every event."""

    durable: ClassVar[bool] = True

    specversion: Literal["1.0"] = "1.0"
    id: str | None = None
    source: str
    type: str
    time: datetime = Field(default_factory=now)
    subject: str | None = None
    run_id: str
    seq: int | None = None
    turn: int | None = None
    call_id: str | None = None
    computer_id: str | None = None
    workspace_id: str | None = None
    user_id: str | None = None
    traceparent: str | None = None

    def numbered(self, seq: int) -> Self:
        """Return the event as the log keeps it: with its number and id."""
        event = self.model_copy(update={"seq": seq, "id": f"{self.run_id}/{seq}"})
        for model in (event, getattr(event, "data", None)):
            if isinstance(model, BaseModel):
                _lighten(model)
        return event

    def to_json(self) -> bytes:
        """Encode as it stands in the log and goes over the wire: JSON without absent fields."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @property
    def summary(self) -> str:
        """One line for people (``left_click x=640 y=360``)."""
        return self.type


class RunStartedData(_Model):
    """What a run set out with; ``continues`` is the run whose conversation it goes on with."""

    goal: str
    harness: str
    model: str | None = None
    computers: list[str]
    tools: list[str]
    metadata: dict[str, str] = {}
    budget: dict[str, JsonValue] = {}
    continues: str | None = None
    settings: dict[str, JsonValue] | None = None


class RunStarted(EventBase):
    """A run began."""

    type: Literal["run.started"] = "run.started"
    data: RunStartedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"run started: {self.data.goal}"


class ControlData(_Model):
    """Who did it, and why."""

    actor: str
    reason: str | None = None


class RunPaused(EventBase):
    """The run pauses before its next action."""

    type: Literal["run.paused"] = "run.paused"
    data: ControlData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"paused by {self.data.actor}"


class RunResumed(EventBase):
    """The run goes on."""

    type: Literal["run.resumed"] = "run.resumed"
    data: ControlData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"resumed by {self.data.actor}"


class RunSteeredData(_Model):
    """What a person said to the run; ``when`` it counts: now, next or idle."""

    actor: str
    text: str
    when: Literal["now", "next", "idle"] = "next"


class RunSteered(EventBase):
    """A person said something to the run."""

    type: Literal["run.steered"] = "run.steered"
    data: RunSteeredData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.data.actor} says: {self.data.text}"


class RunRecoveredData(_Model):
    """How often the run was taken up again by now, and the calls that were under way when it died."""

    recoveries: int
    unsettled: list[str] = []


class RunRecovered(EventBase):
    """The run was taken up again after the process that drove it had died: what follows is another process's."""

    type: Literal["run.recovered"] = "run.recovered"
    data: RunRecoveredData

    @property
    def summary(self) -> str:
        """One line for people."""
        under_way = len(self.data.unsettled)
        return f"recovered ({self.data.recoveries})" + (f", {under_way} actions were under way" if under_way else "")


class RunStuckData(_Model):
    """What goes in circles, how often, and what is done about it: the model nudged, a person asked, the run ended.

    ``told`` is what the model was told.
    """

    pattern: Literal["repeats", "ping_pong", "no_effect", "errors"]
    count: int
    step: Literal["nudged", "asked", "stalled"]
    text: str
    told: str | None = None


class RunStuck(EventBase):
    """The run goes in circles."""

    type: Literal["run.stuck"] = "run.stuck"
    data: RunStuckData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"stuck ({self.data.step}): {self.data.text}"


class RunCheckpointData(_Model):
    """What a driver wants to find again."""

    value: JsonValue = None


class RunCheckpoint(EventBase):
    """A driver has kept how far it is."""

    type: Literal["run.checkpoint"] = "run.checkpoint"
    data: RunCheckpointData

    @property
    def summary(self) -> str:
        """One line for people."""
        return "checkpoint"


class ControlTaken(EventBase):
    """A person has taken the run's computers over: its own actions wait."""

    type: Literal["control.taken"] = "control.taken"
    data: ControlData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"taken over by {self.data.actor}"


class ControlReturnedData(_Model):
    """Who had the computers, what they say about it, how many actions it were; ``duration`` in seconds.

    ``told`` is what the agent is told of it.
    """

    actor: str
    summary: str | None = None
    told: str | None = None
    actions: int = 0
    duration: float


class ControlReturned(EventBase):
    """A person has handed the run's computers back."""

    type: Literal["control.returned"] = "control.returned"
    data: ControlReturnedData

    @property
    def summary(self) -> str:
        """One line for people."""
        said = f": {self.data.summary}" if self.data.summary else ""
        return f"handed back by {self.data.actor}{said}"


class RunFinishedData(_Model):
    """How a run ended and what it took."""

    outcome: RunOutcome
    reason: str | None = None
    output: JsonValue = None
    error: ErrorData | None = None
    turns: int = 0
    actions: int = 0
    usage: Usage = Usage()
    cost: float | None = None


class RunFinished(EventBase):
    """The run ended: always the last event, and only one."""

    type: Literal["run.finished"] = "run.finished"
    data: RunFinishedData

    @property
    def summary(self) -> str:
        """One line for people."""
        reason = f" ({self.data.reason})" if self.data.reason else ""
        return f"run {self.data.outcome}{reason}"


class TurnStartedData(_Model):
    """Which turn."""

    index: int


class TurnStarted(EventBase):
    """A model turn began."""

    type: Literal["turn.started"] = "turn.started"
    data: TurnStartedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"turn {self.data.index}"


class TurnFinishedData(_Model):
    """How a turn ended; ``duration`` in seconds."""

    stop_reason: str
    usage: Usage = Usage()
    duration: float


class TurnFinished(EventBase):
    """A model turn ended."""

    type: Literal["turn.finished"] = "turn.finished"
    data: TurnFinishedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"turn ended: {self.data.stop_reason}"


class ModelDeltaData(_Model):
    """A piece of a model's answer as it comes."""

    kind: Literal["text", "thinking", "arguments"]
    message_id: str
    delta: str


class ModelDelta(EventBase):
    """A piece of a model's answer as it comes (transient)."""

    durable: ClassVar[bool] = False
    type: Literal["model.delta"] = "model.delta"
    data: ModelDeltaData

    @property
    def summary(self) -> str:
        """One line for people."""
        return self.data.delta


class ModelMessageData(_Model):
    """A whole answer; ``raw`` is the blob that holds the vendor's items as they came.

    ``answer`` is the blob with the rest of what a loop needs to take it up again.
    """

    message_id: str
    text: str
    thinking: str | None = None
    calls: list[CallSummary] = []
    raw: str | None = None
    answer: str | None = None


class ModelMessage(EventBase):
    """A model answered."""

    type: Literal["model.message"] = "model.message"
    data: ModelMessageData

    @property
    def summary(self) -> str:
        """One line for people."""
        return self.data.text or ", ".join(call.name for call in self.data.calls)


class ActionStartedData(_Model):
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


class ActionOutputData(_Model):
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


class ActionFinishedData(_Model):
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


class CheckData(_Model):
    """What a model's vendor wants a person to know before a call is run."""

    id: str
    code: str | None = None
    message: str | None = None


class ApprovalRequestedData(_Model):
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
    checks: list[CheckData] = []
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


class ApprovalResolvedData(_Model):
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


class FrameCapturedData(_Model):
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


class FrameDroppedData(_Model):
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


class InsteadOf(_Model):
    """A provider that was asked for a computer before, and had none."""

    provider: str | None = None
    code: str


class ComputerStatusData(_Model):
    """A computer's status.

    Attributes:
        computer_id: What the run calls it.
        status: Its status.
        provider: Whose it is.
        boot: Seconds until it was there.
        instead_of: The providers that had none, where some had not.
        own_id: Its provider's id, where the run calls it otherwise.
    """

    computer_id: str
    status: str
    provider: str
    boot: float | None = None
    instead_of: list[InsteadOf] | None = None
    own_id: str | None = None


class ComputerStatusChanged(EventBase):
    """A computer's status, at the run's start and whenever it changes."""

    type: Literal["computer.status"] = "computer.status"
    data: ComputerStatusData

    @property
    def summary(self) -> str:
        """One line for people."""
        data = self.data
        if data.own_id is None:
            return f"{data.provider}:{data.computer_id} {data.status}"
        return f"{data.computer_id} is {data.provider}:{data.own_id}, {data.status}"


class UsageRecordedData(_Model):
    """A metered quantity; ``price`` in US dollars, ``None`` where unknown."""

    metric: str
    quantity: float
    unit: str
    price: float | None = None


class UsageRecorded(EventBase):
    """A metered quantity."""

    type: Literal["usage.recorded"] = "usage.recorded"
    data: UsageRecordedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.data.metric}: {self.data.quantity:g} {self.data.unit}"


class BudgetWarnedData(_Model):
    """A cap that is nearly reached: whose, which, and what was used of it."""

    name: str
    metric: str
    limit: float
    used: float


class BudgetWarned(EventBase):
    """A budget is nearly used up."""

    type: Literal["budget.warned"] = "budget.warned"
    data: BudgetWarnedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"budget of the {self.data.name}: {self.data.used:g} of {self.data.limit:g} {self.data.metric} used"


class CustomData(_Model):
    """A user's own event: a namespaced name and a JSON value."""

    name: str
    value: JsonValue = None


class CustomEvent(EventBase):
    """A user's own event."""

    type: Literal["custom"] = "custom"
    data: CustomData

    @property
    def summary(self) -> str:
        """One line for people."""
        return self.data.name


class LoopBlockedData(_Model):
    """Which code it was, and for how many seconds it did not await anything."""

    code: str
    seconds: float


class LoopBlocked(EventBase):
    """Code of yours held the event loop: nothing else could happen meanwhile (transient)."""

    durable: ClassVar[bool] = False
    type: Literal["loop.blocked"] = "loop.blocked"
    data: LoopBlockedData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.data.code} held the event loop for {self.data.seconds:.1f} s"


class StreamGapData(_Model):
    """The events that are gone, both ends included."""

    from_seq: int
    to_seq: int


class StreamGap(EventBase):
    """Made for one subscriber: history between two numbers is gone (transient)."""

    durable: ClassVar[bool] = False
    type: Literal["stream.gap"] = "stream.gap"
    data: StreamGapData

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"events {self.data.from_seq} to {self.data.to_seq} are gone"


class UnknownEvent(EventBase):
    """An event of a type that this version does not know; its data is kept as it came."""

    data: dict[str, JsonValue] = {}


_KNOWN: tuple[type[EventBase], ...] = (
    RunStarted,
    RunPaused,
    RunResumed,
    RunSteered,
    RunRecovered,
    RunCheckpoint,
    RunStuck,
    ControlTaken,
    ControlReturned,
    RunFinished,
    TurnStarted,
    TurnFinished,
    ModelDelta,
    ModelMessage,
    ActionStarted,
    ActionOutput,
    ActionFinished,
    ApprovalRequested,
    ApprovalResolved,
    FrameCaptured,
    FrameDropped,
    ComputerStatusChanged,
    UsageRecorded,
    BudgetWarned,
    CustomEvent,
    LoopBlocked,
    StreamGap,
)


def event_types() -> dict[str, type[EventBase]]:
    """Return every event class of this version by its type's name."""
    return {str(cls.model_fields["type"].default): cls for cls in _KNOWN}


_BY_TYPE = event_types()


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

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


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
