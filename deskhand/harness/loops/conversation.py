"""A conversation with a model: a pure step (an answer in, what to do next out) under a thin driver."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Generic, TypeAlias

import anyio
from pydantic import JsonValue, ValidationError
from typing_extensions import TypeVar

from deskhand.errors import BudgetExceededError, InvalidInputError, ProtocolError, RefusedError, RunStoppedError
from deskhand.harness.context import RunContext, TurnContext
from deskhand.harness.events import Usage
from deskhand.harness.loops.telling import Teller
from deskhand.harness.models.adapter import ModelAdapter, Turn
from deskhand.harness.models.transcript import Request, Transcript
from deskhand.harness.models.transport import Deadlines, Patience, Retry, persist
from deskhand.retry import Clock
from deskhand.tools.calls import Observation, ToolCall

__all__ = ["Act", "Conversation", "Finish", "GoOn", "Next", "Repeat", "Resume", "Rules", "decide"]

OutputT = TypeVar("OutputT", default=str)

_log = logging.getLogger(__name__)

MAX_CALLS: Final = 64
"""Calls of one turn that are run; the rest are answered with an error."""

MAX_CUT: Final = 3
"""How often in a row an answer may be cut off at its token limit."""


@dataclass(frozen=True, slots=True)
class Act:
    """Run the calls and show the model what came of them."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Send the conversation as it is: the model paused."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Ask the same again: the answer is no answer."""

    why: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """Run nothing, and let the model go on."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The model is done."""


Next: TypeAlias = Act | Resume | Repeat | GoOn | Finish

_BYTES_A_TOKEN: Final = 3
_IMAGE: Final = 5_000
_ANSWER: Final = 32_000
"""What is reserved in budgets: tokens of new text by its bytes, of an image, of an answer that has no limit."""

_SECRETS: Final = (
    "In the arguments of tools, these stand for secrets that you may use; write them as they are, and they are "
    "replaced on the way to the computer:"
)
_NOT_RUN: Final = "Not executed: the answer that asked for it was cut off."
_TOO_MANY: Final = f"Not executed: one turn may ask for {MAX_CALLS} actions. Ask again in the next turn."
_CUT: Final = "Your answer was cut off at the token limit; nothing of it was run. Go on, in smaller steps."


def decide(turn: Turn, used: Collection[str | None] = frozenset()) -> Next:
    """Decide what follows an answer; nothing is run unless the model stopped to have it run.

    Args:
        turn: The answer.
        used: The vendor's ids of all earlier calls.

    Raises:
        RefusedError: If the model declined.
        BudgetExceededError: If the conversation has outgrown the model.
        ProtocolError: If the model stopped for a reason that nobody here knows.
    """
    ids = turn.call_ids
    if len(set(ids)) < len(ids) or any(one in used for one in ids):
        return Repeat("its calls have ids that repeat")
    match turn.stop:
        case "act":
            return Act() if ids else Repeat("it stopped for a tool and called none")
        case "done":
            return Finish()
        case "resume":
            return Resume()
        case "cut":
            return GoOn(_CUT)
        case "declined":
            raise RefusedError(f"the model declined: {turn.declined or 'it gave no reason'}"[:500])
        case "full":
            raise BudgetExceededError("the conversation no longer fits into the model's context", reason="context")
        case None:
            raise ProtocolError(
                f"the model stopped for a reason that is not known here: {turn.stop_reason[:80]!r}", effect="no"
            )


@dataclass(frozen=True, slots=True)
class Rules(Generic[OutputT]):
    """What a harness was told about how to converse.

    Attributes:
        model: The model, for prices.
        read: Reads the final answer; raises ``ValidationError`` where it is not what it must be.
        max_turns: Answers at most.
        max_tokens: Tokens of one answer at most.
        patience: How often a turn is asked for again.
        deadlines: How long an answer may take.
        clock: Time.
        on_request: Sees each request.
    """

    model: str
    read: Callable[[str], OutputT]
    max_turns: int
    max_tokens: int | None
    patience: Patience
    deadlines: Deadlines
    clock: Clock
    on_request: Callable[[Mapping[str, JsonValue]], None] | None = None


