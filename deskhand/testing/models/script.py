"""Scripts: what the model says, turn by turn, and what it sees before it says it."""

from __future__ import annotations

import base64
import inspect
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import JsonValue

from .conversation import Conversation, Json, blocks_of
from .profiles import TOOLSET_MEMBERS, ModelProfile
from .tool_rules import enabled_members
from .wire import as_dict, as_text

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "Block",
    "FakeTurn",
    "ModelView",
    "RedactedThinking",
    "Script",
    "ScriptError",
    "SeenImage",
    "SeenResult",
    "StopReason",
    "Text",
    "Thinking",
    "ToolUse",
    "TurnFunction",
    "member",
    "redacted_thinking",
    "text",
    "thinking",
    "tool_use",
]

StopReason: TypeAlias = Literal[
    "end_turn",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "pause_turn",
    "compaction",
    "refusal",
    "model_context_window_exceeded",
]
"""Why a turn ended, as the API names it."""


class ScriptError(AssertionError):
    """The script, not the program under test, is wrong: it ran out of turns, raised, or said what no model could."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text block."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """A thinking block. The fake signs it; whether its text is shown depends on the model and the request."""

    text: str


@dataclass(frozen=True, slots=True)
class RedactedThinking:
    """A thinking block whose content is withheld."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call.

    Attributes:
        name: The tool, or the member where ``toolset_name`` is given.
        input: The arguments.
        toolset_name: ``computer`` for a member of the computer toolset.
        id: The call's id; the fake makes one up where it is None.
        raw_input: The text streamed in place of the arguments, for a model that writes broken JSON.
    """

    name: str
    input: Mapping[str, JsonValue] = field(default_factory=dict)
    toolset_name: str | None = None
    id: str | None = None
    raw_input: str | None = None


Block: TypeAlias = Text | Thinking | RedactedThinking | ToolUse
"""What a turn is made of."""


def text(text: str, /) -> Text:
    """Says ``text``."""
    return Text(text)


def thinking(text: str, /) -> Thinking:
    """Thinks ``text``. Requests that switch thinking off do not get it."""
    return Thinking(text)


def redacted_thinking() -> RedactedThinking:
    """Thinks something that is withheld."""
    return RedactedThinking()


def tool_use(name: str, /, **input: JsonValue) -> ToolUse:
    """Calls a function tool with these arguments."""
    return ToolUse(name, input)


def member(name: str, /, **input: JsonValue) -> ToolUse:
    """Calls a member of the computer toolset, as in ``member("left_click", coordinate=[640, 360])``.

    Raises:
        ScriptError: There is no such member. To play a model that makes one up, build a :class:`ToolUse`.
    """
    if name not in TOOLSET_MEMBERS:
        raise ScriptError(f"the computer toolset has no member {name!r}; it has {', '.join(sorted(TOOLSET_MEMBERS))}")
    return ToolUse(name, input, toolset_name="computer")


@dataclass(frozen=True, slots=True)
class FakeTurn:
    """One turn of the model.

    Attributes:
        content: The blocks in order; a string is one text block.
        stop_reason: Why the turn ends; None means ``tool_use`` where it calls a tool, else ``end_turn``.
        stop_sequence: The sequence that was found, for ``stop_sequence``.
        stop_details: What the API tells of a refusal.
    """

    content: str | Sequence[Block] = ()
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    stop_details: Mapping[str, JsonValue] | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The content as blocks."""
        return (Text(self.content),) if isinstance(self.content, str) else tuple(self.content)

    @property
    def calls(self) -> tuple[ToolUse, ...]:
        """The tool calls of the turn."""
        return tuple(block for block in self.blocks if isinstance(block, ToolUse))

    @property
    def reason(self) -> StopReason:
        """The stop reason, derived where none is given."""
        return self.stop_reason or ("tool_use" if self.calls else "end_turn")


class SeenImage:
    """An image as the model sees it: an oversized one has been scaled down to the model's limits.

    Attributes:
        media_type: The media type, such as ``image/png``.
        data: The bytes as they were sent.
        size: Width and height in pixels as the model sees them; the coordinates that it gives are in these pixels.
    """

    def __init__(self, block: Json, profile: ModelProfile) -> None:
        source = as_dict(block.get("source"))
        self.media_type: str = as_text(source.get("media_type"))
        self.data: bytes = base64.b64decode(as_text(source.get("data")))
        self._profile = profile

    def __repr__(self) -> str:
        return f"SeenImage({self.media_type}, {self.size[0]}x{self.size[1]})"

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        from PIL import Image

        with Image.open(io.BytesIO(self.data)) as image:
            return self._profile.images.fit(*image.size)

    @cached_property
    def image(self) -> Image:
        """The decoded picture, in RGB."""
        from PIL import Image

        with Image.open(io.BytesIO(self.data)) as image:
            picture = image.convert("RGB")
        return picture if picture.size == self.size else picture.resize(self.size)


