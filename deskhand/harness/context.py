"""What a harness sees of its run: the goal, the tools, and the ways to look and act."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Literal, cast, overload

from pydantic import JsonValue
from pydantic_core import to_json
from typing_extensions import TypeVar

from deskhand.errors import BudgetExceededError, ConflictError, DeskhandError, InvalidInputError, ToolError
from deskhand.harness.budget import Metric, Reservation
from deskhand.harness.events import (
    CustomEvent,
    ModelDelta,
    ModelMessage,
    RunCheckpoint,
    TurnFinished,
    TurnStarted,
    Usage,
    UsageRecorded,
)
from deskhand.harness.executor import Executor
from deskhand.harness.history import History
from deskhand.harness.inbox import Inbox
from deskhand.harness.past import Past
from deskhand.harness.prices import price_of
from deskhand.harness.state import RunState
from deskhand.harness.steps import LOOP
from deskhand.providers.contract import ComputerInfo
from deskhand.tools.calls import Frame, Observation, ToolCall
from deskhand.tools.registry import ToolRegistry

if TYPE_CHECKING:
    from deskhand.harness.base import Harness

__all__ = ["OnComputer", "RunContext", "TurnContext"]

DepsT = TypeVar("DepsT", default=object)
OutputT = TypeVar("OutputT", default=str)

MAX_VALUE = 256 * 1024
"""Bytes of JSON that an event of one's own may hold."""

_MESSAGE_TEXT = 64 * 1024
"""Characters of a model's text that its event holds; the vendor's items, kept as a blob, hold all of it."""


def _shortened(text: str) -> str:
    return text if len(text) <= _MESSAGE_TEXT else text[:_MESSAGE_TEXT] + "…"


class TurnContext:
    """One model turn of a driver: its deltas, its answer, what it used."""

    def __init__(self, run: RunState, model: str | None, reservation: Reservation) -> None:
        self._run = run
        self._model = model
        self._reservation = reservation
        self._asked = 1
        self.index: int = run.begin_turn()
        self.message_id: str = f"{run.run_id}/{self.index}"
        self.usage: Usage = Usage()
        self.stop_reason: str = "end_turn"

    def delta(self, text: str, *, kind: Literal["text", "thinking", "arguments"] = "text") -> None:
        """Pass on a piece of the answer as it comes."""
        self._run.emit(ModelDelta, {"kind": kind, "message_id": self.message_id, "delta": text})

    async def record(
        self,
        text: str = "",
        calls: Iterable[ToolCall] = (),
        usage: Usage | None = None,
        *,
        thinking: str | None = None,
        raw: bytes | None = None,
        answer: bytes | None = None,
        stop_reason: str | None = None,
    ) -> list[ToolCall]:
        """Record the whole answer.

        Args:
            text: What the model said.
            calls: What it asks for.
            usage: What the turn used, as the vendor reported it.
            thinking: A summary of its thinking.
            raw: The vendor's items as they came, JSON; kept as a blob and named by the event.
            answer: What else a loop needs to take the answer up again after a crash; kept as a blob like them.
            stop_reason: Why the model stopped, in the vendor's words.

        Returns:
            The calls with their ids, ready for ``act_batch``.
        """
        numbered = self._run.numbered(calls)
        used = usage or Usage()
        self.usage = self.usage + used
        if stop_reason is not None:
            self.stop_reason = stop_reason
        blobs = await self._run.keep(raw, answer)
        self._run.emit(
            ModelMessage,
            {
                "message_id": self.message_id,
                "text": _shortened(text),
                "thinking": None if thinking is None else _shortened(thinking),
                "calls": [
                    {"call_id": call.id, "name": call.name, "provider_call_id": call.provider_call_id}
                    for call in numbered
                ],
                "raw": blobs[0],
                "answer": blobs[1],
            },
        )
        self._meter(used)
        return numbered

    def again(self, usage: Usage | None = None) -> None:
        """Say that the answer so far came to nothing and is asked for anew.

        Args:
            usage: What it used; it counts nevertheless. Deltas that follow bear another message id.
        """
        self._asked += 1
        self.message_id = f"{self._run.run_id}/{self.index}.{self._asked}"
        if usage is not None:
            self.usage = self.usage + usage
            self._meter(usage)

    def _meter(self, usage: Usage) -> None:
        """Add what was used to the run's usage, and say what it cost."""
        run = self._run
        run.tally.usage = run.tally.usage + usage
        price = price_of(self._model, usage, run.purse.prices) if self._model else None
        run.tally.cost = None if run.tally.cost is None or price is None else run.tally.cost + price
        total = usage.total
        run.warn(run.purse.settle(self._reservation, {"tokens": total, "money": price or 0.0}))
        if total:
            data: dict[str, JsonValue] = {"metric": "model.tokens", "quantity": total, "unit": "token", "price": price}
            run.emit(UsageRecorded, data)


