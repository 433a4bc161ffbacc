"""What both APIs of OpenAI have in common: what is asked of the model, how it is sent, what is on the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deskhand.harness.models.adapter import Json, ModelAdapter
from deskhand.harness.models.failures import Vendor
from deskhand.harness.models.layout import Item
from deskhand.harness.models.openai_items import joined
from deskhand.harness.models.planner import Pruned, plan
from deskhand.harness.models.profiles import ModelProfile
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Request, Transcript
from deskhand.providers.contract import Screen
from deskhand.tools.calls import Observation

__all__ = ["Door", "OpenAICodec", "Settings"]


class Door(Protocol):
    """Sends a request and receives its events."""

    @property
    def vendor(self) -> Vendor:
        """How the vendor's failures are told."""
        ...

    @property
    def max_body(self) -> int:
        """How many bytes a request may have."""
        ...

    @property
    def retries(self) -> RetryBudget:
        """How much of what is asked may be a repetition."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request."""
        ...


class Form(Protocol):
    """Writes what the user says."""

    def text(self, text: str) -> bytes:
        """Encode a text."""
        ...

    def image(self, data: bytes, mime: str) -> bytes:
        """Encode an image."""
        ...

    def message(self, parts: Sequence[bytes]) -> bytes:
        """Put texts and images into one message."""
        ...


FormT = TypeVar("FormT", bound=Form)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a harness asks of the model besides the goal.

    Attributes:
        model: The model's name as it is sent.
        profile: What is known of it.
        instructions: The system prompt.
        native: Whether it gets the computer tool; functions alone where not.
        display: The size of the screen as the model sees it, and what kind of system it shows, where that is known.
        max_tokens: The most that one answer may have; the model's own limit where not given.
        effort: How much thought it should take; the model's default where not given.
        answer: The format of the final answer; free text where not given.
        keep_on_server: Whether the vendor keeps the conversation, and only what is new is sent.
    """

    model: str
    profile: ModelProfile
    instructions: str
    native: bool = False
    display: tuple[Screen, str] | None = None
    max_tokens: int | None = None
    effort: str | None = None
    answer: Json | None = None
    keep_on_server: bool = False


class OpenAICodec(ModelAdapter, Generic[FormT]):
    """The half of a codec that is the same over either API.

    Args:
        settings: What is asked of the model.
        toolbox: What it may call.
        door: How requests are sent.
        form: How entries of the history are written.
    """

    def __init__(self, settings: Settings, toolbox: Toolbox, door: Door, form: FormT) -> None:
        super().__init__(toolbox)
        self._door = door
        self._settings = settings
        self._form: FormT = form

    @property
    def retries(self) -> RetryBudget:
        """How much of what is asked may be a repetition: all who use the client share that."""
        return self._door.retries

    def fit(self, transcript: Transcript) -> Pruned:
        """Bring a history into a form that can be sent; return what that cost."""
        return plan(transcript, self._settings.profile, self._door.max_body)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request and receive its events."""
        return self._door.stream(request)

    def encode(self, items: Sequence[str | Observation]) -> Item:
        """Encode what the user says: texts, and looks at the screen, in order."""
        parts: list[bytes] = []
        images = 0
        for item in items:
            if isinstance(item, str):
                parts.append(self._form.text(item))
            elif item.image is not None and item.frame is not None:
                if caption := self.toolbox.caption(item):
                    parts.append(self._form.text(caption))
                parts.append(self._form.image(item.image, item.frame.mime))
                images += 1
        return joined([self._form.message(parts)], images=images)
