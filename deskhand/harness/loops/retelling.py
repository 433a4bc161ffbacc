"""A recorded conversation, told again: its answers are read and decided about as when they came, and nothing is done.

What comes out is the transcript that the next request continues, or, where only the decisions matter, what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from deskhand.errors import BudgetExceededError, DeskhandError, InvalidInputError, ProtocolError, RefusedError
from deskhand.harness.history import History
from deskhand.harness.loops.deciding import (
    MAX_CALLS,
    TOO_MANY,
    Act,
    Finish,
    GoOn,
    Next,
    Repeat,
    Resume,
    decide,
    heed,
    unasked,
    with_look,
)
from deskhand.harness.steps import Acted, Answer, Step, Told
from deskhand.tools.calls import Observation, ToolCall

if TYPE_CHECKING:
    from deskhand.harness.loops.conversation import Conversation
    from deskhand.harness.models.adapter import ModelAdapter, Turn
    from deskhand.harness.models.toolbox import Toolbox

__all__ = ["differences", "read_answer", "retell"]

_NOT_RUN: Final = "Not executed: the run ended before."
_UNKNOWN: Final = "The run ended while this was under way: whether it took effect is not known. Look before you go on."
_GO_ON: Final = "Go on."


@dataclass(frozen=True, slots=True)
class _Round:
    """One recorded answer with what followed it: the actions, a look a computer, and what the model was told."""

    answer: Answer
    acted: Mapping[str, Acted]
    looks: Mapping[str | None, Acted]
    told: Sequence[Told | Acted]


def _rounds(steps: Sequence[Step]) -> tuple[list[Step], list[_Round]]:
    """Part a conversation at its answers; return what stands before the first, and one round an answer."""
    begins = [index for index, step in enumerate(steps) if isinstance(step, Answer)]
    rounds: list[_Round] = []
    for begin, end in zip(begins, [*begins[1:], len(steps)], strict=True):
        answer = steps[begin]
        assert isinstance(answer, Answer)  # noqa: S101 (it begins there)
        after = steps[begin + 1 : end]
        own = {call.call_id for call in answer.calls}
        told: list[Told | Acted] = []
        looks: dict[str | None, Acted] = {}
        for one in after:
            if isinstance(one, Told):
                told.append(one)
            elif isinstance(one, Acted) and one.call_id not in own and one.is_look:
                if told:  # (what is looked at after a word goes with it)
                    told.append(one)
                else:
                    looks.setdefault(one.computer_id, one)
        rounds.append(
            _Round(
                answer,
                {one.call_id: one for one in after if isinstance(one, Acted)},
                looks,
                told,
            )
        )
    return list(steps[: begins[0]] if begins else steps), rounds


async def read_answer(codec: ModelAdapter, history: History, answer: Answer) -> Turn:
    """Read a recorded answer, its calls under the ids under which they were recorded.

    Raises:
        NotFoundError: If its items are not kept.
        InvalidInputError: If they are another vendor's.
    """
    turn = codec.read(await history.raw(answer), answer.stop_reason)
    if len(turn.calls) != len(answer.calls):
        raise ProtocolError(f"turn {answer.turn} of {history.run_id} reads otherwise than it was recorded", effect="no")
    calls = [replace(call, id=known.call_id) for call, known in zip(turn.calls, answer.calls, strict=True)]
    return replace(turn, calls=calls, usage=answer.usage)


async def retell(conversation: Conversation[object], history: History) -> None:
    """Put a recorded conversation into a new one that is about to begin: nothing is asked, nothing is done.

    A call whose outcome is not recorded is answered: that it was not run, or that nobody knows.

    Raises:
        NotFoundError: If a recorded answer is no longer kept.
        InvalidInputError: If the record is of another vendor's model.
        RunStoppedError: If it ended because a person denied what the vendor wanted a person to see.
    """
    if history.before is not None:
        await retell(conversation, history.before)
    for message in history.amended:
        conversation.codec.amend(InvalidInputError(message))
    before, rounds = _rounds(history.steps)
    await _open(conversation, history, before)
    for index, one in enumerate(rounds):
        conversation.codec.fit(conversation.transcript)
        conversation.measure()
        await _retell(conversation, history, one, last=index == len(rounds) - 1)
    conversation.shown.clear()  # (frames are numbered anew)


async def _open(conversation: Conversation[object], history: History, steps: Sequence[Step]) -> None:
    shown = [step for step in steps if isinstance(step, Told) or (isinstance(step, Acted) and step.is_look)]
    await _say(conversation, history, [Told(history.goal, beside=False), *shown])


async def _retell(conversation: Conversation[object], history: History, one: _Round, *, last: bool) -> None:
    try:
        turn = await read_answer(conversation.codec, history, one.answer)
        step = decide(turn, conversation.used)
    except (RefusedError, BudgetExceededError, ProtocolError):
        if last:  # (it ended the run, and is no part of what can be sent)
            return
        raise
    conversation.context = turn.usage.total
    told = list(one.told)
    match step:
        case Repeat():
            return
        case Resume():
            conversation.append(turn)
            conversation.waiting.append(turn)
            if last:
                await _settle(conversation, history, one, conversation.pending(None))
        case Act():
            await _settle(conversation, history, one, conversation.pending(turn), turn)
        case Finish() if last and not turn.calls and not conversation.waiting and not _is_beside(told):
            conversation.append(turn)
        case GoOn() | Finish():
            beside = step.text if isinstance(step, GoOn) else _GO_ON
            if told and isinstance(told[0], Told) and told[0].beside:
                beside = told[0].text
                del told[0]
            conversation.answer(turn, beside)
    await _say(conversation, history, told)


def _is_beside(told: Sequence[Told | Acted]) -> bool:
    return any(isinstance(one, Told) and one.beside for one in told)


async def _say(conversation: Conversation[object], history: History, told: Sequence[Told | Acted]) -> None:
    """Append what the model was told, and shown with it."""
    said: list[str | Observation] = []
    for one in told:
        if isinstance(one, Told):
            said.append(one.text)
            continue
        seen = await history.observation(one, ToolCall("screenshot"))
        if seen is not None:
            said.append(seen)
    if said:
        conversation.transcript.append(conversation.codec.encode(said))


async def _settle(
    conversation: Conversation[object],
    history: History,
    one: _Round,
    pending: tuple[list[Turn], list[ToolCall]],
    turn: Turn | None = None,
) -> None:
    """Append an answer and the recorded results of its calls."""
    turns, calls = pending
    if not calls:
        return
    codec = conversation.codec
    found: list[Observation] = []
    for call in calls[:MAX_CALLS]:
        acted = one.acted.get(call.id or "")
        if acted is None:
            break
        seen = await history.observation(acted, call)
        found.append(seen or Observation(call, "unknown", "unknown", text=_UNKNOWN))
    found += codec.refuse(calls[len(found) : MAX_CALLS], _NOT_RUN, found)
    heed(found)
    found += codec.refuse(calls[MAX_CALLS:], TOO_MANY, found)
    for index in codec.wants_looks(found):
        known = next(iter(one.looks.values()), None)
        if codec.toolbox.several:
            known = one.looks.get(found[index].call.computer_id)
        if known is None:
            continue
        look = await history.observation(known, ToolCall("screenshot", checks=unasked(found)))
        if look is not None:
            found = with_look(found, index, look)
    for seen in found:
        conversation.see(seen)
    if turn is not None:
        conversation.append(turn)
    conversation.transcript.append(codec.encode_results(turns, found))


async def differences(history: History, codec: ModelAdapter) -> list[str]:
    """Decide about every recorded answer anew, and say what is decided otherwise than it was.

    Args:
        history: The record.
        codec: Speaks the vendor's protocol, and knows what the model could call.

    Returns:
        A line a difference: in which calls there are, in whether they are run, in the arguments they are run with.
    """
    _, rounds = _rounds(history.steps)
    used: set[str | None] = set()
    lines: list[str] = []
    waiting: list[ToolCall] = []
    for index, one in enumerate(rounds):
        where = f"{history.run_id} turn {one.answer.turn}"
        try:
            turn = await read_answer(codec, history, one.answer)
        except ProtocolError as error:
            lines.append(error.message)
            continue
        try:
            step: Next | DeskhandError = decide(turn, used)
        except DeskhandError as error:
            step = error
        read = [(call.name, call.provider_call_id) for call in turn.calls]
        known = [(call.name, call.provider_call_id) for call in one.answer.calls]
        if read != known:
            lines.append(f"{where}: the calls are {read}, recorded are {known}")
        lines += [f"{where}: {line}" for line in _decided(step, one, last=index == len(rounds) - 1)]
        if isinstance(step, Act | Resume | GoOn | Finish):
            used.update(turn.call_ids)
            waiting += map(codec.toolbox.addressed, turn.calls)
        if isinstance(step, Act):
            lines += [f"{where}: {line}" for line in _planned(waiting, one, codec.toolbox)]
        if isinstance(step, Act | GoOn | Finish):
            waiting = []
    return lines


def _decided(step: Next | DeskhandError, one: _Round, *, last: bool) -> list[str]:
    """Compare what is decided with what followed."""
    ran = any(call.call_id in one.acted for call in one.answer.calls)
    if ran and not isinstance(step, Act):
        return [f"decided is {type(step).__name__}, and its calls were run"]
    if isinstance(step, DeskhandError) and not last:
        return [f"decided is to end with {step.code}, and the run went on"]
    if isinstance(step, Act) and not ran and not last:
        return ["decided is to run its calls, and none was run"]
    return []


def _planned(calls: Sequence[ToolCall], one: _Round, toolbox: Toolbox) -> list[str]:
    """Compare the calls as they would be run with those that were."""
    lines: list[str] = []
    for call in calls[:MAX_CALLS]:
        acted = one.acted.get(call.id or "")
        if acted is None or acted.started is None or acted.approved:  # (a person may have changed it)
            continue
        started = acted.started.data
        try:
            checked = toolbox.registry_of(call).validate(call.name, call.arguments)
        except DeskhandError as error:
            lines.append(f"{call.name} would be refused ({error.message}), and was run")
            continue
        plain = checked.model_dump(mode="json", exclude_none=True)
        if (started.name, started.arguments) != (call.name, plain):
            lines.append(f"{call.name} {plain} would be run, {started.name} {started.arguments} was")
    return lines