@dataclass(frozen=True, slots=True)
class SeenResult:
    """The answer to one tool call.

    Attributes:
        tool_use_id: The call that it answers.
        name: The tool or member that was called.
        text: The text of the answer; several blocks are joined by newlines.
        is_error: Whether the call failed.
        image: The last image of the answer.
    """

    tool_use_id: str
    name: str
    text: str
    is_error: bool
    image: SeenImage | None


class ModelView:
    """What the model sees of one request.

    Attributes:
        model: The model that is asked.
        params: The body of the request as it was sent.
        system: The system prompt.
        tools: The tools by name as they were sent; a toolset's entry goes by its type.
        members: The enabled members of the computer toolset; empty where it is not offered.
        messages: The whole conversation, also where a server-held thread keeps the older part.
        turn: How many turns the model has already had in this conversation.
        text: The text of the last user message, tool results left out.
        results: The tool results of the last user message, in order.
    """

    def __init__(self, conversation: Conversation, profile: ModelProfile) -> None:
        self._profile = profile
        self._turns = conversation.turns()
        self.model: str = conversation.model
        self.params: Json = dict(conversation.params)
        self.system: str = "\n".join(as_text(b.get("text")) for b in blocks_of({"content": conversation.system}))
        self.tools: dict[str, Json] = {
            as_text(tool.get("name")) or as_text(tool.get("type")): tool for tool in conversation.tools
        }
        self.members: frozenset[str] = enabled_members(conversation.tools)
        self.messages: tuple[Json, ...] = tuple(conversation.messages)
        self.turn: int = sum(1 for turn in self._turns if turn.role == "assistant")
        last = self._turns[-1].blocks if self._turns[-1].role == "user" else []
        self.text: str = "\n".join(as_text(block.raw.get("text")) for block in last if block.type == "text")
        self.results: tuple[SeenResult, ...] = tuple(
            self._result(block.raw) for block in last if block.type == "tool_result"
        )

    def __repr__(self) -> str:
        return f"ModelView(model={self.model!r}, turn={self.turn}, results={len(self.results)})"

    @cached_property
    def frame(self) -> SeenImage | None:
        """The newest image of the conversation, None where there is none yet."""
        for turn in reversed(self._turns):
            for block in reversed(turn.blocks):
                inner = blocks_of(block.raw) if block.type == "tool_result" else [block.raw]
                for child in reversed(inner):
                    if child.get("type") == "image":
                        return SeenImage(child, self._profile)
        return None

    def _result(self, raw: Json) -> SeenResult:
        call_id = as_text(raw.get("tool_use_id"))
        blocks = blocks_of(raw)
        images = [block for block in blocks if block.get("type") == "image"]
        return SeenResult(
            call_id,
            next((name for known, name in self._calls() if known == call_id), ""),
            "\n".join(as_text(block.get("text")) for block in blocks if block.get("type") == "text"),
            raw.get("is_error") is True,
            SeenImage(images[-1], self._profile) if images else None,
        )

    def _calls(self) -> list[tuple[str, str]]:
        called = next((turn for turn in reversed(self._turns) if turn.role == "assistant"), None)
        blocks = called.of_type("tool_use") if called else []
        return [(as_text(block.raw.get("id")), as_text(block.raw.get("name"))) for block in blocks]


TurnFunction: TypeAlias = Callable[[ModelView], "FakeTurn | Awaitable[FakeTurn]"]
"""A function, async or not, that answers what the model sees with a turn."""

Script: TypeAlias = Sequence[FakeTurn | TurnFunction] | TurnFunction
"""Turns to play one after the other, or a function that is asked for each."""


class Player:
    """Plays a script. A turn of a list counts as played once its answer has been delivered to the end.

    Args:
        script: The turns, or the function.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.played = 0

    def __repr__(self) -> str:
        total = "function" if callable(self._script) else len(self._script)
        return f"Player({self.played}/{total})"

    async def turn(self, view: ModelView) -> FakeTurn:
        """Returns what the model answers.

        Raises:
            ScriptError: The script has no such turn, or returned something else.
            Exception: Whatever a script function raises.
        """
        step = self._step()
        if isinstance(step, FakeTurn):
            return step
        made = step(view)
        turn = await made if inspect.isawaitable(made) else made
        if not isinstance(turn, FakeTurn):
            raise ScriptError(f"a script function must return a FakeTurn, not {type(turn).__name__}")
        return turn

    def _step(self) -> FakeTurn | TurnFunction:
        if callable(self._script):
            return self._script
        if self.played >= len(self._script):
            raise ScriptError(
                f"the script has {len(self._script)} turns and all have been played; "
                "the program under test asked for one more"
            )
        return self._script[self.played]
