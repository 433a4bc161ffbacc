"""Whether an action may start, and when: its arguments, a person's yes, the run's switch, the computer's lock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import anyio
from pydantic import JsonValue

from deskhand.harness.approvals import ApprovalRequest, Decision
from deskhand.harness.events import ApprovalRequested, ApprovalResolved
from deskhand.harness.stages.action import Action
from deskhand.harness.state import RunState
from deskhand.tools.calls import ErrorInfo, Observation, ToolCall

__all__ = ["approve", "gate", "lock", "recheck", "validate"]


async def validate(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Find the computer and the tool, and check the arguments against the tool's schema."""
    action.target = action.run.computer(call.computer_id)
    action.tool = action.target.tools.get(call.name)
    action.arguments = action.target.tools.validate(call.name, call.arguments)
    plain = cast("dict[str, JsonValue]", action.arguments.model_dump(mode="json", exclude_none=True))
    return replace(call, arguments=plain, computer_id=action.target.id)


async def approve(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Wait for a person's answer where the call needs one; the wait counts in no deadline."""
    if not call.checks:
        return call
    run, waited_from = action.run, time.monotonic()
    request = run.approvals.request(call)
    ids: dict[str, JsonValue] = {"approval_id": request.id, "call_id": str(call.id)}
    checks: list[JsonValue] = [
        {"id": check.id, "code": check.code, "message": check.message} for check in request.checks
    ]
    asked: dict[str, JsonValue] = {
        "name": call.name,
        "arguments": dict(call.arguments) if isinstance(call.arguments, Mapping) else {},
        "reason": request.reason,
        "checks": checks,
        "frame_id": call.frame_id,
        "expires": request.expires.isoformat(),
    }
    run.emit(ApprovalRequested, ids | asked, call_id=call.id, computer_id=call.computer_id)
    decision = Decision("expired", "deskhand", "the run went on without it")
    try:
        decision = await _until_stopped(run, request)
    finally:
        answer: dict[str, JsonValue] = {
            "decision": decision.verdict,
            "actor": decision.actor,
            "reason": decision.reason,
        }
        run.emit(ApprovalResolved, ids | answer, call_id=call.id, computer_id=call.computer_id)
    action.began += time.monotonic() - waited_from
    action.approved = decision.approved
    if decision.approved:
        return call
    why = f"{decision.verdict} by {decision.actor}" + (f": {decision.reason}" if decision.reason else "")
    return Observation(call, "denied", "no", text=f"Not executed: {why}", error=ErrorInfo("denied", why, effect="no"))


async def _until_stopped(run: RunState, request: ApprovalRequest) -> Decision:
    """Wait for an answer, or until the run is stopped.

    Raises:
        RunStoppedError: If it is.
    """
    decision: Decision | None = None
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await run.control.stopped()
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        decision = await run.approvals.wait(request)
        tasks.cancel_scope.cancel()
    if decision is None:
        run.control.check()
    return decision or Decision("expired", "deskhand")


async def gate(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Wait while the run is paused; paused time counts in no deadline."""
    waited_from = time.monotonic()
    action.stepped = await action.run.control.passed()
    action.began += time.monotonic() - waited_from
    return call


async def lock(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Have the computer for this action alone, so that effects happen in the order of their intents."""
    await action.stack.enter_async_context(action.on.lock)
    return call


async def recheck(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Having waited for the computer, heed what the run was told meanwhile; a paused action holds no computer."""
    while action.run.control.holds(stepped=action.stepped):
        await action.stack.aclose()
        await gate(call, action)
        await lock(call, action)
    action.run.control.check()
    return call
