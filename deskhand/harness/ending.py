"""How a run ends: what is held is released, and exactly one outcome is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import anyio
from pydantic import BaseModel, JsonValue, TypeAdapter

from deskhand.errors import (
    BudgetExceededError,
    DeskhandError,
    FencedError,
    JournalError,
    QuarantinedError,
    RefusedError,
    RunStoppedError,
    StalledError,
)
from deskhand.harness.events import ControlReturned, ErrorData, RunFinished, RunOutcome
from deskhand.harness.executor import UNGATED_STAGES, Executor
from deskhand.harness.loops.fleet import FleetError
from deskhand.harness.run import LiveRun
from deskhand.harness.state import RunState
from deskhand.providers.actions import MouseUp
from deskhand.redaction import is_shallow
from deskhand.tools.calls import ToolCall

__all__ = ["GRACE", "Ending", "ending_of", "finish"]

GRACE = 10.0
"""Seconds that a run gets to stop gracefully, and again for its clean-up."""

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends."""

    outcome: RunOutcome
    reason: str | None = None
    error: DeskhandError | None = None
    output: object = None


def ending_of(error: BaseException) -> Ending:
    """Map what ended a drive to an outcome: the one table."""
    error = _reason(error)
    match error:
        case FleetError():
            alike = {type(one) for one in error.errors.values()}
            inner = ending_of(next(iter(error.errors.values())))
            same = len(alike) == 1 and inner.outcome != "stopped"
            outcome, reason = (inner.outcome, inner.reason) if same else ("failed", "error")
            return Ending(outcome, reason, error, error.outputs)
        case RunStoppedError():
            return Ending("stopped", error.reason)
        case BudgetExceededError():
            return Ending("budget_exceeded", error.reason, error)
        case RefusedError():
            return Ending("refused", "refused", error)
        case QuarantinedError():
            return Ending("quarantined", "recoveries", error)
        case StalledError():
            return Ending("failed", "stalled", error)
        case JournalError():
            return Ending("failed", "journal", error)
        case DeskhandError():
            return Ending("failed", "error", error)
        case KeyboardInterrupt():
            return Ending("stopped", "signal")
        case _:
            wrapped = DeskhandError(f"{type(error).__name__}: {error}", code="internal")
            wrapped.__cause__ = error
            return Ending("failed", "error", wrapped)


def _reason(error: BaseException) -> BaseException:
    """Find in a group what ended the drive: its one kind of error, with which others may have been told to stop."""
    leaves = list(_leaves(error))
    first = next((leaf for leaf in leaves if not isinstance(leaf, RunStoppedError)), leaves[0])
    alike = all(isinstance(leaf, (type(first), RunStoppedError)) for leaf in leaves)
    return first if alike else error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


async def finish(live: LiveRun, ending: Ending) -> None:
    """Release what is held, then write the one outcome; each takes a bounded time."""
    state = live.state
    state.control.stop(ending.reason or ending.outcome)
    with anyio.move_on_after(GRACE):
        if live.takeover is not None:
            await live.takeover.hand_back()
        await _release(state)
    if state.control.holder is not None:  # who still waited for the action in flight does not get them any more
        state.emit(ControlReturned, {"actor": state.control.holder, "summary": None, "actions": 0, "duration": 0.0})
        state.control.give_back()
    live.output = ending.output
    state.tally.finished = cast(
        "RunFinished",
        state.emit(
            RunFinished,
            {
                "outcome": ending.outcome,
                "reason": ending.reason,
                "output": _as_json(ending.output),
                "error": ErrorData.of(ending.error).model_dump(mode="json") if ending.error else None,
                "turns": state.tally.turns,
                "actions": state.tally.actions,
                "usage": state.tally.usage.model_dump(),
                "cost": state.tally.cost,
            },
        ),
    )
    # The outcome stands in the result whatever happens; those who follow the events are told what is missing.
    error = JournalError(f"the log has not taken the end of the run {state.run_id} within {GRACE:g} s")
    with anyio.move_on_after(GRACE):
        try:
            await state.feed.barrier()
        except JournalError as refused:
            error = refused
        else:
            state.feed.close()
            return
    state.feed.fail(error)


async def _release(state: RunState) -> None:
    """Release the buttons that the run holds, as an action like any other."""
    executor = Executor(state, UNGATED_STAGES)
    for computer in state.computers.values():
        for button in tuple(computer.held):
            try:
                await executor.execute(ToolCall("left_mouse_up", computer_id=computer.id), actor="deskhand")
            except FencedError:
                return  # the computers are another process's now, with what is held
            except JournalError:
                # No intent can be kept any more. This one undoes an action whose intent was: a button that stays down
                # would turn the next person's movement into a drag.
                with suppress(DeskhandError):
                    await computer.computer.perform(MouseUp(button))


def _as_json(output: object) -> JsonValue:
    """Render an output for the log: JSON where it is JSON or a model, else its text."""
    if isinstance(output, BaseModel):
        return cast("JsonValue", output.model_dump(mode="json"))
    try:
        value = _JSON.validate_python(output, strict=True)
    except ValueError:
        return str(output)
    return value if is_shallow(value) else str(output)
