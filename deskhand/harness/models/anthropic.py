"""Anthropic's Messages API with the computer toolset: what is written, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, Protocol

from pydantic import JsonValue

from deskhand.errors import InvalidInputError
from deskhand.harness.models.adapter import Json, ModelAdapter, Turn, TurnDecoder, check_answered, items_of
from deskhand.harness.models.blocks import MESSAGES, assistant_item, encode_image, user_item
from deskhand.harness.models.decoder import AnthropicDecoder
from deskhand.harness.models.layout import Item
from deskhand.harness.models.offer import Settings, offer
from deskhand.harness.models.planner import Pruned, plan
from deskhand.harness.models.profiles import TOOL_BETAS, Platform, amend, named_tool
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Request, Transcript, encode_json
from deskhand.providers.contract import Screen
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.formats import HALTED, observation_to_anthropic, said, shows_why

__all__ = ["AnthropicCodec"]

_NATIVE: Final = frozenset({"anthropic_toolset", "anthropic_computer"})
"""The formats of calls of the vendor's own computer tools."""

_FOREIGN: Final = frozenset({"message", "function_call", "computer_call", "reasoning"})
"""Types of items that only another vendor's API has."""

DISPLAY: Final = Screen(1280, 800)
"""The size that an older computer tool is told where there is no screenshot yet."""


class Door(Protocol):
    """Sends a request and receives its events."""

    @property
    def max_body(self) -> int:
        """How many bytes a request may have."""
        ...

    @property
    def platform(self) -> Platform:
        """Where requests go."""
        ...

    @property
    def retries(self) -> RetryBudget:
        """How much of what is asked may be a repetition."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request."""
        ...


