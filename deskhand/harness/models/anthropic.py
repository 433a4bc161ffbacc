"""Anthropic's Messages API with the computer toolset: what is written, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from pydantic import JsonValue

from deskhand.errors import ConfigError, ProtocolError
from deskhand.harness.models.adapter import Json, ModelAdapter, Turn, TurnDecoder
from deskhand.harness.models.blocks import MESSAGES, assistant_item, encode_image, user_item
from deskhand.harness.models.decoder import AnthropicDecoder
from deskhand.harness.models.profiles import BINDING_CONTROLS, ModelProfile
from deskhand.harness.models.transcript import Item, Request, Transcript, encode_json
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.formats import HALTED, TOOLSET, observation_to_anthropic
from deskhand.tools.registry import ToolRegistry

__all__ = ["MEMBERS", "AnthropicCodec"]

MEMBERS: Final = (
    "screenshot",
    "cursor_position",
    "left_mouse_down",
    "left_mouse_up",
    "left_click",
    "right_click",
    "middle_click",
    "double_click",
    "triple_click",
    "left_click_drag",
    "mouse_move",
    "scroll",
    "type",
    "key",
    "hold_key",
    "wait",
    "zoom",
)
"""The members of the computer toolset; the registry's tools bear the same names."""

CLEAR_ABOVE: Final = 100_000
"""Input tokens above which the server drops old tool results."""


class Door(Protocol):
    """Sends a request and receives its events."""

    @property
    def max_body(self) -> int:
        """How many bytes a request may have."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Send a request."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a harness asks of the model besides the goal.

    Attributes:
        model: The model's name as it is sent.
        profile: What is known of it.
        instructions: The system prompt.
        max_tokens: The most that one answer may have.
        effort: How much thought it should take; the model's default where not given.
        schema: The JSON Schema of the final answer; free text where not given.
    """

    model: str
    profile: ModelProfile
    instructions: str
    max_tokens: int
    effort: str | None = None
    schema: Json | None = None


