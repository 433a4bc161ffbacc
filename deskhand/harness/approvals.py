"""Calls that wait for a person: who asks, who answers, and what is written of it."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import anyio
from pydantic import JsonValue

from deskhand.errors import ConflictError, NotFoundError
from deskhand.harness.events import ApprovalRequested, ApprovalResolved
from deskhand.harness.inbox import check_length
from deskhand.harness.lag import Lag
from deskhand.tools.calls import Risk, SafetyCheck, ToolCall

__all__ = ["ANSWER", "ApprovalRequest", "Approvals", "Decision", "OnApproval", "digest_of", "nobody"]

ANSWER: Final = 900.0
"""Seconds that a call waits for an answer; then it is denied."""

_REMEMBERED: Final = 1024
"""Answers that are remembered, so that a late one is told so."""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that runs only if a person says so.

    Attributes:
        id: The request's id.
        run_id: The run.
        call: The call, its arguments checked.
        digest: What an approval is for: a hash of the run, the computer, the frame, the tool and exactly these
            arguments.
        risk: How much harm the tool may do.
        checks: What the model's vendor wants a person to know before.
        reason: Why it is asked, in a line.
        crop: The blob with what the frame shows around the call's coordinates; ``None`` where it has none.
        expires: When it counts as denied.
        fits: Checks other arguments; see `check`.
    """

    id: str
    run_id: str
    call: ToolCall
    digest: str
    risk: Risk
    checks: Sequence[SafetyCheck]
    reason: str
    crop: str | None
    expires: datetime
    fits: Callable[[Mapping[str, JsonValue]], object] = field(default=dict, repr=False, compare=False)

    def check(self, arguments: Mapping[str, JsonValue]) -> None:
        """Check arguments that are to be run with in the place of the call's own.

        Raises:
            InvalidInputError: If the tool does not take them.
        """
        self.fits(arguments)

    @property
    def arguments(self) -> Mapping[str, JsonValue]:
        """The call's arguments, in full."""
        given = self.call.arguments
        return given if isinstance(given, Mapping) else {}  # (a call that is asked about has been checked: a mapping)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request.

    Attributes:
        verdict: approved, denied, or expired where nobody answered.
        actor: Who answered.
        reason: Why.
        arguments: What the call is run with in the place of its own arguments.
        always: Whether the same tool on the same computer is not asked about again in this run; a check of the
            model's vendor always is.
    """

    verdict: Literal["approved", "denied", "expired"]
    actor: str
    reason: str | None = None
    arguments: Mapping[str, JsonValue] | None = None
    always: bool = False

    @property
    def approved(self) -> bool:
        """Whether the call may run."""
        return self.verdict == "approved"


def digest_of(run_id: str, call: ToolCall) -> str:
    """Return the hash that binds an approval to a call: its run, computer, frame, tool and exact arguments."""
    arguments = call.arguments if isinstance(call.arguments, str) else dict(call.arguments)
    parts: list[JsonValue] = [run_id, call.computer_id, call.frame_id, call.name, arguments]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


OnApproval: TypeAlias = Callable[[ApprovalRequest], Awaitable[bool | Decision]]
"""Answers a request: a plain yes or no, or a decision with its actor and reason."""


def _still_holds(asked: ApprovalRequested) -> bool:
    """Whether an approval of before a crash counts: not past its time, nor before it (the clock was set back)."""
    return asked.time <= datetime.now(UTC) < asked.data.expires


def _number(approval_id: str) -> int:
    number = approval_id.rpartition("/")[2]
    return int(number) if number.isdecimal() else 0


async def nobody(request: ApprovalRequest) -> Decision:
    """Deny: where nobody can be asked, nothing that needs asking runs."""
    return Decision("denied", "deskhand", "nobody is there to approve it: give the run an on_approval")


@dataclass(eq=False)
class _Pending:
    request: ApprovalRequest
    deadline: float  # by the monotonic clock: people may set the other one meanwhile
    answered: anyio.Event = field(default_factory=anyio.Event)
    decision: Decision | None = None

    def answer(self, decision: Decision) -> bool:
        """Take an answer; the first counts. Tell whether this was it."""
        if self.decision is not None:
            return False
        self.decision = decision
        self.answered.set()
        return True


class Approvals:
    """The requests of one run that wait for an answer.

    Args:
        run_id: The run.
        on_approval: Is asked; others may answer before it.
        lag: Measures what it takes.
    """

    def __init__(self, run_id: str, on_approval: OnApproval | None = None, lag: Lag | None = None) -> None:
        self._run_id = run_id
        self._lag = lag or Lag()
        self._on_approval = on_approval
        self._pending: dict[str, _Pending] = {}
        self._resolved: dict[str, Decision] = {}
        self._always: set[tuple[str, str | None]] = set()
        self._count = 0
        self._asked_before: dict[str, str] = {}
        self._kept: dict[str, tuple[str, str, Decision | None]] = {}

    def restore(self, requested: Sequence[ApprovalRequested], resolved: Mapping[str, ApprovalResolved]) -> None:
        """Take over what the log knows of the requests of a run that is recovered.

        Args:
            requested: The requests, each call's newest.
            resolved: The answers, by call.
        """
        self._count = max((_number(event.data.approval_id) for event in requested), default=0)
        for event in requested:
            answer = resolved.get(event.data.call_id)
            if answer is not None and answer.data.decision == "approved" and answer.data.always:
                self._always.add((event.data.name, event.computer_id))
            if answer is None or answer.data.approval_id != event.data.approval_id:  # (it was asked about again since)
                self._asked_before[event.data.call_id] = event.data.approval_id
                continue
            data = answer.data
            decision = Decision(data.decision, data.actor, data.reason, data.arguments, data.always)
            self._resolved[event.data.call_id] = decision
            if not decision.approved or _still_holds(event):
                self._kept[event.data.call_id] = (event.data.digest, data.digest, decision)

    def answered_before(self, call: ToolCall) -> Decision | None:
        """Return the answer that exactly this call got before a crash, where it still holds; once."""
        asked, answered, decision = self._kept.pop(str(call.id), ("", "", None))
        if decision is None or asked != digest_of(self._run_id, call):
            return None
        edited = call if decision.arguments is None else replace(call, arguments=decision.arguments)
        return decision if answered == digest_of(self._run_id, edited) else None

    def request(
        self,
        call: ToolCall,
        risk: Risk,
        reason: str,
        crop: str | None = None,
        fits: Callable[[Mapping[str, JsonValue]], object] = dict,
    ) -> ApprovalRequest:
        """Note that a call waits for an answer; `wait` for it next."""
        known = self._asked_before.pop(str(call.id), None)
        self._count += known is None
        request = ApprovalRequest(
            id=known or f"{self._run_id}/approval/{self._count}",
            run_id=self._run_id,
            call=replace(call, arguments=copy.deepcopy(call.arguments)),  # (whoever is asked cannot change what runs)
            digest=digest_of(self._run_id, call),
            risk=risk,
            checks=call.checks,
            reason=reason,
            crop=crop,
            expires=datetime.now(UTC) + timedelta(seconds=ANSWER),
            fits=fits,
        )
        self._pending[str(call.id)] = _Pending(request, time.monotonic() + ANSWER)
        return request

    @property
    def has_somebody(self) -> bool:
        """Whether there is somebody to ask: a callback that may answer."""
        return self._on_approval not in {None, nobody}

    def allows_always(self, call: ToolCall) -> bool:
        """Whether a person has said that this tool on this computer need not be asked about again."""
        return (call.name, call.computer_id) in self._always

    async def wait(self, request: ApprovalRequest) -> Decision:
        """Wait for the answer; a callback that fails has denied."""
        key = str(request.call.id)
        pending = self._pending[key]
        decision: Decision | None = None
        try:
            with anyio.move_on_after(max(0.0, pending.deadline - time.monotonic())):
                await self._answered(pending)
            decision = pending.decision or Decision("expired", "deskhand", "nobody answered in time")
            if decision.approved and decision.always:
                self._always.add((request.call.name, request.call.computer_id))
            return decision
        finally:
            del self._pending[key]
            self._resolved[key] = decision or Decision("expired", "deskhand", "the run went on without it")
            while len(self._resolved) > _REMEMBERED:
                del self._resolved[next(iter(self._resolved))]

    async def _answered(self, pending: _Pending) -> None:
        """Wait for the first answer: the callback's, or that of whoever holds the run."""
        ask = self._on_approval
        if ask is None:
            await pending.answered.wait()
            return
        async with anyio.create_task_group() as tasks:

            async def consult() -> None:
                try:
                    answer = await ask(pending.request)
                    if isinstance(answer, Decision) and answer.arguments is not None:
                        pending.request.check(answer.arguments)
                except Exception as error:  # (a user's callback may raise anything; nothing runs on its account)
                    answer = Decision("denied", "on_approval", f"it failed: {type(error).__name__}: {error}")
                if not isinstance(answer, Decision):
                    answer = Decision("approved" if answer is True else "denied", "on_approval")
                pending.answer(answer)

            async def measured() -> None:
                await self._lag.of("on_approval", consult())

            tasks.start_soon(measured)
            await pending.answered.wait()
            tasks.cancel_scope.cancel()

    def resolve(self, call_id: str, decision: Decision) -> None:
        """Answer a request.

        Raises:
            ConflictError: If it was answered before.
            InvalidInputError: If the tool does not take the arguments that are given, or the reason is too long; the
                request still waits.
            NotFoundError: If no such call waits.
        """
        check_length(decision.reason, "reason")
        pending = self._pending.get(call_id)
        if pending is not None and pending.decision is None and decision.arguments is not None:
            pending.request.check(decision.arguments)
        if pending is not None and pending.answer(decision):
            return
        earlier = pending.decision if pending is not None else self._resolved.get(call_id)
        if earlier is not None:
            raise ConflictError(
                f"{call_id} was answered before: {earlier.verdict} by {earlier.actor}", hint="the first answer counts"
            )
        raise NotFoundError(
            f"no call {call_id!r} waits for an approval", hint="take the call_id of an approval.requested event"
        )
