"""What a person sees of a run: a line for every action, and what is being waited for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deskhand.cli.text import indented
from deskhand.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deskhand.cli.terminal import Terminal
    from deskhand.harness.events import EventBase, Usage

__all__ = ["RunView", "cost_line", "tokens"]

_QUIET = frozenset(
    {"turn.finished", "frame.captured", "usage.recorded", "computer.status", "action.output", "model.delta"}
)
"""Events that get no line: what they tell stands in another's."""

_TOLD_ELSEWHERE = frozenset({"model.told", "loop.started"})
"""Events of the loops' own that get none either."""


class RunView:
    """Prints the events of one run.

    Args:
        terminal: Where to.
        model: What the run waits for between actions.
    """

    def __init__(self, terminal: Terminal, model: str | None) -> None:
        from deskhand.providers.needs import INPUT
        from deskhand.tools.computer import computer_tools

        self._terminal = terminal
        self._model = model or "the driver"
        self._inputs = frozenset(computer_tools(INPUT).names)
        self._intents: dict[str, str] = {}
        self._said = ""

    def show(self, events: Iterable[EventBase]) -> None:
        """Print events: a line for people, or JSON."""
        for event in events:
            if self._terminal.json:
                self._terminal.line(json.loads(event.to_json()))
            else:
                self._print(event)
            self._wait(event)

    def said(self, text: str) -> bool:
        """Whether this is what the model said last, so that it stands there already."""
        return not self._terminal.json and text.strip() == self._said

    def _print(self, event: EventBase) -> None:
        from deskhand.harness.events import (
            ActionFinished,
            ActionStarted,
            CustomEvent,
            ModelMessage,
            RunFinished,
            RunStarted,
            TurnStarted,
        )

        match event:
            case ActionStarted():
                self._intents[event.data.call_id] = event.summary
            case ActionFinished():
                self._terminal.note("  " + one_line(self._action(event)))
            case ModelMessage():
                self._said = event.data.text.strip()
                if self._said:
                    self._terminal.note(indented(event.data.text, "│ "))
            case CustomEvent(data=data) if data.name in _TOLD_ELSEWHERE:
                return
            case CustomEvent():
                self._terminal.note("  " + one_line(f"{event.data.name} {json.dumps(event.data.value)}"))
            case TurnStarted() | RunStarted() | RunFinished():
                return  # the lines around them say it
            case _:
                if event.type not in _QUIET:
                    self._terminal.note("  " + one_line(event.summary))

    def _action(self, event: EventBase) -> str:
        """Return ``left_click x=640 y=360 → ok``: the intent with its outcome."""
        from deskhand.harness.events import ActionFinished

        assert isinstance(event, ActionFinished)  # noqa: S101 (the caller looked)
        data = event.data
        intent = one_line(self._intents.pop(data.call_id, data.name), 120)
        if data.outcome == "ok" and data.name in self._inputs:  # that it was clicked is said already
            return f"{intent} → ok"
        frame = f" ({data.frame_id})" if data.frame_id else ""
        return intent + event.summary.removeprefix(data.name) + frame

    def _wait(self, event: EventBase) -> None:
        """Say what comes next."""
        from deskhand.harness.events import ActionStarted, RunFinished, TurnStarted

        match event:
            case TurnStarted():
                self._terminal.wait_for(f"turn {event.data.index}: {self._model} answers")
            case ActionStarted():
                self._terminal.wait_for(event.summary)
            case RunFinished():
                self._terminal.wait_for(None)
            case _:
                pass


def tokens(count: int) -> str:
    """Return a count of tokens as people read it (``12.4k``)."""
    if count < 1000:
        return str(count)
    if count < 999_950:
        return f"{count / 1000:.1f}k"
    return f"{count / 1_000_000:.1f}M"


def cost_line(turns: int, usage: Usage, cost: float | None) -> str:
    """Return what a run took: ``3 turns · 12.4k in (81% cached) · $0.08``."""
    read = usage.input + usage.cache_read + usage.cache_write
    parts = ["1 turn" if turns == 1 else f"{turns} turns"]
    if read or usage.output:
        cached = f" ({100 * usage.cache_read // read}% cached)" if usage.cache_read else ""
        parts += [f"{tokens(read)} in{cached}", "price unknown" if cost is None else f"${cost:.2f}"]
    return " · ".join(parts)
