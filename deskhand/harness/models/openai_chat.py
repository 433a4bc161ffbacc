"""OpenAI's Chat Completions API, as it is spoken by many: what is written, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from deskhand.errors import InvalidInputError, TruncatedStreamError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Delta, Json, Stop, Turn, TurnDecoder, check_answered
from deskhand.harness.models.layout import Item
from deskhand.harness.models.openai_codec import Door, OpenAICodec, Settings
from deskhand.harness.models.openai_decoder import known_function, usage_of
from deskhand.harness.models.openai_items import ChatForm, chat_chunk, joined
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Transcript, encode_json
from deskhand.ids import new_id
from deskhand.tools.calls import Observation
from deskhand.tools.formats import call_from_openai, said
from deskhand.tools.registry import ToolRegistry

__all__ = ["ChatCodec", "ChatDecoder"]

_STOPS: Final[Mapping[str, Stop]] = {
    "stop": "done",
    "tool_calls": "act",
    "length": "cut",
    "content_filter": "declined",
}
"""What the vendor's finish reasons mean."""


@dataclass(slots=True)
class _Call:
    """A tool call on its way in."""

    id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    def whole(self) -> Json:
        """Return it as it is sent back."""
        function: Json = {"name": self.name, "arguments": "".join(self.pieces)}
        return {"id": self.id, "type": "function", "function": function}


class ChatDecoder(TurnDecoder):
    """Folds the chunks of one answer.

    Args:
        functions: The function tools that are on offer.
        provider: Whose answer it is, as errors say it.
    """

    def __init__(self, functions: frozenset[str], provider: str = "openai") -> None:
        self._functions = functions
        self._provider = provider
        self._texts: dict[str, list[str]] = {}
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._usage: Json = {}
        self._reason: str | None = None
        self._id: str | None = None

    @property
    def usage(self) -> Usage:
        """What the answer has used so far."""
        return usage_of(self._usage)

    def take(self, event: Json) -> Sequence[Delta]:
        """Take in one chunk and return what it adds."""
        usage, given = event.get("usage"), event.get("id")
        if isinstance(usage, dict):
            self._usage = usage
        if isinstance(given, str) and given:
            self._id = given
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return []
        choice = choices[0]
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self._reason = reason
        delta = choice.get("delta")
        return self._add(delta) if isinstance(delta, dict) else []

    def _add(self, delta: Json) -> list[Delta]:
        """Add a chunk's pieces: of texts under whatever name they come, and of calls."""
        told: list[Delta] = []
        for name, piece in delta.items():
            if name == "role" or not isinstance(piece, str) or not piece:
                continue
            self._texts.setdefault(name, []).append(piece)
            told.append(Delta("text" if name in _SAID else "thinking", piece))
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, dict):
                told += self._add_call(call, position)
        return told

    def _add_call(self, given: Json, position: int) -> list[Delta]:
        index = given.get("index")
        index = index if isinstance(index, int) else position
        function = given.get("function")
        fields = function if isinstance(function, dict) else {}
        call_id, name, piece = given.get("id"), fields.get("name"), fields.get("arguments")
        call = self._by_index.get(index)
        # Some servers give every call the same index; another id is another call.
        if call is None or (isinstance(call_id, str) and call_id and call_id != call.id):
            call = _Call(call_id if isinstance(call_id, str) and call_id else new_id("call"), "")
            self._by_index[index] = call
            self._calls.append(call)
        if isinstance(name, str):
            call.name = call.name or name
        if not isinstance(piece, str) or not piece:
            return []
        call.pieces.append(piece)
        return [Delta("arguments", piece)]

    def turn(self) -> Turn:
        """Return the whole answer."""
        if self._reason is None:
            raise TruncatedStreamError("the model's answer ended before its last chunk", provider=self._provider)
        text, refusal = "".join(self._texts.get("content", ())), "".join(self._texts.get("refusal", ()))
        stop = _STOPS.get(self._reason)
        if refusal:
            stop = "declined"
        elif stop == "done" and self._calls:  # (some servers say so)
            stop = "act"
        kept = self._calls if stop == "act" else []
        message: Json = {"role": "assistant", "content": text or None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items() if name != "content"}
        if kept:
            message["tool_calls"] = [call.whole() for call in kept]
        calls = [known_function(call_from_openai(call.whole()), self._functions) for call in kept]
        thinking = "".join("".join(pieces) for name, pieces in self._texts.items() if name not in _SAID)
        return Turn(
            items=[message],
            raw=encode_json(message),
            calls=calls,
            text=text,
            thinking=thinking or None,
            stop_reason=self._reason,
            stop_details={},
            usage=self.usage,
            stop=stop,
            declined=refusal or None,
            call_ids=[call.provider_call_id for call in calls],
            id=self._id,
        )


