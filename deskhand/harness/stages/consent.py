"""Whether a call may run: the policy's word, and a person's where it takes one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import anyio
from pydantic import JsonValue

from deskhand.errors import JournalError
from deskhand.harness.approvals import ApprovalRequest, Decision, digest_of
from deskhand.harness.events import ApprovalRequested, ApprovalResolved
from deskhand.harness.frames import crop_around
from deskhand.harness.policy import PolicyRequest, judge
from deskhand.harness.stages.action import Action
from deskhand.harness.stages.admission import validate
from deskhand.harness.state import RunState
from deskhand.tools.calls import ErrorInfo, Frame, Observation, ToolCall

__all__ = ["approve", "ask_again", "policy"]


async def policy(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Ask the run's policy; it may allow the call, refuse it, or have a person decide."""
    run = action.run
    if run.policy is None:
        return call
    tool = action.with_tool
    request = PolicyRequest(
        call=call,
        risk=tool.risk,
        effect=tool.effect,
        computer=action.on.computer.info,
        run_id=run.run_id,
        user=run.user,
        workspace=run.workspace,
    )
    judgement = await run.lag.of("the policy", judge(run.policy, request))
    if judgement.verdict == "deny":
        return _denied(call, "policy_denied", f"the policy refuses it: {judgement.reason}")
    action.ask = judgement.reason if judgement.verdict == "ask" else None
    return call


async def approve(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Wait for a person's answer where the call needs one; the wait counts in no deadline and no budget."""
    if action.ask is not None and action.run.approvals.allows_always(call):
        action.ask = None
    reasons = [check.message or check.code or check.id for check in call.checks]
    if action.ask is not None:
        reasons.append(action.ask)
    if action.stuck is not None:
        reasons.append(action.stuck)
    if not reasons:
        return call
    return await _ask(call, action, "; ".join(reasons))


async def ask_again(call: ToolCall, action: Action, reason: str) -> ToolCall | Observation:
    """Ask about a call that was approved, because what it was approved for is no longer so."""
    action.waited = 0.0
    return await _ask(call, action, reason)


async def _ask(call: ToolCall, action: Action, reason: str) -> ToolCall | Observation:
    decision = await _decided(call, action, reason)
    action.approved = decision.approved
    if action.stuck is not None and decision.approved:
        action.on.watch.forgive()
    if not decision.approved:
        why = f"{decision.verdict} by {decision.actor}" + (f": {decision.reason}" if decision.reason else "")
        return _denied(call, "denied", why)
    return call if decision.arguments is None else await _edited(call, action, decision.arguments)


async def _edited(call: ToolCall, action: Action, arguments: Mapping[str, JsonValue]) -> ToolCall | Observation:
    """Take the arguments that a person gave in the place of the model's; what the policy refuses stays refused.

    Raises:
        InvalidInputError: If the tool does not take them.
    """
    edited = await validate(replace(call, arguments=arguments), action)
    return edited if isinstance(edited, Observation) else await policy(edited, action)


def _denied(call: ToolCall, code: str, why: str) -> Observation:
    return Observation(call, "denied", "no", text=f"Not executed: {why}", error=ErrorInfo(code, why, effect="no"))


async def _decided(call: ToolCall, action: Action, reason: str) -> Decision:
    """Ask, wait, and write both down."""
    run, waited_from = action.run, time.monotonic()
    frame = _planned_on(call, action)
    planned = replace(call, frame_id=frame.id) if frame is not None else call
    if (before := run.approvals.answered_before(planned)) is not None:
        return before
    fits = partial(action.on.tools.validate, call.name)
    request = run.approvals.request(planned, action.with_tool.risk, reason, await _crop(call, action, frame), fits)
    ids: dict[str, JsonValue] = {"approval_id": request.id, "call_id": str(call.id)}
    run.emit(ApprovalRequested, ids | _asked(request), call_id=call.id, computer_id=call.computer_id)
    decision = Decision("expired", "deskhand", "the run went on without it")
    try:
        with run.stopwatch.held():
            decision = await _until_stopped(run, request)
    finally:
        run.emit(ApprovalResolved, ids | _answered(request, decision), call_id=call.id, computer_id=call.computer_id)
    waited = time.monotonic() - waited_from
    action.began += waited
    action.waited += waited
    return decision


def _asked(request: ApprovalRequest) -> dict[str, JsonValue]:
    call = request.call
    return {
        "name": call.name,
        "arguments": dict(request.arguments),
        "digest": request.digest,
        "risk": request.risk,
        "reason": request.reason,
        "checks": [{"id": check.id, "code": check.code, "message": check.message} for check in request.checks],
        "frame_id": call.frame_id,
        "crop": request.crop,
        "expires": request.expires.isoformat(),
    }


def _answered(request: ApprovalRequest, decision: Decision) -> dict[str, JsonValue]:
    edited = decision.arguments
    run = request if edited is None else replace(request, call=replace(request.call, arguments=edited))
    return {
        "decision": decision.verdict,
        "actor": decision.actor,
        "reason": decision.reason,
        "arguments": dict(edited) if edited is not None else None,
        "digest": digest_of(run.run_id, run.call),
        "always": decision.always,
    }


def _planned_on(call: ToolCall, action: Action) -> Frame | None:
    """Return the frame that a call on the screen was planned on, where there is one."""
    if not action.with_tool.on_screen:
        return None
    return action.run.known_frames.get(call.frame_id) if call.frame_id is not None else action.on.frame


async def _crop(call: ToolCall, action: Action, frame: Frame | None) -> str | None:
    """Keep what the frame shows where the call points, for whoever decides; the key of the blob."""
    run, coordinates = action.run, action.with_tool.coordinates
    if frame is None or not isinstance(call.arguments, Mapping):
        return None
    points = {axis: call.arguments.get(name) for name, axis in reversed(list(coordinates.items()))}
    x, y = points.get("x"), points.get("y")
    if not isinstance(x, int | float) or not isinstance(y, int | float) or not frame.sha256:
        return None
    try:
        return await crop_around(run.blobs, frame, (round(x), round(y)), run.limiter)
    except JournalError:  # a full disk: it is asked without
        return None


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