class OnComputer:
    """The same run, on one of its computers."""

    def __init__(self, executor: Executor, run: RunState, computer_id: str | None) -> None:
        self._executor = executor
        self._run_state = run
        self._computer_id = computer_id

    @property
    def tools(self) -> ToolRegistry:
        """The computer's tools, the user's own included; those of the run's first one where none is named."""
        return self._run_state.computer(self._computer_id).tools

    async def look(self) -> Frame:
        """Take a screenshot and return its frame.

        Raises:
            ToolError: If there is none to be had; says why.
        """
        observation = await self.act("screenshot", check=True)
        if observation.frame is None:
            raise ToolError("the screenshot tool gave no image")
        return observation.frame

    @overload
    async def act(self, call: ToolCall, /, *, check: bool = False) -> Observation: ...

    @overload
    async def act(self, call: str, /, *, check: bool = False, **arguments: JsonValue) -> Observation: ...

    async def act(self, call: str | ToolCall, /, *, check: bool = False, **arguments: JsonValue) -> Observation:
        """Do one thing.

        Args:
            call: A tool's name, with its arguments as keywords, or a whole call.
            check: Whether to raise for anything but success.
            **arguments: The tool's arguments; coordinates are pixels of the last frame.

        Returns:
            What came of it; everything that a model could handle (bad arguments, a failed command) is an observation.

        Raises:
            RunStoppedError: If the run was stopped.
            JournalError: If the intent cannot be made durable.
            ToolError: With ``check``, if it did not succeed.
        """
        if isinstance(call, str):
            call = ToolCall(call, arguments)
        elif arguments:
            raise InvalidInputError("arguments stand in the ToolCall, not beside it")
        if call.computer_id is None and self._computer_id is not None:
            call = replace(call, computer_id=self._computer_id)
        observation = await self._executor.execute(call)
        if check and not observation.ok:
            raise _as_error(observation)
        return observation


def _as_error(observation: Observation) -> DeskhandError:
    error = observation.error
    if error is None:
        return ToolError(f"{observation.call.name}: {observation.outcome}", effect=observation.effect)
    return ToolError(
        f"{observation.call.name}: {error.message}",
        code=error.code,
        hint=error.hint,
        effect=error.effect,
        retryable=error.retryable,
        request_id=error.request_id,
        retry_at=error.retry_at,
    )


