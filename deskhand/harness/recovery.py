"""Taking a run up again: what its state was, and what became of the actions that were under way when it died."""

from __future__ import annotations

from typing import Final

import anyio
from pydantic import JsonValue

from deskhand.errors import Effect, QuarantinedError
from deskhand.harness.events import (
    ActionFinished,
    ControlReturned,
    ErrorData,
    EventBase,
    RunPaused,
    RunRecovered,
    RunSteered,
    TurnFinished,
    Usage,
)
from deskhand.harness.models.recorded import decode_answer
from deskhand.harness.past import LOST, Past
from deskhand.harness.stages.effect import HOLDS, RELEASES
from deskhand.harness.stages.progress import recall
from deskhand.harness.state import ComputerState, RunState
from deskhand.harness.steps import Acted
from deskhand.logs import package_logger
from deskhand.providers.contract import Capability
from deskhand.tools.registry import ToolContext, ToolOutput

__all__ = ["MOST_RECOVERIES", "restore", "settle_all", "too_often"]

MOST_RECOVERIES: Final = 10
"""How often a run is taken up again; one that dies more often is left alone."""

_LOST: Final = (
    "It is not known whether this was done: the program that does it was restarted meanwhile. Find out before you "
    "repeat it."
)
_NOT_DONE: Final = "Not executed: the program that does it was restarted before."
_ANOTHER: Final = (
    "You have another computer from here on: what was done on the former one is not there, and its screen is gone."
)
_REPLACED: Final = (
    "The computer {name} is another one from here on: what was done on the former one is not there, and its screen is "
    "gone."
)
ANSWER: Final = 30.0
"""Seconds in which a computer must say whether something took effect."""

_log = package_logger(__name__)


def too_often(past: Past) -> QuarantinedError | None:
    """Return the error of a run that has died too often to be taken up once more."""
    if past.recoveries < MOST_RECOVERIES:
        return None
    return QuarantinedError(f"the run died {past.recoveries + 1} times; it is not taken up again")


def restore(state: RunState, past: Past) -> None:
    """Bring a run's state to where the log ends: counters, budgets, frames, what is held, what waits."""
    state.past = past
    state.turn = past.last_turn
    state.calls_in_turn = past.last_number(state.run_id, state.turn)
    state.calls_aside = past.last_number(state.run_id, "aside")
    state.tally.turns, state.tally.actions = past.complete_turns, past.intents
    state.tally.usage, state.tally.cost = past.usage, past.cost
    state.approvals.restore(list(past.requests.values()), past.answers)
    if past.paused:
        state.control.pause()
    _restore_frames(state, past)
    for action in past.actions.values():
        _restore_held(state, action)
    amounts = {
        "turns": len(past.turns),
        "actions": past.intents,
        "frames": state.tally.frames,
        "tokens": past.tokens,
        "money": past.cost or 0.0,
        "time": past.elapsed,
    }
    state.warn(state.purse.count(amounts))  # type: ignore[arg-type]


def _restore_frames(state: RunState, past: Past) -> None:
    for frame_id, event in past.frames.items():
        frame = past.frame(frame_id)
        if frame is None:
            continue
        number = frame_id.removeprefix("f")
        state.tally.frames = max(state.tally.frames, int(number) if number.isdecimal() else 0)
        state.tally.last_frame = frame
        state.images[frame.id] = frame.sha256
        computer = state.computers.get(event.computer_id or "")
        if computer is not None and not _is_region(computer, past.actions.get(event.data.cause or "")):
            state.known_frames[frame.id] = computer.frame = frame


def _is_region(computer: ComputerState, action: Acted | None) -> bool:
    """Whether a frame shows a part of the screen only."""
    name = "" if action is None or action.started is None else action.started.data.name
    return name in computer.tools and computer.tools.get(name).capability is Capability.REGION


def _restore_held(state: RunState, action: Acted) -> None:
    """Take note of the buttons that an action left pressed, perhaps."""
    computer = state.computers.get(action.started.computer_id or "") if action.started is not None else None
    if computer is None or action.started is None:
        return
    name, finished = action.started.data.name, action.finished
    if name in HOLDS and (finished is None or finished.data.effect != "no"):
        computer.held.add(HOLDS[name])
    elif name in RELEASES and finished is not None and finished.data.outcome == "ok":
        computer.held.discard(RELEASES[name])


async def settle_all(state: RunState, past: Past, *, again: bool) -> None:
    """Write that the run was taken up, and what became of all that was under way.

    Args:
        state: The run, its state restored.
        past: What the log knows of it.
        again: Whether its loop is driven again, so that what may be done twice is done by it: on the same computer.

    Raises:
        JournalError: If it cannot be written; nothing was done then.
    """
    under_way = past.unsettled
    calls = [action.started.data.call_id for action in under_way if action.started is not None]
    _write(state, past, RunRecovered, {"recoveries": past.recoveries + 1, "unsettled": list[JsonValue](calls)})
    await state.sync()
    same = _has_same_computers(state, past)
    for action in under_way:
        await _settle(state, past, action, again=again and same)
    await _end_turns(state, past)
    _return_control(state, past)
    if not same:
        _introduce(state, past)
    recall(state, past)
    await state.sync()


