"""Keeps runs: each lives in one child task of the engine's task group, which starts it, drives it and ends it.

Whoever starts a run only borrows it. Cancelling the borrower, by scope or natively, thus never cuts a run's own ending
short: held buttons are released, and exactly one ``run.finished`` is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, cast
from weakref import WeakSet

import anyio
from anyio.abc import TaskStatus
from typing_extensions import TypeVar

from deskhand.errors import ConflictError, NotFoundError, RunStoppedError
from deskhand.harness.across import LogStream
from deskhand.harness.approvals import OnApproval
from deskhand.harness.base import Harness
from deskhand.harness.blobs import BlobStore, MemoryBlobs
from deskhand.harness.budget import BudgetLike
from deskhand.harness.context import RunContext
from deskhand.harness.ending import GRACE, Ending, ending_of, finish
from deskhand.harness.events import EventBase
from deskhand.harness.frames import FrameLimits
from deskhand.harness.log import EventLog, MemoryLog
from deskhand.harness.order import Order, Shared, announce, prepare
from deskhand.harness.past import Past, read_past
from deskhand.harness.policy import OwnPolicy
from deskhand.harness.recovery import restore, settle_all, too_often
from deskhand.harness.run import Continued, LiveRun, OpenRun, Run
from deskhand.harness.secrets import Secrets
from deskhand.harness.seeing import Seeing
from deskhand.harness.state import RunState
from deskhand.harness.stuck import Stuck
from deskhand.providers.contract import ComputerSpec, ExternalComputer
from deskhand.tools.registry import Tool, ToolRegistry

__all__ = ["Engine", "open_run"]

OutputT = TypeVar("OutputT", default=str)
DepsT = TypeVar("DepsT", default=object)

_RESIZERS = 2


class Engine:
    """Keeps runs in this process; an async context manager that stops on leaving whatever still runs.

    Args:
        log: Where events go, already entered; memory where not given.
        blobs: Where frames and raw model items go; memory where not given.
        on_approval: Is asked where a call needs a person's approval; whoever holds the run may answer before it.
        policy: Which calls of all its runs run, are asked about, are refused; beside a run's own, the stricter counts.
        budget: An allowance that all its runs share, or caps for each of them.
        secrets: What all its runs may use.
        seeing: How its runs look at screens, and when they refuse to act on an old frame.
        stuck: When a run counts as stuck; where not given, as its harness says, and never for a loop of one's own.
    """

    def __init__(
        self,
        *,
        log: EventLog | None = None,
        blobs: BlobStore | None = None,
        on_approval: OnApproval | None = None,
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        seeing: Seeing | None = None,
        stuck: Stuck | None = None,
    ) -> None:
        self._given_log = log
        self._blobs: BlobStore = blobs or MemoryBlobs()
        self._share = partial(
            Shared,
            blobs=self._blobs,
            on_approval=on_approval,
            policy=policy,
            budget=budget,
            secrets=secrets,
            seeing=seeing or Seeing(),
            stuck=stuck,
        )
        self._live: dict[str, LiveRun] = {}
        self._streams: WeakSet[LogStream] = WeakSet()
        self._failures: list[Exception] = []
        self._open = False

    async def __aenter__(self) -> Self:
        """Open the task group that owns the runs."""
        async with AsyncExitStack() as stack:
            log = self._given_log
            self._log: EventLog = log if log is not None else await stack.enter_async_context(MemoryLog())
            self._shared = self._share(log=self._log, limiter=anyio.CapacityLimiter(_RESIZERS))
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            self._stack = stack.pop_all()
            self._open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop what still runs, gracefully within 10 s, then by cancellation, and wait for its end.

        Raises:
            DeskhandError: If a computer that the engine made for a run could not be given up.
        """
        self._open = False
        try:
            for live in self._live.values():
                live.state.control.stop(live.stop_reason or "left")
            if exc is None:
                with anyio.move_on_after(GRACE):
                    for live in list(self._live.values()):
                        await live.ended.wait()
        finally:
            self._tasks.cancel_scope.cancel()
            # No run raises into the group; told of the block's own error, it would wrap that in a group for nothing.
            try:
                await self._stack.__aexit__(None, None, None)
            finally:
                for stream in self._streams:
                    stream.end()
        failures, self._failures = self._failures, []
        if failures and exc is None:
            raise failures[0] if len(failures) == 1 else ExceptionGroup("computers were not given up cleanly", failures)

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<Engine {len(self._live)} runs>"

    @property
    def log(self) -> EventLog:
        """The log that its runs write."""
        return self._log

    async def start(
        self,
        harness: Harness[OutputT, DepsT],
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec,
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        provider: str | Sequence[str] = "local",
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        history: Continued = None,
    ) -> Run[OutputT]:
        """Start a run; it lives until it ends, is stopped, or the engine is left.

        Args:
            harness: What drives it.
            computer: What it may use: one live computer, several, or several by the names that the run is to call them,
                all borrowed; a spec is created by ``provider``, owned by the run.
            goal: What it is to reach.
            tools: Tools besides the computer's own and the harness's.
            deps: What the tools and the driver get as ``deps``.
            user: Stands in every event.
            workspace: Stands in every event.
            metadata: Stands in ``run.started``.
            provider: Who creates the computer where a spec is given.
            policy: Which calls run, are asked about, are refused; all run where not given.
            budget: What it may use at most: caps of its own, allowances that it shares, or both.
            secrets: What it may use by ``{{secret:name}}`` without seeing it.
            history: A recorded run to go on from, with the goal as the next thing that its user says: the run, or the
                id of one in this log.

        Raises:
            ConflictError: If a computer is in use by another run, or the engine was left or not yet entered.
            NotFoundError: If the log no longer holds the run that is to be continued.
        """
        order = Order(
            computer=computer,
            goal=goal,
            harness_name=harness.name,
            model=harness.model,
            frame_limits=harness.frame_limits,
            own_tools=harness.own_tools,
            stuck=harness.stuck,
            tools=tools,
            deps=deps,
            user=user,
            workspace=workspace,
            metadata=metadata or {},
            provider=provider,
            policy=policy,
            budget=budget,
            secrets=secrets,
            history=history,
            settings=harness.settings,
        )
        live = await self._begin(order, _driver(harness))
        return Run(live.state.run_id, self._log, live)

    async def recover(
        self,
        run_id: str,
        *,
        harness: Harness[OutputT, DepsT],
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        provider: str | Sequence[str] = "local",
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
    ) -> Run[OutputT]:
        """Take a run up again whose process has died, from its log; live objects are not in there, so they are given.

        Whoever else holds the run can write no more, and so do nothing more. A bundled loop goes on where it was: what
        the log knows is neither asked nor done again. An action that was under way is asked about where the computer
        can tell; else it is done again where that is harmless, and where it is not, the model is told that nobody
        knows, and shown the screen. A driver of one's own starts anew, with `RunContext.restored`.

        Args:
            run_id: The run.
            harness: What drives it: as it was started.
            computer: What it may use, as it was started with; an agent that gets another one is told so.
            tools: Tools besides the computer's own and the harness's, as it was started with.
            deps: What the tools and the driver get as ``deps``.
            provider: Who creates the computer where a spec is given.
            policy: Which calls run, are asked about, are refused; all run where not given.
            budget: What it may use at most; what it has used counts.
            secrets: What it may use by ``{{secret:name}}`` without seeing it.

        Returns:
            The run. One that has died more than ten times is ended as ``quarantined`` instead.

        Raises:
            NotFoundError: If the log has no such run.
            ConflictError: If it has ended, lives here, was driven by another harness, or a computer is in use.
        """
        if run_id in self._live:
            raise ConflictError(f"the run {run_id} lives in this engine", hint="get it: engine.get(run_id)")
        past = await read_past(self._log, run_id, ends=True)
        _check_recoverable(run_id, past, harness.name)
        assert past.started is not None  # noqa: S101 (read_past sees to it)
        order = Order(
            computer=computer,
            goal=past.started.data.goal,
            harness_name=harness.name,
            model=harness.model,
            frame_limits=harness.frame_limits,
            own_tools=harness.own_tools,
            tools=tools,
            deps=deps,
            user=past.started.user_id,
            workspace=past.started.workspace_id,
            provider=provider,
            policy=policy,
            budget=budget,
            secrets=secrets,
            history=past.started.data.continues,
            run_id=run_id,
            driven_again=harness.driven_again,
            stuck=harness.stuck,
        )
        live = await self._begin(order, _driver(harness))
        return Run(run_id, self._log, live)

    @asynccontextmanager
    async def open(
        self,
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec,
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: object = None,
        frame_limits: FrameLimits | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        provider: str | Sequence[str] = "local",
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
    ) -> AsyncIterator[OpenRun]:
        """Open a run whose loop is the block; takes what `start` takes, and the size limits of its frames."""
        order = Order(
            computer=computer,
            goal=goal,
            harness_name="open_run",
            frame_limits=frame_limits or FrameLimits(),
            tools=tools,
            deps=deps,
            user=user,
            workspace=workspace,
            metadata=metadata or {},
            provider=provider,
            policy=policy,
            budget=budget,
            secrets=secrets,
        )
        block = _Block()
        live = await self._begin(order, block.outcome)
        run = OpenRun(live, self._log)
        try:
            with anyio.CancelScope() as live.scope:
                yield run
                block.output = run.output
            if live.scope.cancelled_caught:
                block.error = RunStoppedError("the run was stopped", reason=live.stop_reason or "user")
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            block.error = RunStoppedError("the block was cancelled", reason="cancelled") if cancelled else error
            raise
        finally:
            block.left.set()
            with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE):
                await live.ended.wait()

    async def get(self, run_id: str) -> Run[object]:
        """Return a run: a live one of this engine, or one that the log remembers.

        Raises:
            NotFoundError: If neither knows it.
        """
        if run_id in self._live:
            return Run(run_id, self._log, self._live[run_id])
        if not await self._log.read(run_id, limit=1):
            raise NotFoundError(f"no run is called {run_id!r}", hint="see the list: deskhand events")
        return Run(run_id, self._log, blobs=self._blobs)

    def events(
        self,
        *,
        after: int = 0,
        types: Collection[str | type[EventBase]] | None = None,
        workspace: str | None = None,
        user: str | None = None,
    ) -> LogStream:
        """Follow the durable events of all runs in the log: what it holds behind a position, then what comes.

        The stream ends when the engine is left. Between runs no order is promised but that of the commits.

        Args:
            after: The last position already seen.
            types: Only these: names, globs (``run.*``) or event classes.
            workspace: Only runs of this workspace.
            user: Only runs of this user.
        """
        stream = LogStream(self._log, after=after, types=types, workspace=workspace, user=user)
        self._streams.add(stream)
        return stream

    def list(self) -> list[Run[object]]:
        """List the runs that live in this engine, oldest first."""
        return [Run(run_id, self._log, live) for run_id, live in self._live.items()]

    async def _begin(self, order: Order, drive: Callable[[LiveRun], Awaitable[object]]) -> LiveRun:
        if not self._open:
            raise ConflictError("the engine is closed", hint="start runs inside its async with block")
        return cast("LiveRun", await self._tasks.start(self._own, order, drive))

    async def _own(
        self,
        order: Order,
        drive: Callable[[LiveRun], Awaitable[object]],
        *,
        task_status: TaskStatus[LiveRun] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Own one run, from the lease of its computers to their release."""
        live: LiveRun | None = None
        try:
            async with AsyncExitStack() as stack:
                live = LiveRun(await prepare(order, self._shared, stack), anyio.Event(), self._tasks.start_soon)
                if order.run_id is None:
                    announce(order, live.state)
                else:
                    drive = await self._take_up(order, live.state) or drive
                self._live[live.state.run_id] = live
                await self._pursue(live, drive, task_status)
        except Exception as error:
            if live is None or live.state.tally.finished is None:
                raise  # to whoever wanted to start it
            self._failures.append(error)  # a computer could not be given up: no matter of the other runs
        finally:
            if live is not None:
                self._live.pop(live.state.run_id, None)
                live.ended.set()

    async def _pursue(
        self, live: LiveRun, drive: Callable[[LiveRun], Awaitable[object]], task_status: TaskStatus[LiveRun]
    ) -> None:
        """Drive one run, and write how it ended."""
        ending = Ending("stopped", "cancelled")
        try:
            task_status.started(live)
            ending = Ending("completed", output=await drive(live))
        except anyio.get_cancelled_exc_class():
            if live.state.control.stopping:
                ending = Ending("stopped", live.stop_reason or "left")
            raise
        except KeyboardInterrupt as error:
            ending = ending_of(error)
            raise
        except BaseException as error:  # (whatever a driver raises ends its run, never the engine)
            ending = ending_of(error)
        finally:
            with anyio.CancelScope(shield=True):
                await finish(live, ending)

    async def _take_up(self, order: Order, state: RunState) -> Callable[[LiveRun], Awaitable[object]] | None:
        """Bring a recovered run to where its log ends; return what to do instead of driving it, if it died too often.

        Raises:
            ConflictError: If it has ended since.
            DeskhandError: If its log is not all there.
        """
        try:
            past = await read_past(self._log, state.run_id)  # (nobody else writes any more)
            _check_recoverable(state.run_id, past, order.harness_name)
            restore(state, past)
            error = too_often(past)
            if error is None:
                await settle_all(state, past, again=order.driven_again)
                return None
        except BaseException:
            state.feed.close()
            raise

        async def give_up(live: LiveRun) -> object:
            del live
            raise error

        return give_up


def _driver(harness: Harness[OutputT, DepsT]) -> Callable[[LiveRun], Awaitable[object]]:
    """Return what drives a run by a harness until it ends or is stopped."""

    async def drive(live: LiveRun) -> object:
        with anyio.CancelScope() as live.scope:
            return await live.state.lag.of("the driver", harness.drive(RunContext(live.state)))
        raise RunStoppedError("the run was stopped", reason=live.stop_reason or "user")

    return drive


def _check_recoverable(run_id: str, past: Past, harness_name: str) -> None:
    """Refuse what cannot be taken up again.

    Raises:
        ConflictError: If the run has ended, or another harness drove it.
    """
    if past.finished:
        raise ConflictError(f"the run {run_id} has ended", hint="start another run")
    driven_by = past.started.data.harness if past.started is not None else harness_name
    if driven_by != harness_name:
        raise ConflictError(f"the run {run_id} was driven by {driven_by}, not by {harness_name}", hint="give that one")


class _Block:
    """The block of an open run, as its owner sees it."""

    def __init__(self) -> None:
        self.left = anyio.Event()
        self.output: object = None
        self.error: BaseException | None = None

    async def outcome(self, live: LiveRun) -> object:
        """Wait until the block is left; return its output or raise what ended it.

        A cancelled owner waits for the block, which the same cancellation ends, or its own scope: until then the block
        goes on, and must not be told that its run has ended.
        """
        try:
            await self.left.wait()
        except anyio.get_cancelled_exc_class():
            if live.scope is not None:
                live.scope.cancel()
                with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE):
                    await self.left.wait()
            raise
        if self.error is not None:
            raise self.error
        return self.output


@asynccontextmanager
async def open_run(
    computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
    goal: str,
    *,
    tools: ToolRegistry | Sequence[Tool] | None = None,
    deps: object = None,
    log: EventLog | None = None,
    blobs: BlobStore | None = None,
    on_approval: OnApproval | None = None,
    frame_limits: FrameLimits | None = None,
    user: str | None = None,
    workspace: str | None = None,
    metadata: Mapping[str, str] | None = None,
    policy: OwnPolicy | None = None,
    budget: BudgetLike = None,
    secrets: Secrets | None = None,
    seeing: Seeing | None = None,
    stuck: Stuck | None = None,
) -> AsyncIterator[OpenRun]:
    """Open a run whose loop is the caller's own code: the same executor, events and control as a bundled loop.

    Leaving the block ends the run as completed (`OpenRun.finish` sets the output), an exception as failed.

    Args:
        computer: What it may use: one computer, several, or several by the names that the run is to call them;
            borrowed.
        goal: What it is to reach.
        tools: Tools besides the computer's own.
        deps: What the tools get as ``deps``.
        log: Where events go; memory where not given.
        blobs: Where frames go; memory where not given.
        on_approval: Is asked where a call needs a person's approval; `Run.approve` and `Run.deny` answer too.
        frame_limits: How large a frame may be for the model that is asked; as captured where not given.
        user: Stands in every event.
        workspace: Stands in every event.
        metadata: Stands in ``run.started``.
        policy: Which calls run, are asked about, are refused; all run where not given.
        budget: What it may use at most: caps of its own, allowances that it shares, or both.
        secrets: What it may use by ``{{secret:name}}`` without seeing it.
        seeing: How it looks at screens, and when it refuses to act on an old frame.
        stuck: When it counts as stuck; never where not given.

    Raises:
        ConflictError: If a computer is in use by another run.
    """
    async with (
        Engine(log=log, blobs=blobs, on_approval=on_approval, seeing=seeing, stuck=stuck) as engine,
        engine.open(
            computer,
            goal,
            tools=tools,
            deps=deps,
            frame_limits=frame_limits,
            user=user,
            workspace=workspace,
            metadata=metadata,
            policy=policy,
            budget=budget,
            secrets=secrets,
        ) as run,
    ):
        yield run
