"""What the log knows of a run that is taken up again: its turns, its actions, what people said, what it used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ConflictError, CorruptJournalError, InvalidInputError, NotFoundError
from deskhand.harness.blobs import BlobStore
from deskhand.harness.events import (
    ActionFinished,
    ActionStarted,
    ApprovalRequested,
    ApprovalResolved,
    ComputerStatusChanged,
    ControlReturned,
    ControlTaken,
    CustomEvent,
    EventBase,
    FrameCaptured,
    ModelMessage,
    RunCheckpoint,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    RunSteered,
    RunStuck,
    TurnFinished,
    TurnStarted,
    Usage,
    UsageRecorded,
)
from deskhand.harness.inbox import Inbox, When
from deskhand.harness.log import EventLog
from deskhand.harness.steps import LOOP, TOLD, Acted, Answer, Step, Told, frame_of
from deskhand.tools.calls import Frame, Observation, ToolCall

__all__ = ["LOST", "Past", "PastTurn", "fold", "read_past"]

LOST: Final = "lost"
"""The code of the error of an action that was under way when the program ended: nobody knows whether it was done."""

_PAGE: Final = 1000


@dataclass(eq=False)
class PastTurn:
    """One model turn: where it began, whose loop's it is, what the model answered, whether its end was written."""

    began: int
    computer_id: str | None = None
    answer: Answer | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    """Something that was said to the run; to one computer's loop where that is named."""

    seq: int
    when: When
    text: str
    computer_id: str | None = None


