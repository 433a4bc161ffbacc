"""OpenAI's Responses API, with the computer tool or without: what is written, and what comes back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ConfigError, InvalidInputError
from deskhand.harness.models.adapter import Json, Turn, TurnDecoder, check_answered, items_of
from deskhand.harness.models.layout import Item
from deskhand.harness.models.openai_codec import Door, OpenAICodec, Settings
from deskhand.harness.models.openai_decoder import INCOMPLETE, ResponsesDecoder
from deskhand.harness.models.openai_items import ResponsesForm, joined
from deskhand.harness.models.planner import Pruned
from deskhand.harness.models.profiles import OPENAI_API, amend, named_tool
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Transcript, encode_json
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.formats import acknowledged, failures, said
from deskhand.tools.registry import ToolRegistry

__all__ = ["ResponsesCodec"]

_FOREIGN: Final = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
"""Types of items that only another vendor's API has."""

PREVIEW: Final = "computer_use_preview"
"""The older computer tool, which wants to know what it is shown, and asks for one action at a time."""


class ResponsesCodec(OpenAICodec[ResponsesForm]):
    """Writes and reads the Responses API.

    Args:
        settings: What is asked of the model.
        toolbox: What it may call.
        door: How requests are sent.
    """

    def __init__(self, settings: Settings, toolbox: Toolbox, door: Door) -> None:
        super().__init__(settings, toolbox, door, ResponsesForm(settings.profile.detail))
        self._offered = ToolRegistry(tool for tool in toolbox.offered if not (settings.native and tool.on_screen))
        self._functions: frozenset[str] = frozenset(self._offered.names)
        self._params: Json = _parameters(settings, self._offered)
        self._tried: set[str | None] = {settings.profile.computer_tool}
        self._answered = False

    def is_on_screen(self, call: ToolCall) -> bool:
        """Whether a call is an action of the computer tool, or of a function that acts on the screen."""
        return call.format == "openai_computer" or super().is_on_screen(call)

    def wants_looks(self, observations: Sequence[Observation]) -> list[int]:
        """Return which results are to carry a look at the screen: the computer tool's always, also after a failure."""
        found = [index for index, seen in enumerate(observations) if seen.call.format == "openai_computer"]
        if not found:
            return super().wants_looks(observations)
        last = observations[found[-1]]
        return [] if last.ok and last.call.name == "screenshot" and last.image is not None else [found[-1]]

    def transcript(self) -> Transcript:
        """Begin a history."""
        return Transcript(self._form.layout, self._params)

    def fit(self, transcript: Transcript) -> Pruned:
        """Bring a history into a form that can be sent; return what that cost."""
        if not self._answered and transcript.params is not self._params:
            transcript.replace(self._params)
        return super().fit(transcript)

    def amend(self, error: InvalidInputError) -> str | None:
        """Ask with the computer tool that a refusal names, where nothing was said in the words of the refused one."""
        settings = self._settings
        tool = named_tool(error.message, settings.profile) if settings.native else None
        if self._answered or tool is None or tool in self._tried:
            return None
        self._tried.add(tool)
        self._settings = replace(settings, profile=amend(settings.model, OPENAI_API, tool))
        self._params = _parameters(self._settings, self._offered)
        return tool

    def decoder(self) -> TurnDecoder:
        """Return a decoder for one answer."""
        return ResponsesDecoder(self._functions, computer=self._settings.native)

    def events_of(self, items: JsonValue, stop_reason: str) -> Sequence[Json]:
        """Return the events by which a whole answer would have come."""
        response: Json = {"status": "completed"}
        if stop_reason in INCOMPLETE:
            response = {"status": "incomplete", "incomplete_details": {"reason": stop_reason}}
        done: list[Json] = [
            {"type": "response.output_item.done", "output_index": index, "item": item}
            for index, item in enumerate(items_of(items, _FOREIGN))
        ]
        return [*done, {"type": f"response.{response['status']}", "response": response}]

    def encode_turn(self, turn: Turn) -> Item | None:
        """Encode an answer for the history: the very items that came.

        Of one that was cut off only what it said: reasoning without what follows it is refused.
        """
        if turn.stop == "cut":
            said_so_far: Json = {"role": "assistant", "content": turn.text}
            return Item("assistant", encode_json(said_so_far)) if turn.text.strip() else None
        return Item("assistant", turn.raw[1:-1]) if turn.items else None

    def remember(self, transcript: Transcript, turn: Turn) -> None:
        """Put an answer into the history; where the vendor keeps it, name it and send only what follows.

        An answer that was cut off is not gone on from: what it asked for would have to be answered.
        """
        self._answered = True
        if not self._settings.keep_on_server or turn.id is None or turn.stop == "cut":
            super().remember(transcript, turn)
            return
        transcript.restart({**self._params, "previous_response_id": turn.id})

    def encode_results(self, turns: Sequence[Turn], observations: Sequence[Observation], text: str = "") -> Item:
        """Encode the answers to every call of the turns, in order, and what the user says beside them.

        The output of a computer call is a screenshot and nothing else: what failed is said in a message behind it.
        """
        check_answered(turns, observations)
        entries: list[bytes] = []
        remarks: list[str] = []
        images = blanks = 0
        for group in _by_call(observations):
            entry, remark, shown = self._output(group, observations)
            entries.append(entry)
            remarks += remark
            images += shown
            blanks += not shown and group[0].call.format == "openai_computer"
        said_beside = [*remarks, text] if text else remarks
        if said_beside:
            entries.append(self._form.message([self._form.text(words) for words in said_beside]))
        return joined(entries, images=images, blanks=blanks)

    def _output(
        self, group: Sequence[Observation], observations: Sequence[Observation]
    ) -> tuple[bytes, list[str], int]:
        """Encode the output of one of the vendor's calls; return what is to be said of it, and its images, beside."""
        first = group[0]
        call_id = str(first.call.provider_call_id)
        if first.call.format == "openai_computer":
            look = next((seen for seen in (*reversed(group), *reversed(observations)) if _is_shown(seen)), None)
            mime = look.frame.mime if look is not None and look.frame is not None else "image/png"
            screenshot = self._form.screenshot(None if look is None else look.image, mime)
            entry = self._form.computer_output(call_id, screenshot, acknowledged(group))
            return entry, failures(group, seen=look is not None), int(look is not None)
        image = None
        if first.image is not None and first.frame is not None:
            image = self._form.image(first.image, first.frame.mime)
        text = said(first) or first.outcome if image is None else said(first)
        return self._form.function_output(call_id, text, image), [], int(image is not None)