_SAID: Final = frozenset({"content", "refusal"})


class ChatCodec(OpenAICodec[ChatForm]):
    """Writes and reads Chat Completions: function tools alone, and images only in what the user says.

    Args:
        settings: What is asked of the model.
        toolbox: What it may call.
        door: How requests are sent.
    """

    def __init__(self, settings: Settings, toolbox: Toolbox, door: Door) -> None:
        super().__init__(settings, toolbox, door, ChatForm(settings.profile.detail))
        self._functions: frozenset[str] = frozenset(toolbox.offered.names)
        self._params: Json = _parameters(settings, toolbox.offered)

    def transcript(self) -> Transcript:
        """Begin a history, with the instructions."""
        transcript = Transcript(self._form.layout, self._params)
        transcript.append(Item("user", encode_json({"role": "system", "content": self._settings.instructions})))
        return transcript

    def decoder(self) -> TurnDecoder:
        """Return a decoder for one answer."""
        return ChatDecoder(self._functions, self._door.vendor.name)

    def events_of(self, items: JsonValue, stop_reason: str) -> Sequence[Json]:
        """Return the chunk in which a whole answer would have come."""
        if not isinstance(items, dict):
            raise InvalidInputError(
                "the recorded answer is not in the format of this model's API", hint="go on with the same harness"
            )
        return [chat_chunk(items, stop_reason)]

    def encode_turn(self, turn: Turn) -> Item | None:
        """Encode an answer for the history; none that says nothing, which the API refuses."""
        (message,) = turn.items
        said_something = any(message.get(name) for name in ("content", "refusal", "tool_calls"))
        return Item("assistant", turn.raw) if said_something else None

    def encode_results(self, turns: Sequence[Turn], observations: Sequence[Observation], text: str = "") -> Item:
        """Encode the answers to every call, in order, then their images and what the user says in one message."""
        check_answered(turns, observations)
        entries: list[bytes] = []
        parts: list[bytes] = []
        images = 0
        for seen in observations:
            shown = seen.image is not None and seen.frame is not None
            words = said(seen) or ("The screenshot follows." if shown else seen.outcome)
            entries.append(self._form.tool_message(str(seen.call.provider_call_id), words))
            if seen.image is not None and seen.frame is not None:
                parts += [
                    self._form.text(f"The screenshot of {self.toolbox.shown_name(seen.call)}:"),
                    self._form.image(seen.image, seen.frame.mime),
                ]
                images += 1
        if text:
            parts.append(self._form.text(text))
        if parts:
            entries.append(self._form.message(parts))
        return joined(entries, images=images)


def _parameters(settings: Settings, functions: ToolRegistry) -> Json:
    """Build the part of a request that stays the same for a whole run."""
    params: Json = {"model": settings.model, "stream": True, "stream_options": {"include_usage": True}}
    tools = list[JsonValue](functions.openai_tools(api="chat"))
    if tools:
        params["tools"] = tools
    if settings.effort is not None:
        params["reasoning_effort"] = settings.effort
    if settings.max_tokens is not None:
        params["max_completion_tokens"] = settings.max_tokens
    if settings.answer is not None:
        params["response_format"] = {"type": "json_schema", "json_schema": settings.answer}
    return params
