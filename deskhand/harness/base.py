"""What a loop is: something that drives a run to its goal."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic

from pydantic import JsonValue
from typing_extensions import TypeVar

from deskhand.errors import ConfigError
from deskhand.harness.approvals import OnApproval, nobody
from deskhand.harness.context import RunContext
from deskhand.harness.frames import FrameLimits
from deskhand.harness.policy import Policy
from deskhand.harness.stuck import Stuck
from deskhand.providers.contract import ExternalComputer
from deskhand.tools.registry import Tool, ToolRegistry

if TYPE_CHECKING:
    from deskhand.harness.blobs import BlobStore
    from deskhand.harness.budget import BudgetLike
    from deskhand.harness.log import EventLog
    from deskhand.harness.policy import OwnPolicy
    from deskhand.harness.run import Continued, Run, RunResult
    from deskhand.harness.secrets import Secrets
    from deskhand.harness.seeing import Seeing

__all__ = ["Harness"]

OutputT = TypeVar("OutputT", default=str)
DepsT = TypeVar("DepsT", default=object)


class Harness(abc.ABC, Generic[OutputT, DepsT]):
    """Decides the next tool call.

    A harness object holds settings only and serves any number of runs, also at once. What it returns from `drive` is
    the run's output.
    """

    @property
    def driven_again(self) -> bool:
        """Whether `drive`, in a run that is recovered, goes through all that the log knows once more from its start."""
        return False

    @property
    def name(self) -> str:
        """What events call it."""
        return type(self).__name__

    @property
    def model(self) -> str | None:
        """The model it asks, where there is one."""
        return None

    @property
    def frame_limits(self) -> FrameLimits:
        """How large the frames may be that it gets; without limits unless its model has them."""
        return FrameLimits()

    @property
    def own_tools(self) -> ToolRegistry | Sequence[Tool] | None:
        """Tools that it brings besides the computer's own."""
        return None

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """What ``run.started`` keeps of its settings, so that a run can be taken up with the same; never a secret."""
        return {}

    @property
    def stuck(self) -> Stuck:
        """When its runs count as stuck; never, unless it heeds what the inbox tells it."""
        return Stuck.off()

    @abc.abstractmethod
    async def drive(self, run: RunContext[DepsT]) -> OutputT | None:
        """Pursue the run's goal; returning ends the run as completed, an exception as failed."""

    @asynccontextmanager
    async def start(
        self,
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        log: EventLog | None = None,
        blobs: BlobStore | None = None,
        on_approval: OnApproval | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        history: Continued = None,
        seeing: Seeing | None = None,
        stuck: Stuck | None = None,
    ) -> AsyncIterator[Run[OutputT]]:
        """Start a run; leaving the block before it has ended stops it.

        Args:
            computer: What it may use: one computer, several, or several by the names that the run is to call them;
                borrowed.
            goal: What it is to reach.
            tools: Tools besides the computer's own and the harness's.
            deps: What the tools and the driver get as ``deps``.
            log: Where events go; memory where not given.
            blobs: Where frames and raw model items go; memory where not given.
            on_approval: Is asked where a call needs a person's approval; `Run.approve` and `Run.deny` answer too.
            user: Stands in every event.
            workspace: Stands in every event.
            metadata: Stands in ``run.started``.
            policy: Which calls run, are asked about, are refused; all run where not given.
            budget: What it may use at most: caps of its own, allowances that it shares, or both.
            secrets: What it may use by ``{{secret:name}}`` without seeing it.
            history: A recorded run to go on from, with the goal as the next thing that its user says: the run, or its
                id in ``log``.
            seeing: How it looks at screens, and when it refuses to act on an old frame.
            stuck: When it counts as stuck; as the harness says where not given.

        Raises:
            ConflictError: If a computer is in use by another run.
        """
        from deskhand.harness.engine import Engine

        async with Engine(log=log, blobs=blobs, on_approval=on_approval, seeing=seeing, stuck=stuck) as engine:
            yield await engine.start(
                self,
                computer,
                goal,
                tools=tools,
                deps=deps,
                user=user,
                workspace=workspace,
                metadata=metadata,
                policy=policy,
                budget=budget,
                secrets=secrets,
                history=history,
            )

    async def run(
        self,
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        log: EventLog | None = None,
        blobs: BlobStore | None = None,
        on_approval: OnApproval | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        history: Continued = None,
        seeing: Seeing | None = None,
        stuck: Stuck | None = None,
    ) -> RunResult[OutputT]:
        """Start a run, wait for its end and tell how it ended; takes what `start` takes.

        Without ``on_approval`` nobody can be asked, and what needs a person's approval is denied.

        Raises:
            ConfigError: If the policy asks a person, and there is no ``on_approval``.
        """
        if on_approval is None and isinstance(policy, Policy) and policy.asks:
            raise ConfigError(
                "the policy asks a person, and nobody can be asked",
                hint="give on_approval=, or use start() and answer by Run.approve",
            )
        async with self.start(
            computer,
            goal,
            tools=tools,
            deps=deps,
            log=log,
            blobs=blobs,
            on_approval=on_approval or nobody,
            user=user,
            workspace=workspace,
            metadata=metadata,
            policy=policy,
            budget=budget,
            secrets=secrets,
            history=history,
            seeing=seeing,
            stuck=stuck,
        ) as run:
            return await run.result()