@dataclass(eq=False)
class Conversation(Generic[OutputT]):
    """One run's conversation: the driver that asks, acts and appends.

    Attributes:
        rules: What the harness was told.
        run: The run.
        codec: Speaks the vendor's protocol.
    """

    rules: Rules[OutputT]
    run: RunContext
    codec: ModelAdapter
    transcript: Transcript = field(init=False)
    waiting: list[Turn] = field(default_factory=list)
    used: set[str | None] = field(default_factory=set)
    shown: str | None = None
    repeats: int = 0
    cuts: int = 0
    repaired: bool = False
    context: int = 0
    sent: int = 0
    images: int = 0
    pictured: int = 0

    def __post_init__(self) -> None:
        self.transcript = self.codec.transcript()

    async def pursue(self) -> OutputT | None:
        """Go on until the model is done.

        Raises:
            BudgetExceededError: If that takes too many turns.
        """
        await self._open()
        for _ in range(self.rules.max_turns):
            self._hear()
            turn = await self._ask()
            if turn is None:  # (a person said something that could not wait)
                continue
            step = decide(turn, self.used)
            if isinstance(step, Finish):
                if self._goes_on(turn):
                    continue
                output = self._finish(turn)
                if output is not None:
                    return output[0]
                continue
            await self._follow(turn, step)
        raise BudgetExceededError(
            f"the run has had its {self.rules.max_turns} turns", reason="turns", hint="raise max_turns"
        )

    async def _open(self) -> None:
        """Tell the goal, and show the screen where there is one.

        Raises:
            InvalidInputError: If there is no goal.
        """
        if not self.run.goal.strip():
            raise InvalidInputError("the goal is empty", hint="say what the run is to reach")
        said: list[str | Observation] = [self.run.goal]
        if self.run.secrets:
            names = ", ".join(f"{{{{secret:{name}}}}}" for name in self.run.secrets)
            said.append(f"{_SECRETS} {names}")
        if self.codec.shows_screen:
            seen = await self.run.act("screenshot")
            said.append(seen)
            self._see(seen)
        self.transcript.append(self.codec.encode(said))

    def _hear(self) -> None:
        """Pass on what people said meanwhile; an answer that is to be resumed comes first."""
        if len(self.run.inbox) and not self.waiting:
            said = self.run.inbox.take()
            if said:
                self.transcript.append(self.codec.encode(said))

    def _goes_on(self, turn: Turn) -> bool:
        """Go on instead of ending where people have said something for then; tell whether they have."""
        said = self.run.inbox.take(idle=True)
        if said:
            self._answer(turn, "\n\n".join(said))
        return bool(said)

    def _see(self, observation: Observation) -> None:
        """Remember the frame to which the model's next coordinates refer."""
        self.pictured += len(observation.image or b"") * 4 // 3
        if observation.frame is not None and observation.call.name == "screenshot":
            self.shown = observation.frame.id

    async def _ask(self) -> Turn | None:
        """Have one turn of the model, asked for again where that may help; none where a person broke in."""
        with anyio.CancelScope() as scope:
            ended = self.run.inbox.on_urgent(scope.cancel)
            try:
                return await self._asked()
            finally:
                ended()
        return None

    async def _asked(self) -> Turn:
        async with self.run.turn(model=self.rules.model, reserve=self._worst()) as events:
            turn = await self._persist(events)
            numbered = await events.record(
                turn.text,
                turn.calls,
                turn.usage,
                thinking=turn.thinking,
                raw=turn.raw,
                stop_reason=turn.stop_reason,
            )
        self.context = turn.usage.total
        return replace(turn, calls=numbered)

    def _worst(self) -> Usage:
        """Estimate the most that the next answer may use: what the last one saw, what came since, and a full answer."""
        size, images = self.transcript.size, self.transcript.images
        came = max(0, size - self.sent - self.pictured)
        tokens = self.context + came // _BYTES_A_TOKEN + max(0, images - self.images) * _IMAGE
        self.sent, self.images, self.pictured = size, images, 0
        return Usage(input=tokens, output=self.rules.max_tokens or _ANSWER)

    async def _persist(self, events: TurnContext) -> Turn:
        """Ask until there is an answer; otherwise than before where a refusal says how."""
        rules = self.rules
        while True:
            request = self._request()
            try:
                return await persist(
                    partial(self._attempt, request, events),
                    patience=rules.patience,
                    deadlines=rules.deadlines,
                    clock=rules.clock,
                    on_retry=self._tell,
                )
            except InvalidInputError as error:
                amended = self.codec.amend(error)  # (each way is tried once: this ends)
                if amended is None:
                    raise
                _log.warning("%s is asked with %s from now on: %s", rules.model, amended, error.message)
                self.run.emit("model.amended", {"computer_tool": amended, "message": error.message})

    def _request(self) -> Request:
        """Return the next request, and show it to whom it may concern."""
        pruned = self.codec.fit(self.transcript)
        if pruned.images:
            self.run.emit("model.images_left_out", {"images": pruned.images})
        if pruned.exchanges:
            self.run.emit("model.exchanges_left_out", {"exchanges": pruned.exchanges})
        request = self.transcript.request()
        if self.rules.on_request is not None:
            self.rules.on_request(request.view())
        return request

    async def _attempt(self, request: Request, events: TurnContext) -> Turn:
        """Ask once; what a cut answer used counts too."""
        self.run.check()
        decoder = self.codec.decoder()
        teller = Teller(events, self.rules.clock)
        try:
            async with self.codec.stream(request) as batches:
                async for batch in batches:
                    teller.tell(decoder.feed(batch))
                return decoder.turn()
        except BaseException:  # (a cancelled answer has been paid for as well)
            events.again(decoder.usage)
            raise

    def _tell(self, retry: Retry) -> None:
        """Say that the model is asked again."""
        self.run.emit(
            "model.retry",
            {
                "attempt": retry.attempt,
                "delay": round(retry.delay, 3),
                "code": retry.error.code,
                "message": retry.error.message,
                "request_id": retry.error.request_id,
            },
        )

    async def _follow(self, turn: Turn, step: Act | Resume | Repeat | GoOn) -> None:
        """Do what was decided, and append what came of it: an answer and the results of its calls together."""
        match step:
            case Repeat(why):
                self.repeats += 1
                if self.repeats > 1:
                    raise ProtocolError(f"the model's answer is invalid, twice in a row: {why}", effect="no")
                return
            case Resume():
                self._append(turn)
                self.waiting.append(turn)
            case GoOn(text):
                self.cuts += 1
                limit = self.rules.max_tokens
                if self.cuts > MAX_CUT:
                    raise BudgetExceededError(
                        f"the model's answer was cut off {self.cuts} times in a row",
                        reason="tokens",
                        hint="raise max_tokens" + (f" above {limit}" if limit is not None else ""),
                    )
                self._answer(turn, text)
            case Act():
                self.cuts = 0
                await self._act(turn)
        self.repeats = 0

    def _append(self, turn: Turn) -> None:
        self.used.update(turn.call_ids)
        self.codec.remember(self.transcript, turn)

    def _pending(self, turn: Turn) -> tuple[list[Turn], list[ToolCall]]:
        """Return the turns that the next results answer, and their calls."""
        turns = [*self.waiting, turn]
        self.waiting = []
        return turns, [call for one in turns for call in one.calls]

    def _answer(self, turn: Turn, text: str) -> None:
        """Run nothing of an answer, and say something."""
        turns, calls = self._pending(turn)
        self._append(turn)
        self.transcript.append(self.codec.encode_results(turns, self.codec.refuse(calls, _NOT_RUN), text))

    async def _act(self, turn: Turn) -> None:
        """Run the calls in order, and look afterwards where the model would have to ask for it."""
        turns, calls = self._pending(turn)
        planned = [self._planned(call) for call in calls[:MAX_CALLS]]
        observations = await self.run.act_batch(planned)
        _heed(observations)
        observations += self.codec.refuse(calls[MAX_CALLS:], _TOO_MANY, observations)
        observations = await self._look(observations)
        for observation in observations:
            self._see(observation)
        self._append(turn)
        self.transcript.append(self.codec.encode_results(turns, observations))

    def _planned(self, call: ToolCall) -> ToolCall:
        """Name the frame that a call's coordinates refer to: the last one that the model has seen."""
        return replace(call, frame_id=self.shown) if self.codec.is_on_screen(call) else call

    async def _look(self, observations: list[Observation]) -> list[Observation]:
        """Put a screenshot into a batch's last result where the model would have to ask for it: it saves a turn."""
        index = self.codec.wants_look(observations)
        if index is None:
            return observations
        # A call that failed before a person was asked waits for its acknowledgement all the same.
        unasked = [at for at, seen in enumerate(observations) if seen.call.checks and seen.approved is None]
        checks = [check for at in unasked for check in observations[at].call.checks]
        look = await self.run.act(ToolCall("screenshot", checks=checks))
        _heed([look])
        for at in unasked:
            observations[at] = replace(observations[at], approved=look.approved)
        if look.frame is None or not look.ok:
            return observations
        observations[index] = replace(observations[index], frame=look.frame, image=look.image)
        self.shown = look.frame.id
        return observations

    def _finish(self, turn: Turn) -> tuple[OutputT] | None:
        """Read the final answer; where it is not what it must be, ask for it once more.

        Raises:
            ProtocolError: If it is wrong again.
        """
        try:
            return (self.rules.read(turn.text),)
        except ValidationError as error:
            if self.repaired:
                raise ProtocolError(
                    f"the model's final answer is not the output type: {_problems(error)}", effect="no"
                ) from error
            self.repaired = True
            self._answer(turn, f"Your answer is not what it must be: {_problems(error)}. Give the whole answer again.")
            return None


def _heed(observations: Sequence[Observation]) -> None:
    """End the run where a person denied what the model's vendor wanted a person to see.

    Raises:
        RunStoppedError: If so: the vendor takes no answer to such a call but an acknowledgement.
    """
    for seen in observations:
        if seen.call.checks and seen.outcome == "denied":
            raise RunStoppedError(f"{seen.call.name}: {seen.text}", reason="denied")


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, detail['loc'])) or 'answer'}: {detail['msg']}" for detail in found)
