"""What the log tells of a run's conversation: the model's items as they came, and what came of each call.

A conversation is never rebuilt from what events say of it in short: an answer is the vendor's own items, kept as a
blob; a result is the recorded outcome with the very image that the model saw. Who continues a run or takes it up again
after a crash puts both into a new transcript, and so does who checks that the same answers lead to the same decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deskhand.errors import NotFoundError
from deskhand.harness.blobs import BlobStore
from deskhand.harness.events import RunFinished, RunStarted
from deskhand.harness.log import EventLog
from deskhand.harness.past import fold
from deskhand.harness.steps import Acted, Answer, Step, Told
from deskhand.tools.calls import Observation, ToolCall

__all__ = ["Acted", "Answer", "History", "Step", "Told"]


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
        past = await fold(log, run_id)
        if past.started is None:
            raise NotFoundError(f"the log does not hold the run {run_id} from its beginning", hint="deskhand events")
        data, steps = past.started.data, past.steps
        owners = {step.computer_id for step in steps if isinstance(step, Answer) and step.computer_id is not None}
        return cls(
            run_id,
            past.started,
            past.finished,
            steps,
            past.last_seq,
            blobs,
            past.amended,
            None if data.continues is None else await cls.read(log, blobs, data.continues),
            {one: [step for step in steps if step.computer_id == one] for one in owners},
            past.drivers,
            data.harness,
            data.goal,
        )

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
        seen = await acted.observation(call, self.blobs)
        return seen if seen is None or seen.image is not None else replace(seen, frame=None)
