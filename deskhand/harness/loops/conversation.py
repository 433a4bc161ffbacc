"""A conversation with a model: a pure step (an answer in, what to do next out) under a thin driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Generic, cast

import anyio
from pydantic import JsonValue, ValidationError
from typing_extensions import TypeVar

from deskhand.errors import BudgetExceededError, InvalidInputError, ProtocolError
from deskhand.harness.context import RunContext, TurnContext
from deskhand.harness.events import Usage
from deskhand.harness.loops.deciding import (
    MAX_CALLS,
    MAX_CUT,
    TOO_MANY,
    Act,
    Finish,
    GoOn,
    Repeat,
    Resume,
    decide,
    heed,
    unasked,
    with_look,
)
from deskhand.harness.loops.retelling import retell
from deskhand.harness.loops.telling import Teller
from deskhand.harness.models.adapter import ModelAdapter, Turn
from deskhand.harness.models.recorded import decode_answer, encode_answer
from deskhand.harness.models.transcript import Request, Transcript
from deskhand.harness.models.transport import Deadlines, Patience, Retry, persist
from deskhand.harness.past import LOST
from deskhand.harness.steps import TOLD, pieces_of
from deskhand.logs import package_logger
from deskhand.retry import Clock
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.formats import shows_why

__all__ = ["Conversation", "Rules"]

OutputT = TypeVar("OutputT", default=str)

_log = package_logger(__name__)

_BYTES_A_TOKEN: Final = 3
_IMAGE: Final = 5_000
_ANSWER: Final = 32_000
"""What is reserved in budgets: tokens of new text by its bytes, of an image, of an answer that has no limit."""

_SECRETS: Final = (
    "In the arguments of tools, these stand for secrets that you may use; write them as they are, and they are "
    "replaced on the way to the computer:"
)
_NOT_RUN: Final = "Not executed: the answer that asked for it was cut off."
_RECOVERED: Final = (
    "The program that carries out your actions was restarted while one was under way, and it is not known whether that "
    "one took effect. Find out before you repeat it."
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
    shown: dict[str, str] = field(default_factory=dict)
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
        self._look_back()
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
        if self.run.history is not None:
            await retell(cast("Conversation[object]", self), self.run.history)
            self.codec.unbind()
        said: list[str | Observation] = [self.run.goal]
        if introduction := self.codec.toolbox.introduction:
            said.append(self._told(introduction))
        if self.run.secrets:
            names = ", ".join(f"{{{{secret:{name}}}}}" for name in self.run.secrets)
            said.append(self._told(f"{_SECRETS} {names}"))
        self.transcript.append(self.codec.encode([*said, *await self._look_around()]))

    async def _look_around(self) -> list[Observation]:
        """Look at all screens."""
        seen = await self._shots([ToolCall("screenshot", computer_id=key) for key in self.codec.screens])
        for one in seen:
            self.see(one)
        return seen

    async def _shots(self, looks: list[ToolCall]) -> list[Observation]:
        """Take screenshots, those of different computers at once; one alone is not put off for an urgent word."""
        return [await self.run.act(looks[0])] if len(looks) == 1 else await self.run.act_batch(looks)

    def _look_back(self) -> None:
        """In a run that was recovered, begin where it began: what the log knows is not asked and not done again."""
        past = self.run.past
        if past is None:
            return
        self.run.rewind()
        for message in past.amended:
            self.codec.amend(InvalidInputError(message))

    def _hear(self) -> None:
        """Pass on what people said meanwhile; an answer that is to be resumed comes first."""
        self.run.hear_again()
        if len(self.run.inbox) and not self.waiting:
            said = self.run.inbox.take()
            if said:
                self.transcript.append(self.codec.encode([self._told(text) for text in said]))

    def _told(self, text: str, *, beside: bool = False) -> str:
        """Record what the model is told, so that the conversation can be told again."""
        for piece in pieces_of(text, beside=beside):
            if self.run.past is None or not self.run.past.has_told():
                self.run.emit(TOLD, piece)
        return text

    def _goes_on(self, turn: Turn) -> bool:
        """Go on instead of ending where people have said something for then; tell whether they have."""
        self.run.hear_again()
        said = self.run.inbox.take(idle=True)
        if said:
            self.answer(turn, self._told("\n\n".join(said), beside=True))
        return bool(said)

    def see(self, observation: Observation) -> None:
        """Remember the frame to which the model's next coordinates refer."""
        self.pictured += len(observation.image or b"") * 4 // 3
        if observation.frame is not None and (observation.call.name == "screenshot" or shows_why(observation)):
            self.shown[self.codec.toolbox.computer_of(observation.call)] = observation.frame.id

    async def _ask(self) -> Turn | None:
        """Have one turn of the model, asked for again where that may help; none where a person broke in."""
        known = await self.run.past_turn()
        if known is not None:
            return self._taken_up(*known)
        with anyio.CancelScope() as scope:
            ended = self.run.inbox.on_urgent(scope.cancel)
            try:
                return await self._asked()
            finally:
                ended()
        return None

    def _taken_up(self, raw: bytes, answer: bytes) -> Turn | None:
        """Take up an answer of before a crash; none where it was broken off."""
        if not raw:
            return None
        self._worst()
        turn = decode_answer(raw, answer)
        self.context = turn.usage.total
        return replace(turn, calls=self.run.numbered(turn.calls))

    async def _asked(self) -> Turn:
        async with self.run.turn(model=self.rules.model, reserve=self._worst()) as events:
            turn = await self._persist(events)
            numbered = await events.record(
                turn.text,
                turn.calls,
                turn.usage,
                thinking=turn.thinking,
                raw=turn.raw,
                answer=encode_answer(turn),
                stop_reason=turn.stop_reason,
            )
        self.context = turn.usage.total
        return replace(turn, calls=numbered)

    def _worst(self) -> Usage:
        """Estimate the most that the next answer may use: what the last one saw, what came since, and a full answer."""
        size, images = self.transcript.size, self.transcript.images
        came = max(0, size - self.sent - self.pictured)
        tokens = self.context + came // _BYTES_A_TOKEN + max(0, images - self.images) * _IMAGE
        self.measure()
        return Usage(input=tokens, output=self.rules.max_tokens or _ANSWER)

    def measure(self) -> None:
        """Remember how much the model sees with the next answer."""
        self.sent, self.images, self.pictured = self.transcript.size, self.transcript.images, 0

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
                    budget=self.codec.retries,
                    afford=self.run.afford_time,
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
                self.append(turn)
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
                self.answer(turn, self._told(text, beside=True))
            case Act():
                self.cuts = 0
                await self._act(turn)
        self.repeats = 0

    def append(self, turn: Turn) -> None:
        """Put an answer into the history."""
        self.used.update(turn.call_ids)
        self.codec.remember(self.transcript, turn)

    def pending(self, turn: Turn | None) -> tuple[list[Turn], list[ToolCall]]:
        """Return the turns that the next results answer, and their calls, each for its computer."""
        turns = self.waiting if turn is None else [*self.waiting, turn]
        self.waiting = []
        return turns, [self.codec.toolbox.addressed(call) for one in turns for call in one.calls]

    def answer(self, turn: Turn, text: str) -> None:
        """Run nothing of an answer, and say something."""
        turns, calls = self.pending(turn)
        self.append(turn)
        self.transcript.append(self.codec.encode_results(turns, self.codec.refuse(calls, _NOT_RUN), text))

    async def _act(self, turn: Turn) -> None:
        """Run the calls in order, and look afterwards where the model would have to ask for it."""
        turns, calls = self.pending(turn)
        planned = [self._planned(call) for call in calls[:MAX_CALLS]]
        self.run.hear_again()  # (what was said while they were carried out; it may keep the rest from being)
        observations = await self.run.act_batch(planned)
        heed(observations)
        observations += self.codec.refuse(calls[MAX_CALLS:], TOO_MANY, observations)
        observations = await self._look(observations)
        for observation in observations:
            self.see(observation)
        self.append(turn)
        self.transcript.append(self.codec.encode_results(turns, observations))
        if any(seen.error is not None and seen.error.code == LOST for seen in observations):
            await self._look_anew()

    async def _look_anew(self) -> None:
        """Show the screen after a crash: nobody knows what of the last actions took effect."""
        told = self._told(_RECOVERED)
        self.transcript.append(self.codec.encode([told, *await self._look_around()]))

    def _planned(self, call: ToolCall) -> ToolCall:
        """Name the frame that a call's coordinates refer to: the last one that the model has seen of that screen."""
        shown = self.shown.get(self.codec.toolbox.computer_of(call))
        return replace(call, frame_id=shown) if self.codec.is_on_screen(call) else call

    async def _look(self, observations: list[Observation]) -> list[Observation]:
        """Put a screenshot into a batch's last result where the model would have to ask for it: it saves a turn.

        Of several computers each has its own, in the last result of what was done on its screen.
        """
        computer_of = self.codec.toolbox.computer_of
        asked = any(seen.call.checks for seen in observations)
        shown = set() if asked else {computer_of(seen.call) for seen in observations if shows_why(seen)}
        wanted = [
            index
            for index in self.codec.wants_looks(observations)
            if computer_of(observations[index].call) not in shown
        ]
        # A call that failed before a person was asked waits for its acknowledgement all the same.
        checks = unasked(observations)
        looks = await self._shots(
            [
                ToolCall("screenshot", computer_id=computer_of(observations[index].call), checks=checks)
                for index in wanted
            ]
        )
        heed(looks)
        for index, look in zip(wanted, looks, strict=True):
            observations = with_look(observations, index, look)
            if look.frame is not None and look.ok:
                self.shown[computer_of(look.call)] = look.frame.id
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
            again = f"Your answer is not what it must be: {_problems(error)}. Give the whole answer again."
            self.answer(turn, self._told(again, beside=True))
            return None


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, detail['loc'])) or 'answer'}: {detail['msg']}" for detail in found)