def _write(
    state: RunState,
    past: Past,
    kind: type[EventBase],
    data: dict[str, JsonValue],
    *,
    call_id: str | None = None,
    computer_id: str | None = None,
) -> None:
    """Write an event, and take note of it like of all before."""
    event = state.emit(kind, data, call_id=call_id, computer_id=computer_id)
    past.take(event.numbered(state.feed.last_seq))


async def _settle(state: RunState, past: Past, action: Acted, *, again: bool) -> None:
    """Write what became of an action, by its effect class; nothing where the loop does it again."""
    if action.started is None:
        return
    data = action.started.data
    by_loop = again and data.actor == "harness"
    happened: bool | None = None
    output: ToolOutput | None = None
    match data.effect:
        case "pure":
            happened = False
        case "idempotent" if by_loop:
            happened = False
        case "queryable":
            happened, output = await _ask(state, action)
        case _:
            pass
    if happened is False and by_loop:
        return
    ending = _outcome(action, happened, output)
    _write(state, past, ActionFinished, ending, call_id=data.call_id, computer_id=action.computer_id)


def _outcome(action: Acted, happened: bool | None, output: ToolOutput | None) -> dict[str, JsonValue]:
    """Say how an action ended; ``None`` is that nobody knows."""
    assert action.started is not None  # noqa: S101 (the caller's check)
    data = action.started.data
    ending: dict[str, JsonValue]
    if happened:
        error = output.error if output is not None else None
        ending = {
            "outcome": "ok" if error is None else "error",
            "effect": "yes",
            "text": output.text if output is not None else "done",
            "error": None if error is None else ErrorData.of(error).model_dump(mode="json"),
        }
    else:
        effect: Effect = "unknown" if happened is None else "no"
        text = _LOST if happened is None else _NOT_DONE
        ending = {
            "outcome": "unknown" if happened is None else "cancelled",
            "effect": effect,
            "text": text,
            "error": ErrorData(code=LOST, message=text, effect=effect).model_dump(mode="json"),
        }
    actor = None if data.actor == "harness" else data.actor
    return {"call_id": data.call_id, "name": data.name, "duration": 0.0, "actor": actor, **ending}


async def _ask(state: RunState, action: Acted) -> tuple[bool | None, ToolOutput | None]:
    """Ask whether an action took effect; ``None`` where nobody can tell."""
    started = action.started
    computer = state.computers.get(started.computer_id or "") if started is not None else None
    if started is None or computer is None or started.data.name not in computer.tools:
        return None, None
    tool = computer.tools.get(started.data.name)
    if tool.happened is None:
        return None, None
    context: ToolContext[object] = ToolContext(
        computer=computer.computer, deps=state.deps, run_id=state.run_id, call_id=started.data.call_id
    )
    try:
        with anyio.fail_after(ANSWER):
            arguments = computer.tools.validate(tool.name, started.data.arguments)
            output = await tool.happened(context, arguments)
    except Exception as error:  # (a user's function may raise anything: then nobody can tell)
        _log.warning("whether %s took effect cannot be told: %s", started.data.call_id, error)
        return None, None
    return (output is not None), output


async def _end_turns(state: RunState, past: Past) -> None:
    """Write the ends of turns that have none: with what their answers used, where they had come."""
    for index, turn in list(past.turns.items()):
        if turn.finished:
            continue
        reason, usage = "interrupted", Usage()
        known = turn.answer
        if known is not None and known.raw is not None and known.rest is not None:
            answer = decode_answer(await state.blobs.get(known.raw), await state.blobs.get(known.rest))
            reason, usage = answer.stop_reason, answer.usage
        state.turn = index
        data: dict[str, JsonValue] = {"stop_reason": reason, "usage": usage.model_dump(), "duration": 0.0}
        _write(state, past, TurnFinished, data, computer_id=turn.computer_id)
    state.turn = past.last_turn
    state.tally.turns, state.tally.usage = past.complete_turns, past.usage


def _return_control(state: RunState, past: Past) -> None:
    """Take the computers back from a person who had them when the run died, and pause: they may be at it still."""
    actor = past.taken_by
    if actor is None:
        return
    told = f"{actor} had the computer when the program was restarted."
    _write(state, past, ControlReturned, {"actor": actor, "told": told, "duration": 0.0})
    for computer in state.computers.values():
        computer.overtaken = actor
    state.control.pause()
    _write(state, past, RunPaused, {"actor": "deskhand", "reason": f"{actor} had the computer"})


def _computers_of(past: Past) -> dict[str, str]:
    """Return the computers that the run had: their own ids, by what the run called them."""
    assert past.started is not None  # noqa: S101 (read_past sees to it)
    return past.computers or {key: key for key in past.started.data.computers}


def _has_same_computers(state: RunState, past: Past) -> bool:
    """Whether the run has the computers that it had before."""
    return {key: one.computer.info.id for key, one in state.computers.items()} == _computers_of(past)


def _introduce(state: RunState, past: Past) -> None:
    """Tell who uses a computer that it is another one than before, before what was planned on that one is done."""
    known = _computers_of(past)
    replaced = [key for key, one in state.computers.items() if known.get(key) != one.computer.info.id]
    if len(state.computers) == 1 or not replaced:
        _write(state, past, RunSteered, {"actor": "deskhand", "text": _ANOTHER, "when": "now"})
    else:
        for key in replaced:
            text = _REPLACED.format(name=key)
            _write(state, past, RunSteered, {"actor": "deskhand", "text": text, "when": "now"}, computer_id=key)
    for computer in state.computers.values():
        state.tell_status(computer)
