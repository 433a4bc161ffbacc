"""A run as its caller sees it: events, result, and the ways to steer it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, cast

import anyio
import anyio.lowlevel
from pydantic import JsonValue
from typing_extensions import TypeVar

from deskhand.errors import ConflictError, DeskhandError, InvalidInputError, NotFoundError
from deskhand.harness.approvals import Decision
from deskhand.harness.blobs import BlobStore, MemoryBlobs
from deskhand.harness.context import RunContext
from deskhand.harness.events import (
    ControlReturned,
    ControlTaken,
    EventBase,
    FrameCaptured,
    RunFinished,
    RunOutcome,
    RunPaused,
    RunResumed,
    RunSteered,
    Usage,
)
from deskhand.harness.history import History
from deskhand.harness.inbox import When
from deskhand.harness.log import EventLog
from deskhand.harness.state import RunState
from deskhand.harness.stream import EventStream, subscribe
from deskhand.harness.takeover import LEASE, Takeover
from deskhand.tools.calls import ErrorInfo, Frame

__all__ = ["Continued", "OpenRun", "Run", "RunError", "RunResult"]

OutputT = TypeVar("OutputT", default=str)
_PAGE = 500
DepsT = TypeVar("DepsT", default=object)


class RunError(DeskhandError):
    """Raised by `RunResult.raise_for_outcome` when a run did not complete."""

    code = "run"

    def __init__(self, result: RunResult[object]) -> None:
        error = result.error
        why = f": {error.message}" if error else f" ({result.reason})" if result.reason else ""
        super().__init__(
            f"the run {result.run_id} ended as {result.outcome.replace('_', ' ')}{why}",
            hint=error.hint if error else None,
            effect=error.effect if error else "yes",
            retryable=error.retryable if error else False,
            request_id=error.request_id if error else None,
            retry_at=error.retry_at if error else None,
        )
        self.result = result


@dataclass(frozen=True, slots=True)
class RunResult(Generic[OutputT]):
    """How a run ended.

    Attributes:
        run_id: The run.
        outcome: completed, failed, stopped, refused, budget_exceeded or quarantined.
        reason: A finer word (turns, user, signal, cancelled, error, ...).
        output: What the harness returned.
        error: What went wrong.
        turns: Model turns.
        actions: Actions.
        usage: Tokens.
        cost: US dollars; ``None`` where a price is unknown.
        last_frame: The newest frame.
    """

    run_id: str
    outcome: RunOutcome
    reason: str | None = None
    output: OutputT | None = None
    error: ErrorInfo | None = None
    turns: int = 0
    actions: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    last_frame: Frame | None = None

    @property
    def ok(self) -> bool:
        """Whether the run completed."""
        return self.outcome == "completed"

    def raise_for_outcome(self) -> None:
        """Raise unless the run completed.

        Raises:
            RunError: With the outcome and what went wrong.
        """
        if not self.ok:
            raise RunError(cast("RunResult[object]", self))


@dataclass(eq=False)
class LiveRun:
    """What the owner of a run in this process shares with whoever holds the run."""

    state: RunState
    ended: anyio.Event
    spawn: Callable[[Callable[[], Coroutine[object, object, None]]], object]
    output: object = None
    scope: anyio.CancelScope | None = None
    takeover: Takeover | None = None
    stop_reason: str | None = None


class Run(Generic[OutputT]):
    """A run: live in this process, or one that the log remembers."""

    def __init__(
        self, run_id: str, log: EventLog, live: LiveRun | None = None, *, blobs: BlobStore | None = None
    ) -> None:
        self._id = run_id
        self._log = log
        self._live = live
        self._blobs = blobs if live is None else live.state.blobs

    def __repr__(self) -> str:
        """The state at a glance."""
        if self._live is None or self._live.ended.is_set():
            return f"<Run {self._id} ended>"
        return f"<Run {self._id} {self._live.state.control!r}>"

    @property
    def id(self) -> str:
        """The run's id."""
        return self._id

    @property
    def ended(self) -> bool:
        """Whether the run has ended, as far as this process knows."""
        return self._live is None or self._live.ended.is_set()

    @property
    def paused(self) -> bool:
        """Whether its actions wait for `resume`."""
        return self._live is not None and self._live.state.control.paused

    def events(self, *, after: int = 0, types: Collection[str | type[EventBase]] | None = None) -> EventStream:
        """Follow the run's events: what the log holds after a number, then what comes, until ``run.finished``.

        Of a run whose process died the stream raises ConflictError behind the last event; recovered, it can be followed
        again.

        Args:
            after: The last number already seen.
            types: Only these: names, globs (``action.*``) or event classes.
        """
        if self._live is not None:
            return self._live.state.feed.subscribe(after=after, types=types)
        return subscribe(self._log, self._id, after=after, types=types)

    async def result(self) -> RunResult[OutputT]:
        """Wait for the end and tell how it ended; does not raise for a run that failed.

        Raises:
            NotFoundError: If the log has no such run.
            ConflictError: If the process that drove it died, so that it has no end.
        """
        if self._live is not None:
            await self._live.ended.wait()
            finished = self._live.state.tally.finished
            output = self._live.output
            frame = self._live.state.tally.last_frame
        else:
            finished, output, frame = await self._recorded(), None, None
        if finished is None:
            raise NotFoundError(f"the log has no end of a run {self._id}", hint="see the list: deskhand events")
        data = finished.data
        error = data.error
        return RunResult(
            run_id=self._id,
            outcome=data.outcome,
            reason=data.reason,
            output=cast("OutputT", output if self._live is not None else data.output),
            error=None if error is None else ErrorInfo(**error.model_dump()),
            turns=data.turns,
            actions=data.actions,
            usage=data.usage,
            cost=data.cost,
            last_frame=frame,
        )

    async def _recorded(self) -> RunFinished | None:
        """Find the end in the log, or wait for it there."""
        last = (await self._log.bounds(self._id))[1]  # (asked first: an end that comes meanwhile lies behind it)
        for event in await self._log.read(self._id, types=["run.finished"]):
            if isinstance(event, RunFinished):
                return event
        async for event in subscribe(self._log, self._id, after=last, types=[RunFinished]):
            if isinstance(event, RunFinished):
                return event
        return None

    async def pause(self, *, actor: str = "user", reason: str | None = None) -> None:
        """Let no further action start until `resume`; inside a batch too.

        Raises:
            ConflictError: If the run has ended.
        """
        state = await self._control()
        if state.control.pause():
            state.emit(RunPaused, {"actor": actor, "reason": reason})

    async def resume(self, *, actor: str = "user") -> None:
        """Let actions start again.

        Raises:
            ConflictError: If the run has ended.
        """
        state = await self._control()
        if state.control.resume():
            state.emit(RunResumed, {"actor": actor})

    async def step(self, *, actor: str = "user") -> None:
        """Let one action start, then pause.

        Raises:
            ConflictError: If the run has ended.
        """
        state = await self._control()
        if state.control.step():
            state.emit(RunPaused, {"actor": actor, "reason": "step"})

    async def steer(
        self, text: str, *, when: When = "next", actor: str = "user", computer_id: str | None = None
    ) -> None:
        """Say something to the agent while it works.

        Args:
            text: What.
            when: ``next``: before its next turn. ``now``: what it is doing is broken off for it: the rest of a batch
                is not run, and an answer that is coming is asked for anew. ``idle``: when it would be done, so that it
                goes on instead.
            actor: Who says it.
            computer_id: The computer whose loop is meant, where each has one of its own; all of them where not given.

        Raises:
            ConflictError: If the run has ended.
            InvalidInputError: If the text is empty or too long, or too many messages wait, or the computer has no loop
                of its own.
        """
        state = await self._control()
        state.inbox.put(state.without_secrets(text), when, to=computer_id)
        state.emit(RunSteered, {"actor": actor, "text": text, "when": when}, computer_id=computer_id)

    async def takeover(self, actor: str = "user", *, reason: str | None = None, lease: float = LEASE) -> Takeover:
        """Take the computers over: the run's own actions wait until they are handed back.

        Returns when no action of the run is in flight any more. Leaving the takeover's block hands back::

            async with await run.takeover("ann") as hands:
                await hands.act("left_click", x=40, y=60)
                await hands.hand_back("I signed in")

        Args:
            actor: Who takes them.
            reason: Why.
            lease: Seconds without an action after which they go back by themselves.

        Raises:
            ConflictError: If a person has them, or the run has ended or is told to.
            InvalidInputError: If the lease is no time.
        """
        if not lease > 0:
            raise InvalidInputError(f"the lease is {lease}; it is a number of seconds above 0")
        state = await self._control()
        assert self._live is not None  # noqa: S101 (it has a state)
        self._refuse_at_its_end(state)
        state.control.take(actor)
        try:
            state.emit(ControlTaken, {"actor": actor, "reason": reason})
            for computer in state.computers.values():
                async with computer.lock:  # what is in flight has ended when it can be had
                    pass
            self._refuse_at_its_end(state)
        except BaseException:
            state.emit(ControlReturned, {"actor": actor, "summary": None, "actions": 0, "duration": 0.0})
            state.control.give_back()
            raise
        takeover = Takeover(state, actor, lease)
        self._live.takeover = takeover
        self._live.spawn(takeover.expire)
        return takeover

    async def hand_back(self, summary: str | None = None) -> None:
        """Give the computers back that a person has taken over; nothing where nobody has.

        Args:
            summary: What the person says about it.

        Raises:
            InvalidInputError: If that is too long; the person keeps the computers.
        """
        if self._live is not None and self._live.takeover is not None:
            await self._live.takeover.hand_back(summary)

    async def stop(self, *, now: bool = False, reason: str = "user") -> None:
        """Let no further action start and end the run; stopping an ended run changes nothing.

        Args:
            now: Also cancel what is in flight.
            reason: Who or what stopped it; stands in the result.
        """
        if self._live is None or self._live.ended.is_set():
            return
        self._live.stop_reason = self._live.stop_reason or reason
        self._live.state.control.stop(reason)
        if now and self._live.scope is not None:
            self._live.scope.cancel()

    async def approve(
        self,
        call_id: str,
        *,
        arguments: Mapping[str, JsonValue] | None = None,
        always: bool = False,
        actor: str = "user",
        reason: str | None = None,
    ) -> None:
        """Let a call run that waits for an approval; the first answer counts.

        Args:
            call_id: As the event ``approval.requested`` names it.
            arguments: What it is run with in the place of its own arguments.
            always: Whether the same tool on the same computer is not asked about again in this run; a check of the
                model's vendor always is.
            actor: Who says so.
            reason: Why.

        Raises:
            ConflictError: If it was answered before, or the run has ended.
            InvalidInputError: If the tool does not take these arguments, or the reason is too long; the call still
                waits.
            NotFoundError: If no such call waits.
        """
        decision = Decision("approved", actor, reason, arguments, always)
        (await self._control()).approvals.resolve(call_id, decision)

    async def deny(self, call_id: str, reason: str | None = None, *, actor: str = "user") -> None:
        """Keep a call from running that waits for an approval; the first answer counts.

        Args:
            call_id: As the event ``approval.requested`` names it.
            reason: Why; the model is told.
            actor: Who says so.

        Raises:
            ConflictError: If it was answered before, or the run has ended.
            InvalidInputError: If the reason is too long; the call still waits.
            NotFoundError: If no such call waits.
        """
        (await self._control()).approvals.resolve(call_id, Decision("denied", actor, reason))

    async def frame(self, frame_id: str) -> bytes:
        """Return the encoded image of one of the run's frames.

        Raises:
            NotFoundError: If the run has no such frame, or it is no longer kept.
        """
        digest = await self._digest(frame_id)
        if digest is None or self._blobs is None:
            raise NotFoundError(f"the run {self._id} has no frame {frame_id!r} at hand")
        return await self._blobs.get(digest)

    async def record(self) -> History:
        """Return the run as its log tells it, so that another can go on from it.

        Raises:
            ConflictError: If it has not ended.
            NotFoundError: If the log does not hold it from its beginning.
        """
        if self._live is not None and not self._live.ended.is_set():
            raise ConflictError(f"the run {self._id} has not ended", hint="wait for its result first")
        return await History.read(self._log, self._blobs or MemoryBlobs(), self._id)

    async def _digest(self, frame_id: str) -> str | None:
        """Find the key of a frame's image: in this process, or in the log."""
        if self._live is not None:
            return self._live.state.images.get(frame_id)
        after, last = 0, (await self._log.bounds(self._id))[1]
        while after < last:
            page = await self._log.read(self._id, after, limit=_PAGE)
            for event in page:
                if isinstance(event, FrameCaptured) and event.data.frame_id == frame_id:
                    return event.data.sha256
            after = max((event.seq or 0 for event in page), default=last)
        return None

    def _refuse_at_its_end(self, state: RunState) -> None:
        if state.control.stopping:
            raise ConflictError(f"the run {self._id} is ending", hint="start another run")

    async def _control(self) -> RunState:
        if self._live is None or self._live.ended.is_set():
            await anyio.lowlevel.checkpoint_if_cancelled()  # what cancels the caller may have ended the run too
            raise ConflictError(f"the run {self._id} has ended", hint="start another run")
        return self._live.state


class OpenRun(RunContext[DepsT], Run[object]):
    """A run whose loop is the caller's own code: everything of `RunContext` and of `Run`."""

    def __init__(self, live: LiveRun, log: EventLog) -> None:
        # Two bases with arguments of their own; the second checker takes each for its default specialisation.
        RunContext.__init__(self, live.state)  # pyright: ignore[reportArgumentType]
        Run.__init__(self, live.state.run_id, log, live)  # pyright: ignore[reportArgumentType]
        self.output: object = None

    def finish(self, output: object = None) -> None:
        """Set the output that the run's result will hold when the block is left."""
        self.output = output


Continued: TypeAlias = Run[Any] | str | None
"""A recorded run to go on from: the run, or its id in the log."""
