"""The events of model turns: what was asked and answered, and what that used."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from deskhand.harness.events.envelope import CallSummary, EventBase, Fields, Usage

__all__ = [
    "BudgetWarned",
    "BudgetWarnedData",
    "ModelDelta",
    "ModelDeltaData",
    "ModelMessage",
    "ModelMessageData",
    "TurnFinished",
    "TurnFinishedData",
    "TurnStarted",
    "TurnStartedData",
    "UsageRecorded",
    "UsageRecordedData",
]


class TurnStartedData(Fields):
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


class TurnFinishedData(Fields):
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


class ModelDeltaData(Fields):
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


class ModelMessageData(Fields):
    """A whole answer; ``raw`` is the blob that holds the vendor's items as they came.

    ``answer`` is the blob with the rest of what a loop needs to take it up again.
    """

    message_id: str
    text: str
    thinking: str | None = None
    calls: list[CallSummary] = Field(default=[])
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


class UsageRecordedData(Fields):
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


class BudgetWarnedData(Fields):
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
