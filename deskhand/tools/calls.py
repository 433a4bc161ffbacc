"""What passes between a loop and the tools: calls, observations, frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from deskhand.errors import DeskhandError, Effect
from deskhand.providers.contract import Screen

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "ActionOutcome",
    "CallFormat",
    "EffectClass",
    "ErrorInfo",
    "Frame",
    "Observation",
    "Risk",
    "SafetyCheck",
    "ToolCall",
]

EffectClass = Literal["pure", "idempotent", "queryable", "unrepeatable"]
"""May it be done twice: harmless; the same result; the computer can say whether it happened; never by itself."""

Risk = Literal["low", "medium", "high"]
"""How much harm a call may do; policies decide by it."""

ActionOutcome = Literal["ok", "error", "denied", "skipped", "cancelled", "unknown"]
"""How an action ended."""

CallFormat = Literal[
    "deskhand",
    "anthropic",
    "anthropic_toolset",
    "anthropic_computer",
    "openai_chat",
    "openai_responses",
    "openai_computer",
]
"""The wire format in which a call came, and in which its observation goes back."""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as data: what events, results and observations hold."""

    code: str
    message: str
    hint: str | None = None
    retryable: bool = False
    effect: Effect = "unknown"
    request_id: str | None = None
    retry_at: float | None = None

    @classmethod
    def of(cls, error: DeskhandError) -> Self:
        """Take over an error's data."""
        return cls(
            error.code, error.message, error.hint, error.retryable, error.effect, error.request_id, error.retry_at
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One screenshot as a model sees it.

    Attributes:
        id: Counted per run (``f1``, ``f2``, ...).
        sha256: The digest of the encoded image, its key in the blob store.
        mime: ``image/png`` or ``image/jpeg``.
        width: Pixels as sent; coordinates of a call planned on this frame are in these.
        height: Pixels as sent.
        screen: The size in pixels of the real screen, or of the region, that it shows.
        call_id: The call that caused it.
        size: Bytes of the encoded image.
        computer_id: The computer whose screen it shows.
    """

    id: str
    sha256: str
    mime: str
    width: int
    height: int
    screen: Screen
    call_id: str | None
    size: int
    computer_id: str


@dataclass(frozen=True, slots=True)
class SafetyCheck:
    """What a model's vendor wants a person to know before a call is run; the call then waits for an approval.

    Attributes:
        id: The vendor's id, which an acknowledgement names.
        code: The vendor's word for it.
        message: What a person is told.
    """

    id: str
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model, a driver or a person asks for.

    Attributes:
        name: The tool's name.
        arguments: A mapping, or the JSON text that a model gave.
        id: Ours, ``{run}/{turn}/{n}``; given by the run when the call reaches it.
        computer_id: The computer it is meant for; the run's first where not given.
        frame_id: The frame that its coordinates refer to; the last one seen where not given.
        provider_call_id: The model vendor's id; may repeat.
        format: The wire format in which it came.
        checks: What a person must approve before it is run; never approved by itself.
    """

    name: str
    arguments: Mapping[str, JsonValue] | str = field(default_factory=dict)
    id: str | None = None
    computer_id: str | None = None
    frame_id: str | None = None
    provider_call_id: str | None = None
    format: CallFormat = "deskhand"
    checks: Sequence[SafetyCheck] = ()

    @classmethod
    def from_openai(cls, call: object) -> ToolCall:
        """Take a call as OpenAI gives it: a Chat tool call or a Responses function call, typed object or plain dict.

        Raises:
            InvalidInputError: If it is neither.
        """
        from deskhand.tools.formats import call_from_openai

        return call_from_openai(call)

    @classmethod
    def from_anthropic(cls, block: object) -> ToolCall:
        """Take a ``tool_use`` block as Anthropic gives it.

        It may be a function tool's, a computer toolset member's, or an action of one of the older computer tools.

        Raises:
            InvalidInputError: If it is not such a block.
        """
        from deskhand.tools.formats import call_from_anthropic

        return call_from_anthropic(block)


@dataclass(frozen=True, slots=True)
class Observation:
    """What came back from a call.

    Attributes:
        call: The call it answers.
        outcome: How the action ended.
        effect: Whether the effect took place.
        text: What a model reads.
        data: The same as data, where the tool gives any.
        frame: The screenshot, where there is one.
        image: The frame's bytes, encoded.
        error: What went wrong.
        duration: Seconds that it took, waiting for people not counted.
        approved: Whether a person let it run; ``None`` where nobody was asked.
    """

    call: ToolCall
    outcome: ActionOutcome = "ok"
    effect: Effect = "yes"
    text: str = ""
    data: JsonValue = None
    frame: Frame | None = None
    image: bytes | None = field(default=None, repr=False)
    error: ErrorInfo | None = None
    duration: float = 0.0
    approved: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether the action was done."""
        return self.outcome == "ok"

    def to_openai(self) -> list[dict[str, JsonValue]]:
        """Render as messages (Chat) or input items (Responses), as the call came."""
        from deskhand.tools.formats import observation_to_openai

        return observation_to_openai(self)

    def to_anthropic(self) -> dict[str, JsonValue]:
        """Render as a ``tool_result`` block, as the call came."""
        from deskhand.tools.formats import observation_to_anthropic

        return observation_to_anthropic(self)
