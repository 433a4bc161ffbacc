"""What a loop needs of a model vendor: a pure codec, and one door for everything that is sent and received."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from deskhand.harness.events import Usage
from deskhand.harness.models.transcript import Item, Request, Transcript
from deskhand.tools.calls import Observation, ToolCall

__all__ = ["Delta", "Json", "ModelAdapter", "Turn", "TurnDecoder"]

Json = dict[str, JsonValue]


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
    """

    items: Sequence[Json]
    raw: bytes = field(repr=False)
    calls: Sequence[ToolCall]
    text: str
    thinking: str | None
    stop_reason: str
    stop_details: Json
    usage: Usage


class TurnDecoder(abc.ABC):
    """Folds the events of one answer into a turn."""

    @property
    @abc.abstractmethod
    def usage(self) -> Usage:
        """What the answer has used so far; known even where it is cut off."""

    @abc.abstractmethod
    def feed(self, events: Iterable[Json]) -> list[Delta]:
        """Take in events and return what they add, neighbours of one kind joined.

        Raises:
            ProtocolError: If an event is not what the vendor's format allows.
        """

    @abc.abstractmethod
    def turn(self) -> Turn:
        """Return the whole answer.

        Raises:
            TruncatedStreamError: If the terminal event has not come.
        """


class ModelAdapter(abc.ABC):
    """Speaks one vendor's protocol: everything but `stream` is pure."""

    @abc.abstractmethod
    def encode(self, items: Sequence[str | Observation]) -> Item:
        """Encode what the user says: texts, and looks at the screen, in order."""

    @abc.abstractmethod
    def encode_turn(self, turn: Turn) -> Item | None:
        """Encode an answer for the history; ``None`` where it said nothing."""

    @abc.abstractmethod
    def encode_results(self, turns: Sequence[Turn], observations: Sequence[Observation], text: str = "") -> Item:
        """Encode the answers to every call of the turns, in order, and what the user says beside them."""

    @abc.abstractmethod
    def transcript(self) -> Transcript:
        """Begin a history."""

    @abc.abstractmethod
    def fit(self, transcript: Transcript) -> int:
        """Bring a history that has outgrown what can be sent down to size; return how many images it cost."""

    @abc.abstractmethod
    def decoder(self) -> TurnDecoder:
        """Return a decoder for one answer."""

    @abc.abstractmethod
    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request and receive its events, as many at a time as the network brings.

        Raises:
            DeskhandError: Whatever goes wrong, mapped once.
        """
