"""What one run holds while it is alive; its harness, its owner and its executor share it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import anyio
import anyio.lowlevel
from pydantic import JsonValue

from deskhand.errors import ConflictError, InvalidInputError, JournalError
from deskhand.harness.approvals import Approvals
from deskhand.harness.blobs import BlobStore
from deskhand.harness.budget import Metric, Purse, Warned
from deskhand.harness.control import Control, Stopwatch
from deskhand.harness.events import (
    BudgetWarned,
    ComputerStatusChanged,
    CustomEvent,
    EventBase,
    LoopBlocked,
    RunFinished,
    Usage,
)
from deskhand.harness.frames import FrameLimits
from deskhand.harness.history import History
from deskhand.harness.inbox import Inbox
from deskhand.harness.lag import Lag
from deskhand.harness.past import Past
from deskhand.harness.policy import OwnPolicy
from deskhand.harness.secrets import Secrets
from deskhand.harness.seeing import Seeing
from deskhand.harness.stream import Feed
from deskhand.harness.stuck import Watch
from deskhand.logs import package_logger
from deskhand.providers.actions import MouseButton
from deskhand.providers.contract import ExternalComputer
from deskhand.redaction import Redactor
from deskhand.tools.calls import Frame, Observation, ToolCall
from deskhand.tools.registry import ToolRegistry

__all__ = ["SPACE_LIMIT", "WAITED", "ComputerState", "RunState", "Tally"]

WAITED: Final = "log.waited"
"""The event that says that the run stood still while a disk was full, and for how many seconds."""

SPACE_LIMIT = 3600.0
"""Seconds that a run waits for space on a full disk before it fails."""

SPACE_POLL = 1.0
"""Seconds between two looks whether there is space."""

_log = package_logger(__name__)
ResultT = TypeVar("ResultT")

_INSTANT = 1e-6
"""Seconds: what is left of a budget of time must be more."""


@dataclass(eq=False)
class ComputerState:
    """One computer of a run: the handle, the tools it can back, and what the run knows of its screen.

    Attributes:
        id: What the run calls it: the name that it was given, its own id where it was given none.
        computer: The handle.
        tools: What it can back.
        lock: Held by the action that has it.
        frame: The newest frame of its whole screen.
        unsettled: Whether something was done since the screen was last at rest.
        touched: When something was last done on its screen.
        acted: Whether the run itself did anything since ``frame``, so that the screen may well be another one.
        looked: When ``frame`` was captured.
        focus: Where it was clicked last, in pixels of the screen, if what was done since left the focus there.
        held: The buttons that are pressed.
        overtaken: The person who had it since the model saw it.
        watch: Whether what the run does on it goes in circles.
    """

    id: str
    computer: ExternalComputer
    tools: ToolRegistry
    lock: anyio.Lock
    frame: Frame | None = None
    unsettled: bool = True
    touched: float | None = None
    acted: bool = True
    looked: float = 0.0
    focus: tuple[int, int] | None = None
    held: set[MouseButton] = field(default_factory=set)
    overtaken: str | None = None
    watch: Watch = field(default_factory=Watch)


@dataclass(eq=False)
class Tally:
    """What a run counts, whichever of its loops does it, and how it ended."""

    charged: float = 0.0
    turns: int = 0
    actions: int = 0
    frames: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0
    last_frame: Frame | None = None
    finished: RunFinished | None = None


@dataclass(eq=False)
class RunState:
    """One run, or the part of one that a single computer is: with turns and an inbox of its own, all else shared."""

    run_id: str
    goal: str
    feed: Feed
    blobs: BlobStore
    computers: Mapping[str, ComputerState]
    limiter: anyio.CapacityLimiter
    frame_limits: FrameLimits
    approvals: Approvals
    policy: OwnPolicy | None = None
    seeing: Seeing = field(default_factory=Seeing)
    purse: Purse = field(default_factory=Purse)
    secrets: Secrets | None = None
    deps: object = None
    history: History | None = None
    workspace: str | None = None
    user: str | None = None
    redactor: Redactor = field(default_factory=Redactor.from_environment)
    control: Control = field(default_factory=Control)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    inbox: Inbox = field(default_factory=Inbox)
    tally: Tally = field(default_factory=Tally)
    lag: Lag = field(default_factory=Lag)
    turn: int = 0
    known_frames: dict[str, Frame] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    calls_in_turn: int = 0
    whole: RunState | None = None
    calls_aside: int = 0
    past: Past | None = None

    def __post_init__(self) -> None:
        """Keep secrets out of the goal; have it told, in the run as a whole, who holds the loop."""
        self.goal = self.without_secrets(self.goal)
        if self.whole is None:
            self.lag.tell = self._held
            self.feed.lag = self.lag

    def _held(self, code: str, seconds: float) -> None:
        self.emit(LoopBlocked, {"code": code, "seconds": round(seconds, 3)})

    def emit(
        self,
        kind: type[EventBase],
        data: dict[str, JsonValue],
        *,
        call_id: str | None = None,
        computer_id: str | None = None,
    ) -> EventBase:
        """Build an event with everything secret taken out, and hand it to the log and the subscribers.

        Nothing follows ``run.finished``: what a straggler emits after it is dropped.
        """
        event = kind.model_validate(
            {
                "source": f"/runs/{self.run_id}",
                "run_id": self.run_id,
                "turn": self.turn or None,
                "call_id": call_id,
                "computer_id": computer_id if computer_id is not None or self.whole is None else self.computer(None).id,
                "workspace_id": self.workspace,
                "user_id": self.user,
                "data": self.redactor.clean(data),
            }
        )
        if self.tally.finished is None:
            self.feed.emit(event)
        return event

    def tell_status(self, computer: ComputerState) -> None:
        """Tell that the run has a computer, and which it is where it has a name of its own for it."""
        info = computer.computer.info
        data: dict[str, JsonValue] = {
            "computer_id": computer.id,
            "status": info.status.value,
            "provider": info.provider,
            "instead_of": [{"provider": error.provider, "code": error.code} for error in computer.computer.instead_of]
            or None,
            "own_id": info.id if info.id != computer.id else None,
        }
        self.emit(ComputerStatusChanged, data, computer_id=computer.id)

    async def keep(self, *parts: bytes | None) -> list[str | None]:
        """Keep bytes that the next event names, as safe as the log is, and return their keys; waits for space.

        Raises:
            JournalError: If they cannot be kept.
            RunStoppedError: If the run was stopped while it waited.
        """

        async def put() -> list[str | None]:
            keys = [None if part is None else await self.blobs.put(part) for part in parts]
            if self.feed.durable:
                await self.blobs.sync()
            return keys

        return await self._given_space(put)

    async def room(self) -> None:
        """Wait until the log can take more.

        Raises:
            FencedError: If another writer owns the run.
            JournalError: If it never will.
            RunStoppedError: If the run was stopped while it waited.
        """

        async def check() -> None:
            self.feed.check()

        await self._given_space(check)

    async def barrier(self) -> None:
        """Wait until everything emitted so far is on stable storage, with the blobs that it names; waits for space.

        Raises:
            FencedError: If another writer owns the run.
            JournalError: If it cannot be.
            RunStoppedError: If the run was stopped while it waited.
        """
        await self._given_space(self.sync)

    async def sync(self) -> None:
        """Bring everything emitted so far to stable storage, with the blobs that it names, or fail at once.

        Raises:
            FencedError: If another writer owns the run.
            JournalError: If it cannot be.
        """
        if self.feed.durable:
            await self.blobs.sync()
        await self.feed.barrier()

    async def _given_space(self, do: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Do what needs space on a disk; while there is none, the run stands still, as if it were paused."""
        began: float | None = None
        while True:
            try:
                result = await do()
            except JournalError as error:
                now = time.monotonic()
                if not error.retryable or self.control.stopping or (began is not None and now - began >= SPACE_LIMIT):
                    raise
                if began is None:
                    began = now
                    _log.warning("the run %s waits for space: %s", self.run_id, error)
            else:
                if began is not None:
                    waited = round(time.monotonic() - began, 3)
                    self.emit(CustomEvent, {"name": WAITED, "value": {"seconds": waited}})
                    _log.warning("the run %s goes on after %.1f s: there is space", self.run_id, waited)
                return result
            with self.stopwatch.held(), anyio.move_on_after(SPACE_POLL):
                await self.control.stopped()
            self.control.check()

    def spend(self, amounts: Mapping[Metric, float]) -> None:
        """Count in the run's budgets what is about to be done, and the time that went by.

        Raises:
            BudgetExceededError: If one does not allow it.
        """
        self.charge_time()
        self.warn(self.purse.spend(amounts))

    def charge_time(self) -> None:
        """Count the time that went by.

        Raises:
            BudgetExceededError: If a budget of time is used up.
        """
        elapsed = self.stopwatch.elapsed
        spent, self.tally.charged = elapsed - self.tally.charged, elapsed
        self.warn(self.purse.count({"time": spent}))
        self.purse.check({"time": _INSTANT})

    def warn(self, warnings: Sequence[Warned]) -> None:
        """Tell which caps are nearly reached."""
        for one in warnings:
            self.emit(
                BudgetWarned, {"name": one.name, "metric": one.metric, "limit": one.limit, "used": round(one.used, 6)}
            )

    def without_secrets(self, text: str) -> str:
        """Take secrets out of what people say to the run, as its events do."""
        return text if self.secrets is None else self.redactor.text(text)

    def unexposed(self, observation: Observation) -> Observation:
        """Take secrets out of what came of an action; an image is not searched."""
        if self.secrets is None:
            return observation
        clean, error = self.redactor, observation.error
        if error is not None:
            error = replace(
                error, message=clean.text(error.message), hint=clean.text(error.hint) if error.hint else None
            )
        text, data = clean.text(observation.text), clean.clean(observation.data)
        if text is observation.text and data is observation.data and error is None:
            return observation
        return replace(observation, text=text, data=data, error=error)

    def computer(self, computer_id: str | None) -> ComputerState:
        """Return one of the run's computers; the first where none is named.

        Raises:
            InvalidInputError: If the run has no such computer.
        """
        if computer_id is None:
            return next(iter(self.computers.values()))
        if computer_id not in self.computers:
            raise InvalidInputError(f"this run has no computer {computer_id!r}; it has {', '.join(self.computers)}")
        return self.computers[computer_id]

    def next_call_id(self, actor: str = "harness") -> str:
        """Number the next call of this turn; those of others than the harness are numbered apart.

        A loop that is driven again after a crash thereby numbers its calls as it did before, whatever people did.
        """
        if actor != "harness":
            self.calls_aside += 1  # (nobody else than a harness acts in a part)
            return f"{self.run_id}/aside/{self.calls_aside}"
        self.calls_in_turn += 1
        part = "" if self.whole is None else f"{self.computer(None).id}/"  # (parts count beside each other)
        return f"{self.run_id}/{self.turn}/{part}{self.calls_in_turn}"

    def numbered(self, calls: Iterable[ToolCall]) -> list[ToolCall]:
        """Give an answer's calls their ids."""
        return [call if call.id else replace(call, id=self.next_call_id()) for call in calls]

    def begin_turn(self) -> int:
        """Number the next turn."""
        self.turn = self.turn + 1 if self.whole is None else self.whole.begin_turn()
        self.calls_in_turn = 0
        return self.turn

    def part(self, computer_id: str, *, goal: str, frame_limits: FrameLimits, inbox: Inbox) -> RunState:
        """Return the part of the run that one of its computers is.

        Raises:
            InvalidInputError: If the run has no such computer.
        """
        return replace(
            self,
            computers={computer_id: self.computer(computer_id)},
            goal=goal,
            frame_limits=frame_limits,
            inbox=inbox,
            history=self.history.on(computer_id) if self.history is not None else None,
            past=self.past.on(computer_id) if self.past is not None else None,
            turn=0,
            calls_in_turn=0,
            whole=self,
        )

    def take_up(self, turn: int) -> None:
        """Be in a turn of before a crash."""
        self.turn, self.calls_in_turn = turn, 0

    def rewind(self) -> None:
        """Number turns and calls from the start again: a loop that is driven again asks for the same ones."""
        self.turn = self.calls_in_turn = 0
        if self.past is not None:
            self.past.again = True

    async def check_alive(self) -> None:
        """Raise if the run has ended.

        Raises:
            ConflictError: If it has.
        """
        if self.tally.finished is not None:
            await anyio.lowlevel.checkpoint_if_cancelled()  # what cancels the caller may have ended the run too
            raise ConflictError(f"the run {self.run_id} has ended", hint="start another run")
