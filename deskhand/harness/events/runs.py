"""The events of a run as a whole: how it goes and ends, who has it, what computers it has."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from deskhand.harness.events.envelope import ErrorData, EventBase, Fields, Usage

__all__ = [
    "ComputerStatusChanged",
    "ComputerStatusData",
    "ControlData",
    "ControlReturned",
    "ControlReturnedData",
    "ControlTaken",
    "CustomData",
    "CustomEvent",
    "InsteadOf",
    "LoopBlocked",
    "LoopBlockedData",
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
]

RunOutcome = Literal["completed", "failed", "stopped", "refused", "budget_exceeded", "quarantined"]
"""How a run ended; exactly one, persisted once."""


class RunStartedData(Fields):
    """What a run set out with; ``continues`` is the run whose conversation it goes on with."""

    goal: str
    harness: str
    model: str | None = None
    computers: list[str]
    tools: list[str]
    metadata: dict[str, str] = Field(default={})
    budget: dict[str, JsonValue] = Field(default={})
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


class ControlData(Fields):
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


class RunSteeredData(Fields):
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


class RunRecoveredData(Fields):
    """How often the run was taken up again by now, and the calls that were under way when it died."""

    recoveries: int
    unsettled: list[str] = Field(default=[])


class RunRecovered(EventBase):
    """The run was taken up again after the process that drove it had died: what follows is another process's."""

    type: Literal["run.recovered"] = "run.recovered"
    data: RunRecoveredData

    @property
    def summary(self) -> str:
        """One line for people."""
        under_way = len(self.data.unsettled)
        return f"recovered ({self.data.recoveries})" + (f", {under_way} actions were under way" if under_way else "")


class RunStuckData(Fields):
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


class RunCheckpointData(Fields):
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


class ControlReturnedData(Fields):
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


class RunFinishedData(Fields):
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


class InsteadOf(Fields):
    """A provider that was asked for a computer before, and had none."""

    provider: str | None = None
    code: str


class ComputerStatusData(Fields):
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


class CustomData(Fields):
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


class LoopBlockedData(Fields):
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


class StreamGapData(Fields):
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
