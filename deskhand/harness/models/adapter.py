"""What a loop needs of a model vendor: a pure codec, and one door for everything that is sent and received."""

from __future__ import annotations

import abc
import json
from collections.abc import AsyncIterator, Container, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from deskhand.errors import InvalidInputError, ProtocolError, UnsupportedError
from deskhand.harness.events import Usage
from deskhand.harness.models.layout import Item
from deskhand.harness.models.planner import Pruned
from deskhand.harness.models.retry_budget import RetryBudget, budget_of
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Request, Transcript
from deskhand.tools.calls import Observation, ToolCall

__all__ = ["Delta", "Json", "ModelAdapter", "Stop", "Turn", "TurnDecoder", "check_answered", "items_of"]

Json = dict[str, JsonValue]

Stop: TypeAlias = Literal["act", "done", "resume", "cut", "declined", "full"]
"""Why an answer ended: it wants its calls run; it is complete; it is to be sent back as it is and goes on; it met its
token limit; the model declined; the conversation no longer fits into the model."""

LOOKS: Final = frozenset({"screenshot", "zoom", "cursor_position"})
"""Tools after which there is nothing new to be seen."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer as it comes."""

    kind: Literal["text", "thinking", "arguments"]
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One whole answer of a model: it ended with its terminal event.

    Attributes:
        items: The vendor's items as they came, unknown keys included; never rebuilt from anything else.
        raw: The items as JSON, encoded once: what goes into the history and the blob store.
        calls: What it asks for, in order.
        text: What it says.
        thinking: A summary of its thinking, where it shows one.
        stop_reason: Why it stopped, in the vendor's words.
        stop_details: What the vendor says beside that.
        usage: What it used.
        stop: The same as all vendors mean it; ``None`` where nobody here knows the vendor's word.
        declined: Why the model declined, where it did and says so.
        call_ids: The vendor's ids of its calls, each as often as the vendor gave it; several of ``calls`` may stand for
            one of them.
        id: The vendor's id of the answer, where there is one.
    """

    items: Sequence[Json]
    raw: bytes = field(repr=False)
    calls: Sequence[ToolCall]
    text: str
    thinking: str | None
    stop_reason: str
    stop_details: Json
    usage: Usage
    stop: Stop | None
    declined: str | None = None
    call_ids: Sequence[str | None] = ()
    id: str | None = None


def items_of(value: JsonValue, foreign: Container[str]) -> list[Json]:
    """Return recorded items, each an object.

    Args:
        value: What was recorded.
        foreign: Types of items that only another API has.

    Raises:
        InvalidInputError: If it is something else, or another API's.
    """
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(items) < len(value) or any(str(one.get("type")) in foreign for one in items):
        raise InvalidInputError(
            "the recorded answer is not in the format of this model's API", hint="go on with the same harness"
        )
    return items


def check_answered(turns: Sequence[Turn], observations: Sequence[Observation]) -> None:
    """Check that every call of the turns is answered once, in order.

    Raises:
        ProtocolError: If not.
    """
    expected = [call.provider_call_id for turn in turns for call in turn.calls]
    if expected != [observation.call.provider_call_id for observation in observations]:
        raise ProtocolError("every call is answered once, in order", effect="no")


class TurnDecoder(abc.ABC):
    """Folds the events of one answer into a turn."""

    @property
    @abc.abstractmethod
    def usage(self) -> Usage:
        """What the answer has used so far; known even where it is cut off."""

    def feed(self, events: Iterable[Json]) -> list[Delta]:
        """Take in events and return what they add, neighbours of one kind joined.

        Raises:
            ProtocolError: If an event is not what the vendor's format allows.
        """
        deltas: list[Delta] = []
        for event in events:
            for delta in self.take(event):
                if deltas and deltas[-1].kind == delta.kind:
                    deltas[-1] = Delta(delta.kind, deltas[-1].text + delta.text)
                elif delta.text:
                    deltas.append(delta)
        return deltas

    @abc.abstractmethod
    def take(self, event: Json) -> Sequence[Delta]:
        """Take in one event and return what it adds.

        Raises:
            ProtocolError: If it is not what the vendor's format allows.
        """

    @abc.abstractmethod
    def turn(self) -> Turn:
        """Return the whole answer.

        Raises:
            TruncatedStreamError: If the terminal event has not come.
        """


class ModelAdapter(abc.ABC):
    """Speaks one vendor's protocol: everything but `stream` is pure.

    Args:
        toolbox: What the model may call, on which computers.
    """

    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox: Toolbox = toolbox

    @property
    def screens(self) -> Sequence[str]:
        """The computers whose screens the model is shown, so that a run begins with a look at them."""
        return self.toolbox.screens

    @property
    def retries(self) -> RetryBudget:
        """How much of what is asked may be a repetition; by default all adapters of the class share that."""
        return budget_of(type(self))

    def is_on_screen(self, call: ToolCall) -> bool:
        """Whether a call looks at the screen or acts on it: its coordinates are those of the last frame shown."""
        return self.toolbox.is_on_screen(call)

    def wants_looks(self, observations: Sequence[Observation]) -> list[int]:
        """Return which results are to carry a look at the screen after a batch: one a computer at most.

        By default the last one on its screen, if it changed something: the model would have to ask for a look else.
        """
        last: dict[str, int] = {}
        for index, seen in enumerate(observations):
            computer_id = self.toolbox.computer_of(seen.call)
            if computer_id in self.screens and self.is_on_screen(seen.call):
                last[computer_id] = index
        return [
            index for index in last.values() if observations[index].ok and observations[index].call.name not in LOOKS
        ]

    def refuse(self, calls: Sequence[ToolCall], text: str, after: Sequence[Observation] = ()) -> list[Observation]:
        """Return the observations of calls that are not run, so that every call is answered.

        Args:
            calls: The calls.
            text: Why they are not run.
            after: What came of the calls before them in the same turn.
        """
        del after
        return [Observation(call, "error", "no", text=text) for call in calls]

    @abc.abstractmethod
    def transcript(self) -> Transcript:
        """Begin a history."""

    @abc.abstractmethod
    def encode(self, items: Sequence[str | Observation]) -> Item:
        """Encode what the user says: texts, and looks at the screen, in order."""

    @abc.abstractmethod
    def encode_turn(self, turn: Turn) -> Item | None:
        """Encode an answer for the history; ``None`` where there is nothing to be kept."""

    @abc.abstractmethod
    def encode_results(self, turns: Sequence[Turn], observations: Sequence[Observation], text: str = "") -> Item:
        """Encode the answers to every call of the turns, in order, and what the user says beside them."""

    def remember(self, transcript: Transcript, turn: Turn) -> None:
        """Put an answer into the history."""
        item = self.encode_turn(turn)
        if item is not None:
            transcript.append(item)

    def fit(self, transcript: Transcript) -> Pruned:
        """Bring a history into a form that can be sent; return what that cost. By default all of it is sent."""
        del transcript
        return Pruned()

    def amend(self, error: InvalidInputError) -> str | None:
        """Ask otherwise from now on, where a refusal says how; return what is asked with, ``None`` where it does not.

        Each way is tried once at most.
        """
        del error
        return None

    @abc.abstractmethod
    def decoder(self) -> TurnDecoder:
        """Return a decoder for one answer."""

    def events_of(self, items: JsonValue, stop_reason: str) -> Sequence[Json]:
        """Return the events by which a whole answer would have come; needed to go on from a recorded run.

        Args:
            items: The vendor's items, as `Turn.raw` holds them.
            stop_reason: Why the model stopped, in the vendor's words.

        Raises:
            InvalidInputError: If they are not this vendor's.
            UnsupportedError: By default.
        """
        del items, stop_reason
        raise UnsupportedError(
            f"{type(self).__name__} cannot read recorded answers", hint="give it events_of() to go on from a run"
        )

    def read(self, raw: bytes, stop_reason: str) -> Turn:
        """Read an answer that was recorded, by the decoder that reads one that comes.

        Args:
            raw: The vendor's items; they go into the history byte for byte.
            stop_reason: Why the model stopped, in the vendor's words.

        Raises:
            InvalidInputError: If they are not this vendor's.
        """
        decoder = self.decoder()
        decoder.feed(self.events_of(json.loads(raw), stop_reason))
        return replace(decoder.turn(), raw=raw)

    def unbind(self) -> None:  # noqa: B027 (most vendors have nothing to do for it)
        """Take note that the history may not be what the model saw to the byte; by default that is of no matter."""

    @abc.abstractmethod
    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request and receive its events, as many at a time as the network brings.

        Raises:
            DeskhandError: Whatever goes wrong, mapped once.
        """
