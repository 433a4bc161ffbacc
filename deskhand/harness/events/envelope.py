"""What all events have in common: their envelope, and the parts that several kinds hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from deskhand.errors import DeskhandError, Effect
from deskhand.tools.calls import ErrorInfo

__all__ = ["CallSummary", "ErrorData", "EventBase", "Fields", "UnknownEvent", "Usage", "now"]


class Fields(BaseModel):
    """A part of an event; what a later version puts in besides is kept."""

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


class Usage(Fields):
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


class CallSummary(Fields):
    """A call as a model message names it."""

    call_id: str
    name: str
    provider_call_id: str | None = None


class ErrorData(Fields):
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


class EventBase(Fields):
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


class UnknownEvent(EventBase):
    """An event of a type that this version does not know; its data is kept as it came."""

    data: dict[str, JsonValue] = {}