@dataclass(eq=False)
class Past:
    """A run as its log tells it.

    A loop that can be driven again from its start gets from here what it got then: its model's answers by `PastTurn`,
    its observations by `observation`. Once nothing is left, it goes on by itself. ``again`` is whether it does so.
    """

    started: RunStarted | None = None
    finished: RunFinished | None = None
    last_seq: int = 0
    recoveries: int = 0
    checkpoint: JsonValue = None
    turns: dict[int, PastTurn] = field(default_factory=dict)
    actions: dict[str, Acted] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    frames: dict[str, FrameCaptured] = field(default_factory=dict)
    requests: dict[str, ApprovalRequested] = field(default_factory=dict)
    answers: dict[str, ApprovalResolved] = field(default_factory=dict)
    asked_as_stuck: set[str] = field(default_factory=set)
    amended: list[str] = field(default_factory=list)
    computers: dict[str, str] = field(default_factory=dict)
    drivers: dict[str, tuple[str, str]] = field(default_factory=dict)
    paused: bool = False
    taken_by: str | None = None
    intents: int = 0
    complete_turns: int = 0
    usage: Usage = field(default_factory=Usage)
    tokens: float = 0.0
    cost: float | None = 0.0
    elapsed: float = 0.0
    again: bool = False
    _told: Counter[str | None] = field(default_factory=Counter)
    _telling: list[str] = field(default_factory=list)
    _said: list[_Word] = field(default_factory=list)
    _introduced: bool = False
    _waits: set[str] = field(default_factory=set)
    _last_time: datetime | None = None
    _unread: set[str] = field(default_factory=set)

    # Reading the log

    def take(self, event: EventBase) -> None:  # noqa: C901, PLR0912, PLR0915 (one case a type of event)
        """Take in the next event."""
        self.last_seq = event.seq or self.last_seq
        self._clock(event)
        match event:
            case RunStarted():
                self.started = event
            case RunFinished():
                self.finished = event
            case ComputerStatusChanged():
                self._take_computer(event)
            case RunRecovered():
                self.recoveries += 1
                self._introduced = False
                self._waits.clear()
            case RunCheckpoint():
                self.checkpoint = event.data.value
            case RunPaused():
                self.paused = True
                self._waits.add("pause")
            case RunResumed():
                self.paused = False
                self._waits.discard("pause")
            case ControlTaken():
                self.taken_by = event.data.actor
                self._waits.add("person")
            case ControlReturned():
                self.taken_by = None
                self._waits.discard("person")
                if event.data.told:
                    self._said.append(_Word(event.seq or 0, "next", event.data.told))
            case RunSteered():
                self._said.append(_Word(event.seq or 0, event.data.when, event.data.text, event.computer_id))
            case RunStuck():
                self._take_stuck(event)
            case TurnStarted():
                self.turns[event.data.index] = PastTurn(event.seq or 0, event.computer_id)
            case ModelMessage() | TurnFinished():
                self._take_turn(event)
            case ActionStarted() | ActionFinished():
                self._take_action(event)
            case FrameCaptured():
                self.frames[event.data.frame_id] = event
            case ApprovalRequested():
                self.requests[event.data.call_id] = event
                self._waits.add(event.data.approval_id)
            case ApprovalResolved():
                self.answers[event.data.call_id] = event
                self._waits.discard(event.data.approval_id)
            case UsageRecorded():
                self._take_usage(event)
            case CustomEvent():
                self._take_custom(event)
            case _:
                pass

    def _take_computer(self, event: ComputerStatusChanged) -> None:
        """Take note of the computers that the run has: told at its start, and where it was recovered with others."""
        if not self._introduced:
            self.computers, self._introduced = {}, True
        self.computers[event.data.computer_id] = event.data.own_id or event.data.computer_id

    def _take_stuck(self, event: RunStuck) -> None:
        if event.data.told is not None:
            self._said.append(_Word(event.seq or 0, "next", event.data.told, event.computer_id))
        if event.data.step == "asked" and event.call_id is not None:
            self.asked_as_stuck.add(event.call_id)

    def _take_turn(self, event: ModelMessage | TurnFinished) -> None:
        turn = self.turns.get(event.turn or 0)
        if turn is None:
            return
        if isinstance(event, ModelMessage):
            data = event.data
            turn.answer = Answer(event.turn or 0, data.raw, data.calls, data.text, event.computer_id, data.answer)
            self.steps.append(turn.answer)
            return
        turn.finished = True
        if turn.answer is not None:
            turn.answer.stop_reason, turn.answer.usage = event.data.stop_reason, event.data.usage
        self.usage = self.usage + event.data.usage
        self.complete_turns += event.data.stop_reason != "interrupted"

    def _take_action(self, event: ActionStarted | ActionFinished) -> None:
        call_id = event.data.call_id
        action = self.actions.get(call_id)
        if action is None:
            action = self.actions[call_id] = Acted(call_id, event.turn or 0, event.computer_id)
            self.steps.append(action)
        if isinstance(event, ActionStarted):
            self.intents += 1
            action.started = event
        else:
            answer = self.answers.get(call_id)
            action.finished, action.frame, action.approved = event, self.frame(event.data.frame_id), event.data.approved
            if action.approved is None and answer is not None:
                action.approved = answer.data.decision == "approved"
        if action.by_loop:
            self._unread.add(call_id)

    def _take_custom(self, event: CustomEvent) -> None:
        name, value = event.data.name, event.data.value
        if not isinstance(value, dict):
            return
        if name == "model.amended":
            self.amended.append(str(value.get("message", "")))
        elif name == LOOP and event.computer_id is not None:
            self.drivers[event.computer_id] = (str(value.get("harness")), str(value.get("goal")))
        elif name == TOLD:
            self._told[event.computer_id] += 1
            self._telling.append(str(value.get("text", "")))
            if not value.get("more"):
                beside = bool(value.get("beside"))
                self.steps.append(Told("".join(self._telling), beside, event.computer_id))
                self._telling = []

    def _take_usage(self, event: UsageRecorded) -> None:
        if event.data.metric == "model.tokens":
            self.tokens += event.data.quantity
            price = event.data.price
            self.cost = None if self.cost is None or price is None else self.cost + price

    def _clock(self, event: EventBase) -> None:
        """Count the time that went by, but for that in which the run waited for a person or was not there."""
        if self._last_time is not None and not self._waits and not isinstance(event, RunRecovered):
            self.elapsed += max(0.0, (event.time - self._last_time).total_seconds())
        self._last_time = event.time

    # What stands there now

    @property
    def last_turn(self) -> int:
        """The newest turn's number."""
        return max(self.turns, default=0)

    def last_number(self, run_id: str, turn: int | str) -> int:
        """Return the highest number that a call has in a turn."""
        start = f"{run_id}/{turn}/"
        numbers = (call_id.removeprefix(start) for call_id in self.actions if call_id.startswith(start))
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    @property
    def unsettled(self) -> list[Acted]:
        """The actions whose intent stands there without an outcome."""
        return [action for action in self.actions.values() if action.started is not None and action.finished is None]

    def frame(self, frame_id: str | None) -> Frame | None:
        """Return one of the run's frames."""
        event = self.frames.get(frame_id or "")
        return None if event is None else frame_of(event)

    # Driving again

    def on(self, computer_id: str) -> Past:
        """Return what concerns one computer, where each has a loop of its own."""
        actions = {key: action for key, action in self.actions.items() if action.computer_id == computer_id}
        return replace(
            self,
            turns={index: turn for index, turn in self.turns.items() if turn.computer_id == computer_id},
            actions=actions,
            _told=Counter({computer_id: self._told[computer_id]}),
            _said=[word for word in self._said if word.computer_id in {None, computer_id}],
            _unread=self._unread.intersection(actions),
        )

    def following(self, turn: int) -> int | None:
        """Return the number of the turn that came after one; ``None`` where the log knows none."""
        return min((index for index in self.turns if index > turn), default=None)

    def say(self, inbox: Inbox, turn: int | None) -> None:
        """Put into the inbox what people had said before a turn; everything where there was no such turn."""
        began = None if turn is None else self.turns[turn].began
        while self._said and (began is None or self._said[0].seq < began):
            word = self._said.pop(0)
            with suppress(InvalidInputError):  # (a hundred wait: it was not heard then either)
                inbox.put(word.text, word.when)

    def began(self, call_id: str | None) -> bool:
        """Whether the log has the intent or the outcome of a call."""
        return call_id in self.actions

    async def observation(self, call: ToolCall, blobs: BlobStore) -> Observation | None:
        """Return what came of a call then; ``None`` where the log has no outcome of it.

        Raises:
            CorruptJournalError: If another call has this one's place.
        """
        action = self.actions.get(call.id or "")
        if action is None or action.finished is None:
            return None
        name = action.finished.data.name
        if name != call.name:
            raise _differs(f"{call.id} was {name} then and is {call.name} now")
        self._unread.discard(action.call_id)
        return await action.observation(call, blobs)

    def has_told(self) -> bool:
        """Whether the log has it already that the model is told something; each time it is asked is another one."""
        told = self.again and self._told.total() > 0
        self._told -= Counter(list(self._told)[:1]) if told else Counter()
        return told

    def goes_on(self, calls: Collection[str]) -> None:
        """Note that calls are carried out, since the log has no outcome of them.

        Raises:
            CorruptJournalError: If the log has outcomes behind them: the loop does not do what it did then, and would
                do things twice.
        """
        if not self.again or not self._unread:
            return
        self._unread.difference_update(
            call_id for call_id in calls if call_id in self.actions and self.actions[call_id].finished is None
        )
        left = self._unread.difference(calls)
        if left:
            raise _differs(f"the log has {len(left)} actions that it does not ask for, {min(left)} among them")


