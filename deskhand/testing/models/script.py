"""Scripts: what the model says, turn by turn, and what it sees before it says it."""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import JsonValue

from .profiles import TOOLSET_MEMBERS

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "ACTION_FIELDS",
    "Block",
    "ComputerCall",
    "FakeTurn",
    "ModelView",
    "RedactedThinking",
    "Refusal",
    "Script",
    "ScriptError",
    "SeenImage",
    "SeenResult",
    "StopReason",
    "Text",
    "Thinking",
    "ToolUse",
    "TurnFunction",
    "action",
    "computer_call",
    "member",
    "redacted_thinking",
    "refusal",
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
    "content_filter",
    "failed",
]
"""Why a turn ended, as the APIs name it: the last two are OpenAI's alone."""


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


@dataclass(frozen=True, slots=True)
class ComputerCall:
    """A call of OpenAI's computer tool: one batch of actions.

    Attributes:
        actions: The actions, in the vendor's own words, see :func:`action`.
        pending_safety_checks: What must be acknowledged before the actions are carried out.
        call_id: The call's id; the fake makes one up where it is None.
    """

    actions: Sequence[Mapping[str, JsonValue]]
    pending_safety_checks: Sequence[Mapping[str, JsonValue]] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal in OpenAI's words: a part of a message in the place of its text."""

    text: str


Block: TypeAlias = Text | Thinking | RedactedThinking | ToolUse | ComputerCall | Refusal
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

    Where a request offers one of the older computer tools, it is called with the action of that name.

    Raises:
        ScriptError: There is no such member. To play a model that makes one up, build a :class:`ToolUse`.
    """
    if name not in TOOLSET_MEMBERS:
        raise ScriptError(f"the computer toolset has no member {name!r}; it has {', '.join(sorted(TOOLSET_MEMBERS))}")
    return ToolUse(name, input, toolset_name="computer")


ACTION_FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "click": frozenset({"button", "x", "y"}),
        "double_click": frozenset({"x", "y"}),
        "drag": frozenset({"path"}),
        "keypress": frozenset({"keys"}),
        "move": frozenset({"x", "y"}),
        "screenshot": frozenset(),
        "scroll": frozenset({"x", "y", "scroll_x", "scroll_y"}),
        "type": frozenset({"text"}),
        "wait": frozenset(),
    }
)
"""The actions of OpenAI's computer tool and the fields that each must have."""


def action(name: str, /, **fields: JsonValue) -> dict[str, JsonValue]:
    """Returns an action of OpenAI's computer tool, as in ``action("click", x=640, y=360)``.

    A click is one of the left button and a scroll goes nowhere sideways, unless the fields say else.

    Raises:
        ScriptError: There is no such action, or a field is missing.
    """
    if name not in ACTION_FIELDS:
        raise ScriptError(f"the computer tool has no action {name!r}; it has {', '.join(sorted(ACTION_FIELDS))}")
    usual: dict[str, dict[str, JsonValue]] = {"click": {"button": "left"}, "scroll": {"scroll_x": 0, "scroll_y": 0}}
    made = {"type": name, **usual.get(name, {}), **fields}
    missing = ACTION_FIELDS[name] - made.keys()
    if missing:
        raise ScriptError(f"the action {name!r} needs {', '.join(sorted(missing))}")
    return made


def computer_call(
    *actions: Mapping[str, JsonValue], checks: Sequence[Mapping[str, JsonValue]] = (), call_id: str | None = None
) -> ComputerCall:
    """Calls OpenAI's computer tool with a batch of actions.

    Args:
        actions: The actions, see :func:`action`.
        checks: The pending safety checks: ``id`` and, where wanted, ``code`` and ``message``.
        call_id: The call's id.
    """
    return ComputerCall(actions, checks, call_id)


def refusal(text: str, /) -> Refusal:
    """Refuses in OpenAI's words."""
    return Refusal(text)


@dataclass(frozen=True, slots=True)
class FakeTurn:
    """One turn of the model. The same turn plays either vendor, as far as the vendor has what it is made of.

    Attributes:
        content: The blocks in order; a string is one text block.
        stop_reason: Why the turn ends; None means ``tool_use`` where it calls a tool, else ``end_turn``.
        stop_sequence: The sequence that was found, for ``stop_sequence``.
        stop_details: What the API tells of a refusal, or of an answer that failed.
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
    def calls(self) -> tuple[ToolUse | ComputerCall, ...]:
        """The tool calls of the turn."""
        return tuple(block for block in self.blocks if isinstance(block, ToolUse | ComputerCall))

    @property
    def reason(self) -> StopReason:
        """The stop reason, derived where none is given."""
        return self.stop_reason or ("tool_use" if self.calls else "end_turn")


class SeenImage:
    """An image as the model sees it: an oversized one has been scaled down to the model's limits.

    Args:
        media_type: The media type, such as ``image/png``.
        data: The bytes as they were sent.
        fit: Returns the size at which the model sees an image of a width and height.

    Attributes:
        media_type: The media type, such as ``image/png``.
        data: The bytes as they were sent.
        size: Width and height in pixels as the model sees them; the coordinates that it gives are in these pixels.
    """

    def __init__(self, media_type: str, data: bytes, fit: Callable[[int, int], tuple[int, int]]) -> None:
        self.media_type = media_type
        self.data = data
        self._fit = fit

    def __repr__(self) -> str:
        return f"SeenImage({self.media_type}, {self.size[0]}x{self.size[1]})"

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        from PIL import Image

        with Image.open(io.BytesIO(self.data)) as image:
            return self._fit(*image.size)

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


@dataclass(frozen=True, kw_only=True)
class ModelView:
    """What the model sees of one request, whichever vendor's it is.

    Attributes:
        model: The model that is asked.
        params: The body of the request as it was sent.
        system: The system prompt.
        tools: The tools by name as they were sent; a toolset's entry, or a tool without a name, goes by its type.
        members: The members of the computer toolset, or the actions of an older computer tool, that the script may use;
            empty where no computer is offered.
        messages: The whole conversation in the vendor's form, also where the server holds the older part.
        turn: How many turns the model has already had in this conversation.
        text: The text of the last user message, tool results left out.
        results: The tool results since the model's last turn, in order.
        frame: The newest image of the conversation, None where there is none yet.
    """

    model: str
    params: dict[str, JsonValue] = field(repr=False)
    system: str = field(repr=False)
    tools: dict[str, dict[str, JsonValue]] = field(repr=False)
    members: frozenset[str] = field(repr=False)
    messages: tuple[dict[str, JsonValue], ...] = field(repr=False)
    turn: int
    text: str = field(repr=False)
    results: tuple[SeenResult, ...]
    frame: SeenImage | None


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
