"""What the log tells of a run's conversation: the model's items as they came, and what came of each call.

A conversation is never rebuilt from what events say of it in short: an answer is the vendor's own items, kept as a
blob; a result is the recorded outcome with the very image that the model saw. Who continues a run or takes it up again
after a crash puts both into a new transcript, and so does who checks that the same answers lead to the same decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from pydantic import JsonValue

from deskhand.errors import NotFoundError
from deskhand.harness.blobs import LOST_BLOB, BlobStore
from deskhand.harness.events import (
    ActionFinished,
    ActionFinishedData,
    ActionStarted,
    ApprovalResolved,
    CallSummary,
    CustomEvent,
    EventBase,
    FrameCaptured,
    ModelMessage,
    RunFinished,
    RunStarted,
    TurnFinished,
    Usage,
)
from deskhand.harness.log import EventLog
from deskhand.providers.contract import Screen
from deskhand.tools.calls import ErrorInfo, Frame, Observation, ToolCall

__all__ = ["LOOP", "TOLD", "Acted", "Answer", "History", "Step", "Told", "frame_of", "pieces_of"]

TOLD: Final = "model.told"
"""The event that says what a model was told besides the goal and the results of its calls."""

LOOP: Final = "loop.started"
"""The event that says what drives one computer of a run whose computers have loops of their own."""

_PAGE: Final = 500
_PIECE: Final = 32 * 1024
"""Characters of a text that one event holds."""


def frame_of(event: FrameCaptured) -> Frame:
    """Return the frame that an event tells of."""
    data = event.data
    return Frame(
        data.frame_id,
        data.sha256,
        data.mime,
        data.width,
        data.height,
        Screen(*data.screen),
        data.cause,
        data.bytes,
        event.computer_id or "",
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What the model was told; ``beside`` the results of its last calls, or else before its next answer."""

    text: str
    beside: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model.

    Attributes:
        turn: Its number.
        raw: The blob with the vendor's items as they came; ``None`` where the driver kept none.
        calls: Its calls, by the ids under which their actions were recorded.
        text: What it said.
        stop_reason: Why it stopped, in the vendor's words.
        usage: What it used.
    """

    turn: int
    raw: str | None
    calls: Sequence[CallSummary]
    text: str = ""
    stop_reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Acted:
    """One action: its intent, its outcome, or both.

    Attributes:
        call_id: The call's id.
        turn: The turn in which it was; 0 before the first.
        started: The intent; ``None`` where it was refused before there was one.
        finished: The outcome; ``None`` where the run ended, or died, before it was known.
        frame: The frame that it brought.
        approved: Whether a person let it run; ``None`` where nobody was asked.
    """

    call_id: str
    turn: int
    computer_id: str | None = None
    started: ActionStarted | None = None
    finished: ActionFinished | None = None
    frame: Frame | None = None
    approved: bool | None = None

    @property
    def is_look(self) -> bool:
        """Whether it is a screenshot that the loop itself took."""
        if self.started is not None and self.started.data.actor != "harness":
            return False
        if self.finished is None or self.finished.data.name != "screenshot":
            return False
        return self.finished.data.actor in {None, "harness"}


Step: TypeAlias = Told | Answer | Acted


def pieces_of(text: str, *, beside: bool) -> list[dict[str, JsonValue]]:
    """Return the values of the events that record what a model is told."""
    starts = range(0, max(1, len(text)), _PIECE)
    return [{"text": text[at : at + _PIECE], "beside": beside, "more": at + _PIECE < len(text)} for at in starts]


@dataclass(frozen=True, slots=True)
class History:
    """One recorded run, as its conversation went.

    Attributes:
        run_id: The run.
        started: What it set out with.
        finished: How it ended; ``None`` where it has not.
        steps: What was told, answered and done, in order.
        last_seq: The number of its last event.
        blobs: Where the items and images are.
        amended: The vendor's refusals upon which the loop asked otherwise.
        before: The run that it continued, where it did.
        parts: The steps of each computer's own loop, where it had such.
        drivers: Those loops' names, and their goals.
        driver: What drove it.
        goal: What it was to reach.
    """

    run_id: str
    started: RunStarted
    finished: RunFinished | None
    steps: Sequence[Step] = field(repr=False)
    last_seq: int
    blobs: BlobStore = field(repr=False)
    amended: Sequence[str] = ()
    before: History | None = None
    parts: Mapping[str, Sequence[Step]] = field(default_factory=dict, repr=False)
    drivers: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    driver: str = ""
    goal: str = ""

    @classmethod
    async def read(cls, log: EventLog, blobs: BlobStore, run_id: str) -> History:
        """Read a run from a log, and the runs that it continued.

        Raises:
            NotFoundError: If the log does not hold it from its beginning.
        """
        chain: list[_Reader] = []
        wanted: str | None = run_id
        while wanted is not None:
            reader = _Reader()
            after, last = 0, (await log.bounds(wanted))[1]
            while after < last:
                page = await log.read(wanted, after, limit=_PAGE)
                if not page:
                    break
                for event in page:
                    reader.take(event)
                after = page[-1].seq or last
            chain.append(reader)
            wanted = reader.continues(wanted)
        history: History | None = None
        for reader in reversed(chain):
            history = reader.history(blobs, history)
        assert history is not None  # noqa: S101 (the chain holds one run at least)
        return history

    @property
    def answers(self) -> list[Answer]:
        """The model's answers."""
        return [step for step in self.steps if isinstance(step, Answer)]

    @property
    def unsettled(self) -> list[Acted]:
        """The actions whose intent is recorded and whose outcome is not."""
        return [step for step in self.steps if isinstance(step, Acted) and step.finished is None]

    def on(self, computer_id: str) -> History:
        """Return the conversation of one computer's own loop; the run's only one where it had no loops of their own."""
        before = self.before.on(computer_id) if self.before is not None else None
        driver, goal = self.drivers.get(computer_id, (self.driver, self.goal))
        steps = self.parts.get(computer_id, () if self.drivers else self.steps)
        return replace(self, steps=steps, before=before, driver=driver, goal=goal)

    async def raw(self, answer: Answer) -> bytes:
        """Return the vendor's items of an answer.

        Raises:
            NotFoundError: If they are not kept.
        """
        if answer.raw is None:
            raise NotFoundError(f"the model's items of turn {answer.turn} of the run {self.run_id} were not kept")
        return await self.blobs.get(answer.raw)

    async def observation(self, acted: Acted, call: ToolCall) -> Observation | None:
        """Return what came of a call, with its image as long as that is kept; ``None`` where it is not recorded."""
        if acted.finished is None:
            return None
        data, frame, image = acted.finished.data, acted.frame, None
        if frame is not None:
            try:
                image = await self.blobs.get(frame.sha256)
            except LOST_BLOB:
                frame = None
        error = data.error
        return Observation(
            replace(call, id=acted.call_id, computer_id=acted.computer_id),
            data.outcome,
            data.effect,
            text=await self._text(data),
            frame=frame,
            image=image,
            error=None if error is None else ErrorInfo(**error.model_dump()),
            duration=data.duration,
            approved=acted.approved,
        )

    async def _text(self, data: ActionFinishedData) -> str:
        """Return a result's whole text; what its event holds of it where the rest is no longer kept."""
        if data.text_blob is None:
            return data.text
        try:
            return (await self.blobs.get(data.text_blob)).decode()
        except LOST_BLOB:
            return data.text