class RunContext(OnComputer, Generic[DepsT]):
    """What `Harness.drive` gets: everything inside a run goes through it."""

    def __init__(self, run: RunState) -> None:
        super().__init__(Executor(run), run, None)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run_state.run_id

    @property
    def goal(self) -> str:
        """What the run is to reach."""
        return self._run_state.goal

    @property
    def computers(self) -> Mapping[str, ComputerInfo]:
        """What is known of the run's computers, by id, the first being the default."""
        return {key: state.computer.info for key, state in self._run_state.computers.items()}

    @property
    def deps(self) -> DepsT:
        """What ``start(deps=...)`` was given."""
        return cast("DepsT", self._run_state.deps)

    @property
    def history(self) -> History | None:
        """The recorded run that this one continues, where it was started with ``history=``."""
        return self._run_state.history

    @property
    def last_frame(self) -> Frame | None:
        """The newest frame of the run; of its one computer, in a part of a run."""
        run = self._run_state
        return run.tally.last_frame if run.whole is None else run.computer(None).frame

    def on(self, computer_id: str) -> OnComputer:
        """Look and act on one of the run's computers.

        Raises:
            InvalidInputError: If the run has no such computer.
        """
        self._run_state.computer(computer_id)
        return OnComputer(self._executor, self._run_state, computer_id)

    @contextmanager
    def part(
        self, computer_id: str, harness: Harness[OutputT, DepsT], *, goal: str | None = None
    ) -> Iterator[RunContext[DepsT]]:
        """Let one of the run's computers have a loop of its own for the time of a block.

        That loop sees a run with this computer alone, and turns and an inbox of its own. The events, the budgets, the
        policy, pause and stop are those of the whole run; what people say to the run, each of its loops hears.

        Args:
            computer_id: The computer; no other loop may have it meanwhile.
            harness: What drives it: its tools are added to the computer's, and its limits hold for the frames.
            goal: What this loop is to reach; the run's goal where not given.

        Raises:
            InvalidInputError: If the run has no such computer.
            ConfigError: If a tool of the harness has the name of another.
            ConflictError: If the computer has a loop of its own already.
        """
        run = self._run_state
        computer = run.computer(computer_id)
        tools, own = computer.tools, harness.own_tools
        with run.inbox.branch(computer_id) as inbox:
            part = run.part(
                computer_id, goal=goal if goal is not None else run.goal, frame_limits=harness.frame_limits, inbox=inbox
            )
            computer.tools = tools if own is None else tools.merged(own)
            try:
                context: RunContext[DepsT] = RunContext(part)
                context.emit(LOOP, {"harness": harness.name, "model": harness.model, "goal": part.goal})
                yield context
            finally:
                computer.tools = tools

    async def act_batch(self, calls: Sequence[ToolCall]) -> list[Observation]:
        """Do several things: in order on one computer, in parallel across computers.

        After a failed screen or input action, later ones on that computer are skipped; other tools are not.
        """
        return await self._executor.execute_batch(calls)

    async def image(self, frame: Frame) -> bytes:
        """Return a frame's encoded image.

        Raises:
            NotFoundError: If it is no longer kept.
        """
        return await self._run_state.blobs.get(frame.sha256)

    def check(self) -> None:
        """Raise if the run was stopped; a driver that only thinks asks now and then.

        Raises:
            RunStoppedError: If it was.
        """
        self._run_state.control.check()

    def afford_time(self, seconds: float) -> None:
        """Raise if the run's budgets do not have so many seconds left; a driver that is about to wait asks.

        Raises:
            BudgetExceededError: If so.
        """
        self._run_state.charge_time()
        self._run_state.purse.check({"time": seconds})

    def emit(self, name: str, value: JsonValue = None) -> None:
        """Emit an event of one's own; the name is namespaced (``myapp.progress``).

        Raises:
            InvalidInputError: If the value is no JSON, nested too deeply, or has more than 256 KiB.
        """
        self._run_state.emit(CustomEvent, {"name": name, "value": self._checked(value)})

    def _checked(self, value: JsonValue) -> JsonValue:
        value = self._run_state.redactor.clean(value)
        try:
            size = len(to_json(value))
        except ValueError as error:
            raise InvalidInputError(f"the event's value is no JSON: {error}") from error
        if size > MAX_VALUE:
            raise InvalidInputError(
                f"the event's value has {size} bytes; allowed are {MAX_VALUE}",
                hint="keep it elsewhere, and name it here",
            )
        return value

    async def checkpoint(self, value: JsonValue) -> None:
        """Keep how far a driver is; once this returns, `restored` has it in whatever process takes the run up again.

        Raises:
            InvalidInputError: If the value is no JSON, nested too deeply, or has more than 256 KiB.
            JournalError: If it cannot be kept.
        """
        self._run_state.emit(RunCheckpoint, {"value": self._checked(value)})
        await self._run_state.barrier()

    @property
    def restored(self) -> JsonValue:
        """The last `checkpoint` of a run that was recovered; ``None`` where there is none, as in a fresh run."""
        past = self._run_state.past
        return None if past is None else past.checkpoint

    @property
    def past(self) -> Past | None:
        """What the log knows of a run that was recovered, for loops that are driven again; ``None`` of a fresh one."""
        return self._run_state.past

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that calls may use as ``{{secret:name}}``."""
        return self._run_state.secrets.names if self._run_state.secrets is not None else ()

    @property
    def inbox(self) -> Inbox:
        """What people say to the run while it goes; a driver takes it when it suits it."""
        return self._run_state.inbox

    def rewind(self) -> None:
        """Number turns and calls from the start again, to be driven through what the log of a recovered run knows."""
        self._run_state.rewind()

    def numbered(self, calls: Iterable[ToolCall]) -> list[ToolCall]:
        """Give the calls of an answer from `past_turn` the ids that they had."""
        return self._run_state.numbered(calls)

    def hear_again(self) -> None:
        """Put into the inbox what people had said before the turn that comes next, as a recovered run's log tells."""
        run = self._run_state
        if run.past is not None:
            run.past.say(run.inbox, run.past.following(run.turn))

    async def past_turn(self) -> tuple[bytes, bytes] | None:
        """Return the next turn's answer where the log of a recovered run has it: the vendor's items, and the rest.

        Two empty ones mean that the turn was broken off. ``None`` means that the log ends here: ask the model.

        Raises:
            ConflictError: If the answer was not kept in full.
            NotFoundError: If it is no longer kept.
        """
        run = self._run_state
        index = None if run.past is None else run.past.following(run.turn)
        if run.past is None or index is None:
            return None
        run.take_up(index)
        known = run.past.turns[index].answer
        if known is None:
            return b"", b""
        if known.raw is None or known.rest is None:
            raise ConflictError(f"the log does not hold all of the answer of turn {index}", hint="start another run")
        return await run.blobs.get(known.raw), await run.blobs.get(known.rest)

    @asynccontextmanager
    async def turn(self, *, model: str | None = None, reserve: Usage | None = None) -> AsyncIterator[TurnContext]:
        """Frame one of a driver's own model calls: turn events, usage and budgets as for the bundled loops.

        Args:
            model: The model that is asked, for its price.
            reserve: The most that the call may use: where a budget does not allow it, it is not made. What it really
                used, `TurnContext.record` says.

        Raises:
            RunStoppedError: If the run was stopped.
            BudgetExceededError: If a budget does not allow it, or the model has no known price and must have one.
        """
        run = self._run_state
        run.control.check()
        run.spend({"turns": 1})
        reservation = run.purse.reserve(_worst(run, model, reserve))
        began = time.monotonic()
        turn = TurnContext(run, model, reservation)
        run.emit(TurnStarted, {"index": turn.index})
        try:
            yield turn
            run.tally.turns += 1
        except BaseException:
            turn.stop_reason = "interrupted"
            raise
        finally:
            if not reservation.settled:
                run.purse.settle(reservation, {})
            run.emit(
                TurnFinished,
                {
                    "stop_reason": turn.stop_reason,
                    "usage": turn.usage.model_dump(),
                    "duration": time.monotonic() - began,
                },
            )


def _worst(run: RunState, model: str | None, reserve: Usage | None) -> dict[Metric, float]:
    """Return what a model call may use at most, in what budgets count.

    Raises:
        BudgetExceededError: If the model has no known price and must have one.
    """
    most = reserve or Usage()
    if not run.purse.caps_money:  # (to find a price takes as long as an event)
        return {"tokens": float(most.total), "money": 0.0}
    price = price_of(model, most, run.purse.prices) if model else None
    if price is None and run.purse.needs_price():
        raise BudgetExceededError(
            f"the budget caps money, and no price is known for {model or 'a model that is not named'}",
            reason="money",
            hint="give the budget its price (prices=), or unknown_price='ignore'",
        )
    return {"tokens": float(most.total), "money": price or 0.0}
