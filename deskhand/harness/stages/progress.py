"""Whether a run gets anywhere: what becomes of its calls is watched; going in circles it is told so, then ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from deskhand.errors import InvalidInputError, StalledError
from deskhand.harness.events import RunStuck
from deskhand.harness.stages.action import Action
from deskhand.harness.stuck import Finding, Level, Step
from deskhand.providers.contract import Capability
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.registry import Tool

__all__ = ["progress", "step_of", "watch"]

_ADVICE: Final = "This leads nowhere: do something else, or say what is in the way."


async def progress(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Before a call of a run that goes on in circles, have a person asked; when that did not help either, end the run.

    Raises:
        StalledError: If so.
    """
    watch, run = action.on.watch, action.run
    due = watch.due
    look = action.with_tool.capability is Capability.SCREENSHOT
    if due is None or (look and not watch.only_looks):
        return call
    level, finding = due
    watch.escalate(level)
    if level == "asked":
        if run.approvals.has_somebody or run.policy is not None:
            action.stuck = f"the run seems to be stuck: {finding.text}"
            _tell(action, call, level, finding)
        return call
    _tell(action, call, level, finding)
    raise StalledError(f"the run goes in circles: {finding.text}")


def watch(observation: Observation, action: Action) -> None:
    """Take note of what became of a call; the model is told where it goes in circles."""
    if action.target is None or not action.target.watch.limits.finds:
        return
    step = step_of(observation, action.tool)
    if step is None:
        return
    finding = action.target.watch.take(step)
    if finding is not None:
        _tell(action, observation.call, "nudged", finding)
        with suppress(InvalidInputError):  # (a hundred messages wait: one more would not be heard either)
            where = f"On the computer {action.target.id}: " if len(action.run.computers) > 1 else ""
            action.run.inbox.put(f"{where}{finding.text} {_ADVICE}")


def step_of(observation: Observation, tool: Tool | None) -> Step | None:
    """Return what a call was, in the detector's words; ``None`` for what was not done, and what tells nothing.

    Args:
        observation: What came of the call.
        tool: Its tool, where there is one of that name.
    """
    given, frame = observation.call.arguments, observation.frame
    call = hash((observation.call.name, repr(given)))
    if observation.outcome == "error" and tool is None:
        return Step("input", call, failed=True)
    if tool is None:
        return None
    if frame is not None and tool.on_screen and tool.capability is not Capability.REGION:
        return Step("look", call, frame.sha256 or frame.id)  # (also of a call that was answered with a fresh frame)
    if observation.outcome not in {"ok", "error", "unknown"}:
        return None
    failed = observation.outcome == "error"
    if not tool.on_screen:
        return Step("other", call, hash(observation.text), failed)
    if tool.effect == "pure":
        return Step("look", call, failed=True) if failed else None
    return Step("input", call, failed=failed)


def _tell(action: Action, call: ToolCall, level: Level, finding: Finding) -> None:
    action.run.emit(
        RunStuck,
        {"pattern": finding.pattern, "count": finding.times, "step": level, "text": finding.text},
        call_id=call.id,
        computer_id=call.computer_id,
    )