class _Reader:
    """Takes in the events of one run."""

    def __init__(self) -> None:
        self._started: RunStarted | None = None
        self._finished: RunFinished | None = None
        self._steps: list[tuple[str | None, Step]] = []
        self._places: dict[str, int] = {}
        self._answers: dict[int, int] = {}
        self._frames: dict[str, Frame] = {}
        self._approved: dict[str, bool] = {}
        self._amended: list[str] = []
        self._open: list[str] = []
        self._drivers: dict[str, tuple[str, str]] = {}
        self._last = 0

    def take(self, event: EventBase) -> None:
        """Take in one event."""
        self._last = event.seq or self._last
        match event:
            case RunStarted():
                self._started = event
            case RunFinished():
                self._finished = event
            case ModelMessage():
                data = event.data
                self._answers[event.turn or 0] = len(self._steps)
                self._steps.append((event.computer_id, Answer(event.turn or 0, data.raw, data.calls, data.text)))
            case TurnFinished():
                self._end_turn(event)
            case ApprovalResolved():
                self._approved[event.data.call_id] = event.data.decision == "approved"
            case FrameCaptured():
                self._frames[event.data.frame_id] = frame_of(event)
            case ActionStarted():
                self._places[event.data.call_id] = len(self._steps)
                acted = Acted(event.data.call_id, event.turn or 0, event.computer_id, event)
                self._steps.append((event.computer_id, acted))
            case ActionFinished():
                self._finish(event)
            case CustomEvent():
                self._take_custom(event)
            case _:
                pass

    def _end_turn(self, event: TurnFinished) -> None:
        place = self._answers.get(event.turn or 0)
        if place is None:  # (the turn came to no answer)
            return
        owner, step = self._steps[place]
        assert isinstance(step, Answer)  # noqa: S101 (only answers are noted there)
        self._steps[place] = owner, replace(step, stop_reason=event.data.stop_reason, usage=event.data.usage)

    def _finish(self, event: ActionFinished) -> None:
        data = event.data
        place = self._places.get(data.call_id)
        if place is None:
            place = self._places[data.call_id] = len(self._steps)
            self._steps.append((event.computer_id, Acted(data.call_id, event.turn or 0, event.computer_id)))
        owner, step = self._steps[place]
        assert isinstance(step, Acted)  # noqa: S101 (only actions are noted there)
        frame = self._frames.get(data.frame_id) if data.frame_id is not None else None
        approved = data.approved if data.approved is not None else self._approved.get(data.call_id)
        self._steps[place] = owner, replace(step, finished=event, frame=frame, approved=approved)

    def _take_custom(self, event: CustomEvent) -> None:
        value = event.data.value
        if not isinstance(value, dict):
            return
        if event.data.name == "model.amended":
            self._amended.append(str(value.get("message", "")))
        elif event.data.name == LOOP and event.computer_id is not None:
            self._drivers[event.computer_id] = (str(value.get("harness")), str(value.get("goal")))
        elif event.data.name == TOLD:
            self._open.append(str(value.get("text", "")))
            if not value.get("more"):
                self._steps.append((event.computer_id, Told("".join(self._open), beside=bool(value.get("beside")))))
                self._open = []

    def continues(self, run_id: str) -> str | None:
        """Return the run that it continued.

        Raises:
            NotFoundError: If its beginning is not there.
        """
        if self._started is None:
            raise NotFoundError(f"the log does not hold the run {run_id} from its beginning", hint="deskhand events")
        return self._started.data.continues

    def history(self, blobs: BlobStore, before: History | None) -> History:
        """Return what was taken in."""
        assert self._started is not None  # noqa: S101 (the caller asked for what it continues)
        owners = {owner for owner, step in self._steps if isinstance(step, Answer) and owner is not None}
        return History(
            self._started.run_id,
            self._started,
            self._finished,
            [step for _, step in self._steps],
            self._last,
            blobs,
            self._amended,
            before,
            {one: [step for owner, step in self._steps if owner == one] for one in owners},
            self._drivers,
            self._started.data.harness,
            self._started.data.goal,
        )
