"""What a run is asked to be, and the state in which it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import reduce

import anyio
from pydantic import JsonValue

from deskhand.errors import InvalidInputError
from deskhand.harness.approvals import Approvals, OnApproval
from deskhand.harness.blobs import BlobStore
from deskhand.harness.budget import BudgetLike, Purse, as_budgets
from deskhand.harness.events import RunStarted
from deskhand.harness.frames import FrameLimits
from deskhand.harness.history import History
from deskhand.harness.lag import Lag
from deskhand.harness.log import EventLog
from deskhand.harness.policy import OwnPolicy, strictest
from deskhand.harness.run import Continued, Run
from deskhand.harness.secrets import Secrets
from deskhand.harness.seeing import Seeing
from deskhand.harness.state import ComputerState, RunState
from deskhand.harness.stream import Feed
from deskhand.harness.stuck import Stuck, Watch
from deskhand.ids import new_id
from deskhand.providers.contract import ComputerSpec, ExternalComputer
from deskhand.providers.lookup import open_computer
from deskhand.redaction import Redactor
from deskhand.tools.computer import computer_tools
from deskhand.tools.registry import Tool, ToolRegistry

__all__ = ["Order", "Shared", "announce", "prepare"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a run was asked to be."""

    computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec
    goal: str
    harness_name: str
    model: str | None = None
    frame_limits: FrameLimits = field(default_factory=FrameLimits)
    own_tools: ToolRegistry | Sequence[Tool] | None = None
    tools: ToolRegistry | Sequence[Tool] | None = None
    deps: object = None
    user: str | None = None
    workspace: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    provider: str | Sequence[str] = "local"
    policy: OwnPolicy | None = None
    budget: BudgetLike = None
    secrets: Secrets | None = None
    history: Continued = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    run_id: str | None = None
    driven_again: bool = False
    stuck: Stuck = field(default_factory=Stuck.off)


@dataclass(frozen=True, slots=True)
class Shared:
    """What an engine gives to all its runs."""

    log: EventLog
    blobs: BlobStore
    limiter: anyio.CapacityLimiter
    on_approval: OnApproval | None
    policy: OwnPolicy | None
    budget: BudgetLike
    secrets: Secrets | None
    seeing: Seeing
    stuck: Stuck | None


async def prepare(order: Order, shared: Shared, stack: AsyncExitStack) -> RunState:
    """Lease the computers of a run until the stack ends, and open its feed.

    Raises:
        ConflictError: If another run has one of the computers.
        InvalidInputError: If there is none, or one is given twice.
        NotFoundError: If the log does not hold the run that is to be continued.
    """
    run_id = order.run_id or new_id("run")
    given = order.computer
    if isinstance(given, ComputerSpec):
        given = await stack.enter_async_context(open_computer(order.provider, spec=given))
    states: dict[str, ComputerState] = {}
    for key, computer in _named(given).items():
        await stack.enter_async_context(computer.lease(run_id))
        tools = computer_tools(computer)
        for more in (order.own_tools, order.tools):
            if more is not None:
                tools = tools.merged(more if isinstance(more, ToolRegistry) else ToolRegistry(more))
        watch = Watch(order.stuck if shared.stuck is None else shared.stuck)
        states[key] = ComputerState(key, computer, tools, anyio.Lock(), watch=watch)
    history = await _history(order.history, shared)
    given_secrets = [one for one in (shared.secrets, order.secrets) if one is not None]
    secrets = reduce(Secrets.merged, given_secrets) if given_secrets else None
    lag = Lag()
    return RunState(
        run_id=run_id,
        goal=order.goal,
        feed=await Feed.open(shared.log, run_id),
        blobs=shared.blobs,
        computers=states,
        limiter=shared.limiter,
        frame_limits=order.frame_limits,
        approvals=Approvals(run_id, shared.on_approval, lag),
        lag=lag,
        policy=strictest(shared.policy, order.policy),
        purse=Purse([*as_budgets(shared.budget), *as_budgets(order.budget)]),
        secrets=secrets,
        seeing=shared.seeing,
        redactor=Redactor.from_environment(exact=secrets.values() if secrets else ()),
        deps=order.deps,
        history=history,
        user=order.user,
        workspace=order.workspace,
    )


async def _history(given: Continued, shared: Shared) -> History | None:
    """Read the run that is to be continued."""
    if given is None:
        return None
    if isinstance(given, Run):
        return await given.record()
    return await History.read(shared.log, shared.blobs, given)


def announce(order: Order, state: RunState) -> None:
    """Write what a run sets out with."""
    first = next(iter(state.computers.values()))
    state.emit(
        RunStarted,
        {
            "goal": order.goal,
            "harness": order.harness_name,
            "model": order.model,
            "computers": list[JsonValue](state.computers),
            "tools": list[JsonValue](first.tools.names),
            "metadata": dict(order.metadata),
            "budget": dict[str, JsonValue](state.purse.caps),
            "continues": state.history.run_id if state.history is not None else None,
            "settings": dict(order.settings) or None,
        },
    )
    for computer in state.computers.values():
        state.tell_status(computer)


def _named(
    given: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
) -> dict[str, ExternalComputer]:
    """Return the computers of a run by what it calls them: the names that they were given, or else their ids.

    Raises:
        InvalidInputError: If there is none, or one is given twice.
    """
    if isinstance(given, Mapping):
        named = dict(given)
        if not all(named):
            raise InvalidInputError("a computer's name is empty", hint="give it one, or give the computers as a list")
    else:
        computers = [given] if isinstance(given, ExternalComputer) else list(given)
        named = {computer.info.id: computer for computer in computers}
        if len(named) < len(computers):
            ids = ", ".join(computer.info.id for computer in computers)
            raise InvalidInputError(
                f"two of the computers have the same id: {ids}",
                hint="name each once, or give them names: {name: computer}",
            )
    if not named:
        raise InvalidInputError("a run needs at least one computer")
    return named