def _by_call(observations: Sequence[Observation]) -> Iterator[list[Observation]]:
    """Yield what came of each of the vendor's calls; a computer call holds several of ours."""
    for _, group in itertools.groupby(observations, key=lambda seen: seen.call.provider_call_id):
        yield list(group)


def _is_shown(seen: Observation) -> bool:
    """Whether an observation holds the whole screen."""
    return seen.image is not None and seen.frame is not None and seen.call.name != "zoom"


def _parameters(settings: Settings, functions: ToolRegistry) -> Json:
    """Build the part of a request that stays the same for a whole run."""
    profile = settings.profile
    entries: list[JsonValue] = []
    if settings.native:
        entries.append(_computer_tool(settings))
    entries.extend(functions.openai_tools(api="responses"))
    params: Json = {"model": settings.model, "stream": True, "store": settings.keep_on_server}
    if entries:
        params["tools"] = entries
    params["instructions"] = settings.instructions
    reasoning: Json = {}
    if profile.reasons:
        if not settings.keep_on_server:
            params["include"] = ["reasoning.encrypted_content"]
        if profile.name:  # (of a model that nobody here knows it is not asked)
            reasoning["summary"] = "concise" if profile.computer_tool == PREVIEW else "auto"
    if settings.effort is not None:
        reasoning["effort"] = settings.effort
    if reasoning:
        params["reasoning"] = reasoning
    if settings.max_tokens is not None:
        params["max_output_tokens"] = settings.max_tokens
    if profile.truncation is not None or profile.computer_tool == PREVIEW:
        params["truncation"] = profile.truncation or "auto"
    if settings.answer is not None:
        params["text"] = {"format": {"type": "json_schema", **settings.answer}}
    return params


def _computer_tool(settings: Settings) -> Json:
    """Build the entry of the computer tool; the older one is told what it is shown.

    Raises:
        ConfigError: If that is not known.
    """
    entry: Json = {"type": settings.profile.computer_tool}
    if settings.profile.computer_tool != PREVIEW:
        return entry
    if settings.display is None:
        raise ConfigError("the size of this computer's screen is not known, and the older computer tool needs it")
    size, environment = settings.display
    return {**entry, "display_width": size.width, "display_height": size.height, "environment": environment}