class AnthropicCodec(ModelAdapter):
    """Writes and reads the Messages API.

    Args:
        settings: What is asked of the model.
        tools: What it may call.
        door: How requests are sent.

    Raises:
        ConfigError: If a tool has a name that the API keeps for itself.
    """

    def __init__(self, settings: Settings, tools: ToolRegistry, door: Door) -> None:
        self._door = door
        self._profile = settings.profile
        self.members: frozenset[str] = frozenset(
            name for name in MEMBERS if name in tools and tools.get(name).on_screen
        )
        self._functions = frozenset(tools.names) - self.members
        self._params = _parameters(settings, tools, self.members)

    @property
    def shows_screen(self) -> bool:
        """Whether the model is shown the screen: it has the toolset's ``screenshot``."""
        return "screenshot" in self.members

    def is_on_screen(self, call: ToolCall) -> bool:
        """Whether a call is a member's of the computer toolset."""
        return call.format == "anthropic_toolset"

    def refuse(self, calls: Sequence[ToolCall], text: str, after: Sequence[Observation] = ()) -> list[Observation]:
        """Return the observations of calls that are not run.

        Once a member of the toolset has failed, the API wants one exact text of each further member of that turn.
        """
        halted = any(self.is_on_screen(seen.call) and not seen.ok for seen in after)
        observations: list[Observation] = []
        for call in calls:
            if halted and self.is_on_screen(call):
                observations.append(Observation(call, "skipped", "no", text=HALTED))
            else:
                observations.append(Observation(call, "error", "no", text=text))
            halted = halted or self.is_on_screen(call)
        return observations

    def transcript(self) -> Transcript:
        """Begin a history."""
        beta = self._profile.clears
        betas = [beta] if beta is not None and "context_management" in self._params else []
        return Transcript(MESSAGES, self._params, betas)

    def fit(self, transcript: Transcript) -> int:
        """Bring a history that has outgrown what can be sent down to half of that; return how many images it cost.

        On a model that is bound to what it saw, the thinking that stands after a change is given up with it.
        """
        if transcript.size <= self._door.max_body and transcript.images <= self._profile.max_images:
            return 0
        lost = transcript.shrink(self._door.max_body // 2, self._profile.max_images // 2)
        if lost and self._profile.prefix_bound and BINDING_CONTROLS not in transcript.betas:
            given = transcript.params.get("thinking")
            thinking: Json = {**(given if isinstance(given, dict) else {"type": "adaptive"})}
            thinking["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
            transcript.replace({**transcript.params, "thinking": thinking}, [*transcript.betas, BINDING_CONTROLS])
        return lost

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
                blocks.append(encode_image(item.image, item.frame.mime))
                images += 1
        return user_item(blocks, images=images)

    def encode_turn(self, turn: Turn) -> Item | None:
        """Encode an answer for the history: the very items that came, but for empty texts, which the API refuses."""
        kept = [item for item in turn.items if not _is_blank(item)]
        if not kept:
            return None
        return assistant_item(turn.raw if len(kept) == len(turn.items) else encode_json(list[JsonValue](kept)))

    def encode_results(self, turns: Sequence[Turn], observations: Sequence[Observation], text: str = "") -> Item:
        """Encode the answers to every call of the turns, in order, and what the user says beside them."""
        expected = [call.provider_call_id for turn in turns for call in turn.calls]
        if expected != [observation.call.provider_call_id for observation in observations]:
            raise ProtocolError("every call is answered once, in order", effect="no")
        blocks = [_result(observation) for observation in observations]
        if text:
            blocks.append(_text(text))
        return user_item(blocks, images=sum(observation.image is not None for observation in observations))

    def decoder(self) -> TurnDecoder:
        """Return a decoder for one answer."""
        return AnthropicDecoder(self.members, self._functions)


def _text(text: str) -> bytes:
    return encode_json({"type": "text", "text": text.encode(errors="replace").decode()})


def _parameters(settings: Settings, tools: ToolRegistry, members: frozenset[str]) -> Json:
    """Build the part of a request that stays the same for a whole run; its last block ends the cached prefix."""
    mark: Json = {"type": "ephemeral"}
    entries: list[JsonValue] = []
    if members:
        entry: Json = {"type": str(settings.profile.computer_tool)}
        missing = [name for name in MEMBERS if name not in members]
        if missing:
            entry["configs"] = {name: {"enabled": False} for name in missing}
        entries.append(entry)
        if TOOLSET in tools:
            raise ConfigError(f"a tool may not be called {TOOLSET!r} beside the computer toolset", hint="rename it")
    functions = ToolRegistry(tool for tool in tools if tool.name not in members)
    entries.extend(functions.anthropic_tools())
    params: Json = {"model": settings.model, "max_tokens": settings.max_tokens, "stream": True}
    if entries:
        params["tools"] = entries
    params["system"] = [{"type": "text", "text": settings.instructions, "cache_control": mark}]
    if settings.profile.thinking is not None:
        params["thinking"] = dict(settings.profile.thinking)
    output: Json = {}
    if settings.effort is not None:
        output["effort"] = settings.effort
    if settings.schema is not None:
        output["format"] = {"type": "json_schema", "schema": settings.schema}
    if output:
        params["output_config"] = output
    if settings.profile.clears is not None and entries:
        params["context_management"] = {"edits": [_clearing()]}
    return params


def _clearing() -> Json:
    """Let the server drop old results: dropping them here would part the model's thinking from what it saw."""
    return {
        "type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": CLEAR_ABOVE},
        "keep": {"type": "tool_uses", "value": 20},
        "clear_at_least": {"type": "input_tokens", "value": CLEAR_ABOVE // 4},
    }


def _result(observation: Observation) -> bytes:
    """Encode the answer to one call; the image is spliced in, not passed through a JSON encoder."""
    plain = observation_to_anthropic(replace(observation, image=None))
    image = observation.image
    if image is None or observation.frame is None or not observation.ok:
        return encode_json(plain)
    content = plain.pop("content")
    texts = encode_json(content)[:-1]
    shown = encode_image(image, observation.frame.mime)
    head = encode_json(plain)[:-1] + b',"content":'
    return b"".join((head, texts, b"," if content else b"", shown, b"]}"))


def _is_blank(item: Json) -> bool:
    return item.get("type") == "text" and not str(item.get("text", "")).strip()