def _differs(what: str) -> CorruptJournalError:
    return CorruptJournalError(
        f"the loop does not do what it did before: {what}",
        hint="recover with the same harness, settings and tools that the run was started with",
    )


_ENDS: Final = ("run.started", "run.finished")


async def fold(log: EventLog, run_id: str, *, ends: bool = False) -> Past:
    """Take in what a log holds of a run by now, be it nothing.

    Args:
        log: The log.
        run_id: The run.
        ends: Whether only its beginning and its end are wanted.
    """
    past, after, last = Past(), 0, (await log.bounds(run_id))[1]
    while after < last and (page := await log.read(run_id, after, limit=_PAGE, types=_ENDS if ends else None)):
        for event in page:
            past.take(event)
        after = past.last_seq
    return past


async def read_past(log: EventLog, run_id: str, *, ends: bool = False) -> Past:
    """Read what a log knows of a run that is to be taken up again; the arguments are those of `fold`.

    Raises:
        NotFoundError: If it knows nothing.
        ConflictError: If its beginning was trimmed away.
    """
    past = await fold(log, run_id, ends=ends)
    if past.started is not None:
        return past
    if not past.last_seq and not (await log.bounds(run_id))[1]:
        raise NotFoundError(f"no run is called {run_id!r}", hint="see the list: deskhand events")
    raise ConflictError(f"the beginning of the run {run_id} is no longer in the log", hint="start another run")
