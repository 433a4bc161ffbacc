"""Whether a run gets anywhere: what becomes of its calls is watched; going in circles it is told so, then ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from pydantic import JsonValue

from deskhand.errors import InvalidInputError, StalledError
from deskhand.harness.events import RunStuck
from deskhand.harness.past import Past
from deskhand.harness.stages.action import Action
from deskhand.harness.state import RunState
from deskhand.harness.stuck import Finding, Level, Step
from deskhand.providers.contract import Capability
from deskhand.tools.calls import ActionOutcome, Observation, ToolCall
from deskhand.tools.registry import Tool

__all__ = ["progress", "recall", "step_of", "watch"]

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
    call, step = observation.call, step_of(observation, action.tool)
    if step is None:
        return
    finding = action.target.watch.take(step)
    if finding is not None:
        where = f"On the computer {action.target.id}: " if len(action.run.computers) > 1 else ""
        told = f"{where}{finding.text} {_ADVICE}"
        _tell(action, call, "nudged", finding, told)
        with suppress(InvalidInputError):  # (a hundred messages wait: one more would not be heard either)
            action.run.inbox.put(told)


def recall(run: RunState, past: Past) -> None:
    """Take note of all that a run which is recovered has done: a circle goes on where it was."""
    for call_id, action in past.actions.items():
        target = run.computers.get(action.computer_id or "")
        if target is None or not target.watch.limits.finds or action.finished is None:
            continue
        watch, data = target.watch, action.finished.data
        if not action.by_loop:  # (a person had the computer)
            watch.forgive()
            continue
        tool = target.tools.get(data.name) if data.name in target.tools else None
        if action.started is not None or call_id in past.requests:  # (it came as far as `progress`)
            look = tool is not None and tool.capability is Capability.SCREENSHOT
            if watch.due is not None and (not look or watch.only_looks):
                watch.escalate(watch.due[0])
            if call_id in past.asked_as_stuck and data.approved:
                watch.forgive()
        given = action.started.data.arguments if action.started is not None else {}
        picture = None if action.frame is None else action.frame.sha256
        step = _step(tool, data.name, given, outcome=data.outcome, text=data.text, picture=picture)
        if step is not None:
            watch.take(step)


def step_of(observation: Observation, tool: Tool | None) -> Step | None:
    """Return what a call was, in the detector's words; ``None`` for what was not done, and what tells nothing.

    Args:
        observation: What came of the call.
        tool: Its tool, where there is one of that name.
    """
    call, frame = observation.call, observation.frame
    picture = None if frame is None else frame.sha256 or frame.id
    return _step(tool, call.name, call.arguments, outcome=observation.outcome, text=observation.text, picture=picture)


def _step(
    tool: Tool | None,
    name: str,
    arguments: Mapping[str, JsonValue] | str,
    *,
    outcome: ActionOutcome,
    text: str,
    picture: str | None,
) -> Step | None:
    call = hash((name, repr(arguments)))
    if tool is None:
        return Step("input", call, failed=True) if outcome == "error" else None
    if tool.capability is not Capability.REGION and tool.on_screen and picture is not None:
        return Step("look", call, picture)  # (also of a call that was answered with a fresh frame)
    if outcome not in {"ok", "error", "unknown"}:
        return None
    failed = outcome == "error"
    if not tool.on_screen:
        return Step("other", call, hash(text), failed)
    if tool.effect == "pure":
        return Step("look", call, failed=True) if failed else None
    return Step("input", call, failed=failed)


def _tell(action: Action, call: ToolCall, level: Level, finding: Finding, told: str | None = None) -> None:
    action.run.emit(
        RunStuck,
        {"pattern": finding.pattern, "count": finding.times, "step": level, "text": finding.text, "told": told},
        call_id=call.id,
        computer_id=call.computer_id,
    )
