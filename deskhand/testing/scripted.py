"""A model without a vendor: it decides what a script says, in a run like any other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic import JsonValue

from deskhand.errors import BudgetExceededError, InvalidInputError
from deskhand.harness import FrameLimits, Harness, RunContext
from deskhand.harness.events import Usage
from deskhand.tools import Observation, Tool, ToolCall, ToolRegistry

__all__ = ["Decision", "ScriptedModel", "ScriptedView", "call"]

_OUT_OF_TURNS: Final = "the last turn must be the answer, a text: after calls, a model is asked again"


@dataclass(frozen=True, slots=True)
class ScriptedView:
    """What the model sees when it is asked.

    Attributes:
        goal: The run's goal.
        turn: How many turns it has had.
        observations: What came of the last turn's calls, in their order; empty at first.
        tools: The names of the tools that it may call.
    """

    goal: str
    turn: int
    observations: tuple[Observation, ...]
    tools: tuple[str, ...]

    @property
    def text(self) -> str:
        """What the last turn's observations say, a line each."""
        return "\n".join(observation.text for observation in self.observations if observation.text)

    @property
    def image(self) -> bytes | None:
        """The encoded image of the newest frame among them."""
        return next((seen.image for seen in reversed(self.observations) if seen.image is not None), None)


Decision: TypeAlias = str | ToolCall | Sequence[str | ToolCall]
"""One turn: a text alone is the answer and ends the run; calls, with texts between them or without, are done."""

ScriptedTurn: TypeAlias = Decision | Callable[[ScriptedView], Decision | Awaitable[Decision]]
"""A decision, or a function, async or not, that makes one of what the model sees."""


def call(name: str, /, **arguments: JsonValue) -> ToolCall:
    """Ask for a tool: ``call("left_click", x=1, y=2)``."""
    return ToolCall(name, arguments)


class ScriptedModel(Harness[str, object]):
    """A harness whose model is a script: for unit tests of tools, computers and whatever follows a run.

    Its calls pass the same executor as every other harness's, its turns are events like theirs. Unlike
    `deskhand.testing.FakeAnthropic` it has no wire: it tests what is around a loop, not a loop. ::

        model = ScriptedModel([
            [call("screenshot"), call("left_click", x=640, y=400)],
            lambda seen: call("exec", command="echo hello"),
            lambda seen: f"It says {seen.text}",
        ])
        result = await model.run(computer, "say hello")

    Args:
        script: The turns, one after the other; or a function that is asked for each.
        tools: Tools besides the computer's own.
        max_turns: Turns at most.
        name: What events call it.
        frame_limits: How large its frames may be; without limits where not given.
        usage: What each turn is said to use.
    """

    def __init__(
        self,
        script: Sequence[ScriptedTurn] | Callable[[ScriptedView], Decision | Awaitable[Decision]],
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        name: str = "ScriptedModel",
        frame_limits: FrameLimits | None = None,
        usage: Usage | None = None,
    ) -> None:
        self._script = script if callable(script) else tuple(script)
        if isinstance(self._script, tuple):
            if not self._script:
                raise InvalidInputError("the script has no turns", hint='ScriptedModel(["done"]) ends at once')
            last = self._script[-1]
            if not callable(last) and _calls(last):
                raise InvalidInputError(_OUT_OF_TURNS, hint='add "done"')
        self._tools = tools
        self._max_turns = max_turns
        self._name = name
        self._frame_limits = frame_limits or FrameLimits()
        self._usage = usage

    @property
    def name(self) -> str:
        """What events call it."""
        return self._name

    @property
    def model(self) -> str | None:
        """The model's name: it is no vendor's."""
        return "scripted"

    @property
    def frame_limits(self) -> FrameLimits:
        """How large its frames may be."""
        return self._frame_limits

    @property
    def own_tools(self) -> ToolRegistry | Sequence[Tool] | None:
        """Tools besides the computer's own."""
        return self._tools

    async def drive(self, run: RunContext[object]) -> str:
        """Play the script.

        Raises:
            BudgetExceededError: If it takes more than ``max_turns``.
            InvalidInputError: If it asks for something after its last turn.
        """
        observations: tuple[Observation, ...] = ()
        for number in range(self._max_turns):
            view = ScriptedView(run.goal, number, observations, tuple(tool.name for tool in run.tools))
            async with run.turn(model=self.model) as turn:
                decision = await self._decide(view)
                text, calls = _text(decision), _calls(decision)
                turn.stop_reason = "tool_use" if calls else "end_turn"
                if text:
                    turn.delta(text)
                numbered = await turn.record(text, calls, self._usage)
            if not numbered:
                return text
            observations = tuple(await run.act_batch(numbered))
        raise BudgetExceededError(
            f"the run has had its {self._max_turns} turns", reason="turns", hint="raise max_turns"
        )

    async def _decide(self, view: ScriptedView) -> Decision:
        script = self._script
        if isinstance(script, tuple):
            if view.turn >= len(script):
                raise InvalidInputError(f"the script's {len(script)} turns have been played; {_OUT_OF_TURNS}")
            turn: ScriptedTurn = script[view.turn]
        else:
            turn = script
        if isinstance(turn, (str, ToolCall, Sequence)):
            return turn
        made = turn(view)
        return made if isinstance(made, (str, ToolCall, Sequence)) else await made


def _items(decision: Decision) -> Sequence[str | ToolCall]:
    return (decision,) if isinstance(decision, (str, ToolCall)) else decision


def _calls(decision: Decision) -> list[ToolCall]:
    return [item for item in _items(decision) if isinstance(item, ToolCall)]


def _text(decision: Decision) -> str:
    return "\n".join(item for item in _items(decision) if isinstance(item, str))