class AnthropicCodec(ModelAdapter):
    """Writes and reads the Messages API.

    The API takes one computer tool a request: where there are several computers, all that they can do is functions.

    Args:
        settings: What is asked of the model.
        toolbox: What it may call.
        door: How requests are sent.

    Raises:
        ConfigError: If a tool has a name that the API keeps for itself.
    """

    def __init__(self, settings: Settings, toolbox: Toolbox, door: Door) -> None:
        super().__init__(toolbox)
        if toolbox.several:
            settings = replace(settings, native=False)
        self._door = door
        self._settings = settings
        self._display = DISPLAY
        self._tried = {settings.profile.computer_tool}
        self._asked = False
        self._unbound = False
        self._loose = False
        self._offer = self._sent = offer(settings, toolbox.offered, self._display)

    @property
    def retries(self) -> RetryBudget:
        """How much of what is asked may be a repetition: all who use the client share that."""
        return self._door.retries

    @property
    def members(self) -> frozenset[str]:
        """What the model may do with the computer, by the names of the computer toolset's members."""
        return self._offer.members

    @property
    def screens(self) -> Sequence[str]:
        """The computers whose screens the model is shown: it has the toolset's ``screenshot``, or functions alone."""
        return super().screens if "screenshot" in self.members or not self._settings.native else ()

    def is_on_screen(self, call: ToolCall) -> bool:
        """Whether a call is one of the vendor's own computer tool, or of a function that acts on a screen."""
        return _is_native(call) or (not self._settings.native and super().is_on_screen(call))

    def refuse(self, calls: Sequence[ToolCall], text: str, after: Sequence[Observation] = ()) -> list[Observation]:
        """Return the observations of calls that are not run.

        Once a member of the toolset has failed, the API wants one exact text of each further member of that turn.
        """
        halted = any(_is_native(seen.call) and not seen.ok for seen in after)
        observations: list[Observation] = []
        for call in calls:
            if halted and _is_native(call):
                observations.append(Observation(call, "skipped", "no", text=HALTED))
            else:
                observations.append(Observation(call, "error", "no", text=text))
            halted = halted or _is_native(call)
        return observations

    def transcript(self) -> Transcript:
        """Begin a history."""
        self._sent = self._offer
        layout = replace(MESSAGES, recent=self._settings.profile.cache_marks - 1)  # (one is in the fixed part)
        return Transcript(layout, self._offer.params, self._offer.betas)

    def fit(self, transcript: Transcript) -> Pruned:
        """Bring a history into a form that can be sent; return what that cost.

        On a model that is bound to what it saw, the thinking that stands after a change is given up with it.
        """
        pruned = plan(transcript, self._settings.profile, self._door.max_body)
        changed = self._offer is not self._sent
        bent = pruned.forced or changed or self._loose
        if self._settings.profile.prefix_bound and self._asked and bent and not self._unbound:
            self._unbound = changed = True
        if changed:
            self._sent = self._offer
            offered = self._offer.unbound() if self._unbound else self._offer
            transcript.replace(offered.params, offered.betas)
        return pruned

    def amend(self, error: InvalidInputError) -> str | None:
        """Ask with the computer tool that a refusal names, where nothing was said in the words of the refused one."""
        settings = self._settings
        tool = named_tool(error.message, settings.profile)
        if self._asked or tool is None or tool in self._tried or not self.members:
            return None
        self._tried.add(tool)
        self._settings = replace(settings, profile=amend(settings.model, self._door.platform, tool))
        self._offer = offer(self._settings, self.toolbox.offered, self._display)
        return tool

    def _see(self, observation: Observation) -> None:
        """Take note of the size of what the model is shown: an older computer tool is told it."""
        frame = observation.frame
        if frame is None or observation.image is None or observation.call.name not in self.members - {"zoom"}:
            return
        size = Screen(frame.width, frame.height)
        if size != self._display:
            self._display = size
            if self._settings.profile.computer_tool in TOOL_BETAS:
                self._offer = offer(self._settings, self.toolbox.offered, size)

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request and receive its events."""
        return self._door.stream(request)

    def encode(self, items: Sequence[str | Observation]) -> Item:
        """Encode what the user says: texts, and looks at the screen, in order."""
        blocks: list[bytes] = []
        images = 0
        for item in items:
            if isinstance(item, str):
                blocks.append(_text(item))
            elif item.image is not None and item.frame is not None:
                self._see(item)
                if caption := self.toolbox.caption(item):
                    blocks.append(_text(caption))
                blocks.append(encode_image(item.image, item.frame.mime))
                images += 1
        return user_item(blocks, images=images)

    def encode_turn(self, turn: Turn) -> Item | None:
        """Encode an answer for the history: the very items that came, but for empty texts, which the API refuses."""
        self._asked = True
        kept = [item for item in turn.items if not _is_blank(item)]
        if not kept:
            return None
        return assistant_item(turn.raw if len(kept) == len(turn.items) else encode_json(list[JsonValue](kept)))

    def encode_results(self, turns: Sequence[Turn], observations: Sequence[Observation], text: str = "") -> Item:
        """Encode the answers to every call of the turns, in order, and what the user says beside them."""
        check_answered(turns, observations)
        for observation in observations:
            self._see(observation)
        blocks = [_result(observation) for observation in observations]
        if text:
            blocks.append(_text(text))
        return user_item(blocks, images=sum(map(_is_shown, observations)))

    def decoder(self) -> TurnDecoder:
        """Return a decoder for one answer."""
        return AnthropicDecoder(self.members, self._offer.functions)

    def events_of(self, items: JsonValue, stop_reason: str) -> Sequence[Json]:
        """Return the events by which a whole answer would have come."""
        events: list[Json] = []
        for index, item in enumerate(items_of(items, _FOREIGN)):
            events.append({"type": "content_block_start", "index": index, "content_block": item})
            events.append({"type": "content_block_stop", "index": index})
        return [*events, {"type": "message_delta", "delta": {"stop_reason": stop_reason}}, {"type": "message_stop"}]

    def unbind(self) -> None:
        """Have thinking given up where it does not fit to what stands before it."""
        self._asked = True
        self._loose = self._settings.profile.prefix_bound


def _is_native(call: ToolCall) -> bool:
    """Whether a call is one of the vendor's own computer tool."""
    return call.format in _NATIVE


def _text(text: str) -> bytes:
    return encode_json({"type": "text", "text": text.encode(errors="replace").decode()})


def _result(observation: Observation) -> bytes:
    """Encode the answer to one call; the image is spliced in, not passed through a JSON encoder."""
    image = observation.image
    if image is None or observation.frame is None or not _is_shown(observation):
        return encode_json(observation_to_anthropic(replace(observation, image=None)))
    plain = observation_to_anthropic(replace(observation, image=None, outcome="ok", text=_beside(observation)))
    content = plain.pop("content")
    texts = encode_json(content)[:-1]
    shown = encode_image(image, observation.frame.mime)
    head = encode_json(plain)[:-1] + b',"content":'
    return b"".join((head, texts, b"," if content else b"", shown, b"]}"))


def _is_shown(observation: Observation) -> bool:
    """Whether an answer bears an image: one that tells of an error may hold nothing but text."""
    shown = observation.ok or shows_why(observation)
    return observation.image is not None and observation.frame is not None and shown


def _beside(observation: Observation) -> str:
    """Return what is said beside an image; a refusal that shows the screen says that it is one."""
    return observation.text if observation.ok else said(observation)


def _is_blank(item: Json) -> bool:
    return item.get("type") == "text" and not str(item.get("text", "")).strip()
