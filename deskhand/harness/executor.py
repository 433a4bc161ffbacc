"""The one path by which anything in a run reaches a computer.

An action passes the stages in `STAGES`, in order. A stage takes the call and the action's state, and returns the call
to go on (perhaps changed) or an observation that ends it. Whatever way it ends, one ``action.finished`` says so.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast

import anyio
from pydantic import BaseModel, JsonValue

from deskhand.errors import DeskhandError, Effect, InvalidInputError, JournalError, RunStoppedError, ToolError
from deskhand.harness.approvals import ApprovalRequest, Decision
from deskhand.harness.events import (
    ActionFinished,
    ActionOutput,
    ActionStarted,
    ApprovalRequested,
    ApprovalResolved,
    ErrorData,
    FrameCaptured,
    FrameCapturedData,
    FrameDropped,
)
from deskhand.harness.frames import prepare_frame
from deskhand.harness.state import ComputerState, RunState
from deskhand.providers.actions import MouseButton
from deskhand.providers.contract import Capability, Screen
from deskhand.tools.calls import ActionOutcome, ErrorInfo, Frame, Observation, ToolCall
from deskhand.tools.registry import Tool, ToolContext, ToolOutput

__all__ = ["RELEASE_STAGES", "STAGES", "Executor", "Stage"]

HALTED: Final = "Not executed: an earlier computer action in this turn failed."
_EVENT_TEXT: Final = 16_384
"""Characters of an observation's text kept in its event; the observation holds all of it."""

_CAPTURES: Final = frozenset({Capability.SCREENSHOT, Capability.REGION})
_HOLDS: Final[Mapping[str, MouseButton]] = {"left_mouse_down": "left"}
_RELEASES: Final[Mapping[str, MouseButton]] = {"left_mouse_up": "left", "left_click": "left", "left_click_drag": "left"}


@dataclass(eq=False)
class Action:
    """One call on its way through the stages."""

    run: RunState
    actor: str
    stack: AsyncExitStack
    began: float = field(default_factory=time.monotonic)
    target: ComputerState | None = None
    tool: Tool | None = None
    arguments: BaseModel | None = None
    intended: bool = False
    settle: float | None = None
    approved: bool | None = None
    stepped: bool = False

    @property
    def on(self) -> ComputerState:
        """The computer it is for, known after `validate`."""
        assert self.target is not None  # noqa: S101 (the stages' order)
        return self.target

    @property
    def with_tool(self) -> Tool:
        """The tool it is for, known after `validate`."""
        assert self.tool is not None  # noqa: S101 (the stages' order)
        return self.tool


Stage = Callable[[ToolCall, Action], Awaitable[ToolCall | Observation]]
"""One step of an action: the call goes on, or an observation ends it."""


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


async def scale(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Bring coordinates from the pixels of the frame that the call was planned on to those of the screen."""
    tool, arguments = action.with_tool, action.arguments
    if not tool.coordinates or arguments is None:
        return call
    frame, screen = _reference(call, action)
    if screen is None:
        return call
    shown = Screen(frame.width, frame.height) if frame else screen
    scaled: dict[str, int] = {}
    for name, axis in tool.coordinates.items():
        value = getattr(arguments, name)
        if value is None:
            continue
        limit, real = (shown.width, screen.width) if axis == "x" else (shown.height, screen.height)
        edge = tool.capability is Capability.REGION  # a region's far edge may be the frame's own
        if not 0 <= value < limit + edge:
            raise InvalidInputError(
                f"{name}={value} is off the frame, which is {shown.width}x{shown.height} pixels",
                hint="take a screenshot and give coordinates inside it",
            )
        scaled[name] = _scale(value, limit, real)
    action.arguments = arguments.model_copy(update=scaled)
    return replace(call, frame_id=frame.id if frame else None)


def _scale(value: int, shown: int, real: int) -> int:
    """Map a pixel of the frame to the middle of what it shows of the screen; edges map to edges."""
    if shown == real:
        return value
    if value >= shown:
        return real
    return min(real - 1, int((value + 0.5) * real / shown))


def _reference(call: ToolCall, action: Action) -> tuple[Frame | None, Screen | None]:
    """Find the frame that the call was planned on; without one, coordinates are the screen's own."""
    if call.frame_id is not None:
        frame = action.run.known_frames.get(call.frame_id)
        if frame is None:
            raise InvalidInputError(f"this run has no frame {call.frame_id!r}", hint="take a screenshot first")
        return frame, frame.screen
    frame = action.on.frame
    return frame, frame.screen if frame else action.on.computer.info.screen


async def settle(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Before a capture, wait until what was done shows."""
    if action.with_tool.capability in _CAPTURES and action.on.unsettled:
        action.settle = await action.on.computer.settle()
        action.on.unsettled = False
    return call


async def intent(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Make the intent durable before anything is sent, unless the action changes nothing."""
    tool, run = action.with_tool, action.run
    run.actions += 1
    arguments = call.arguments if isinstance(call.arguments, Mapping) else {}
    run.emit(
        ActionStarted,
        {
            "call_id": call.id,
            "provider_call_id": call.provider_call_id,
            "name": call.name,
            "arguments": dict(arguments),
            "effect": tool.effect,
            "risk": tool.risk,
            "actor": action.actor,
            "frame_id": call.frame_id,
        },
        call_id=call.id,
        computer_id=call.computer_id,
    )
    action.intended = True
    if tool.effect == "pure":
        run.feed.check()
    else:
        await run.feed.barrier()
    return call


async def act(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Let the tool do it."""
    tool, run, target = action.with_tool, action.run, action.on
    if tool.effect != "pure":
        target.unsettled = True
    if call.name in _HOLDS:
        target.held.add(_HOLDS[call.name])

    def output(stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        data: dict[str, JsonValue] = {"call_id": call.id, "stream": stream, "chunk": chunk.decode(errors="replace")}
        run.emit(ActionOutput, data, call_id=call.id, computer_id=target.id)

    context: ToolContext[object] = ToolContext(
        computer=target.computer, deps=run.deps, run_id=run.run_id, call_id=call.id, output=output
    )
    assert action.arguments is not None  # noqa: S101 (the stages' order)
    result = await target.tools.perform(tool, action.arguments, context)
    if call.name in _RELEASES:
        target.held.discard(_RELEASES[call.name])
    return await _observe(call, action, result)


async def _observe(call: ToolCall, action: Action, result: ToolOutput) -> Observation:
    """Turn a tool's output into an observation, with its image as a frame."""
    effect: Effect = "no" if action.with_tool.effect == "pure" else "yes"
    if result.error is not None:
        effect = result.error.effect
    observation = Observation(
        call=call,
        outcome="ok" if result.error is None else "error",
        effect=effect,
        text=result.text,
        data=result.data,
        error=result.error,
    )
    if result.image is None:
        return observation
    frame, image = await _frame(call, action, result.image)
    return replace(observation, frame=frame, image=image)


async def _frame(call: ToolCall, action: Action, image: bytes) -> tuple[Frame, bytes]:
    """Check, size and keep an image; a whole screen becomes what later coordinates refer to."""
    run, target = action.run, action.on
    zoomed = action.with_tool.capability is Capability.REGION
    reference = target.frame
    fill = Screen(reference.width, reference.height) if zoomed and reference else None
    prepared = await prepare_frame(image, run.frame_limits, run.limiter, fill=fill)
    run.frames += 1
    dropped: str | None = None
    try:
        digest = await run.blobs.put(prepared.data)
    except JournalError as error:
        digest, dropped = "", str(error)
    frame = Frame(
        id=f"f{run.frames}",
        sha256=digest,
        mime=prepared.mime,
        width=prepared.size.width,
        height=prepared.size.height,
        screen=prepared.original,
        call_id=call.id,
        size=len(prepared.data),
        computer_id=target.id,
    )
    if dropped is None:
        data = FrameCapturedData.of(frame).model_dump(mode="json", exclude_none=True)
        run.emit(FrameCaptured, data, call_id=call.id, computer_id=target.id)
    else:
        run.emit(FrameDropped, {"frame_id": frame.id, "reason": dropped}, call_id=call.id, computer_id=target.id)
    run.last_frame = frame
    run.images[frame.id] = frame.sha256
    if not zoomed:
        target.frame = frame
        run.known_frames[frame.id] = frame
    return frame, prepared.data


STAGES: tuple[Stage, ...] = (validate, approve, gate, lock, recheck, scale, settle, intent, act)
"""What every action passes, in order."""

RELEASE_STAGES: tuple[Stage, ...] = tuple(stage for stage in STAGES if stage not in (approve, gate, recheck))
"""What the release of held buttons passes when a run has ended: it must not wait for a person or heed a stop."""


class Executor:
    """Takes calls through the stages, alone or as a batch."""

    def __init__(self, run: RunState, stages: Sequence[Stage] = STAGES) -> None:
        self._run = run
        self._stages = stages

    async def execute(self, call: ToolCall, *, actor: str = "harness") -> Observation:
        """Take one call through the stages.

        Returns:
            What came of it; everything that a model could handle is an observation.

        Raises:
            RunStoppedError: If the run was stopped.
            JournalError: If its intent cannot be made durable.
            ConflictError: If the run has ended.
        """
        await self._run.check_alive()
        call = replace(call, id=call.id or self._run.next_call_id())
        async with AsyncExitStack() as stack:
            action = Action(run=self._run, actor=actor, stack=stack)
            observation: Observation | None = None
            try:
                observation = await self._pass(call, action)
            except (RunStoppedError, JournalError) as error:
                observation = _failed(call, action, error, "cancelled")
                raise
            except DeskhandError as error:
                observation = _failed(call, action, error)
            except BaseExceptionGroup as group:
                if (urgent := _urgent(group)) is not None:
                    observation = _cancelled(call, action)
                    raise urgent from None
                observation = _failed(call, action, _unwrap(group))
            except (Exception, SystemExit) as error:  # a user's tool may raise anything; the run outlives it
                observation = _failed(call, action, _foreign(error))
            except BaseException:  # cancellation, and what wants the program to end
                observation = _cancelled(call, action)
                raise
            finally:
                if observation is not None:
                    observation = self._finish(observation, action)
        assert observation is not None  # noqa: S101 (every way out sets it or raises)
        return observation

    async def _pass(self, call: ToolCall, action: Action) -> Observation:
        for stage in self._stages:
            result = await stage(call, action)
            if isinstance(result, Observation):
                return result
            call = result
        raise AssertionError("the last stage returns an observation")

    def _finish(self, observation: Observation, action: Action) -> Observation:
        """Say how the action ended; synchronous, so that no cancellation comes between."""
        call = observation.call
        took = max(0.0, time.monotonic() - action.began)
        observation = replace(observation, duration=took, approved=action.approved)
        error = observation.error
        text = observation.text
        self._run.emit(
            ActionFinished,
            {
                "call_id": call.id,
                "name": call.name,
                "outcome": observation.outcome,
                "effect": observation.effect,
                "text": text if len(text) <= _EVENT_TEXT else text[:_EVENT_TEXT] + "…",
                "error": ErrorData.of(error).model_dump(mode="json") if error else None,
                "duration": observation.duration,
                "settle": action.settle,
                "frame_id": observation.frame.id if observation.frame else None,
            },
            call_id=call.id,
            computer_id=call.computer_id,
        )
        return observation

    async def execute_batch(self, calls: Sequence[ToolCall], *, actor: str = "harness") -> list[Observation]:
        """Take calls through in order; in parallel across computers.

        After a failed screen or input action, later ones of the batch on that computer are skipped: they were planned
        on a screen that is not there. Other tools neither halt nor are halted.

        What ends the run keeps further actions from starting; those in flight on other computers go on to their end.

        Raises:
            RunStoppedError: If the run was stopped.
            JournalError: If an intent cannot be made durable.
            ConflictError: If the run has ended.
        """
        await self._run.check_alive()
        numbered = [replace(call, id=call.id or self._run.next_call_id()) for call in calls]
        found: dict[int, Observation] = {}
        by_computer: dict[str | None, list[int]] = {}
        for index, call in enumerate(numbered):
            by_computer.setdefault(self._computer_of(call), []).append(index)

        async def one_computer(indices: Sequence[int]) -> None:
            halted = False
            for index in indices:
                call = numbered[index]
                on_screen = self._on_screen(call)
                if halted and on_screen:
                    found[index] = self._skip(call, actor)
                    continue
                found[index] = await self.execute(call, actor=actor)
                halted = halted or (on_screen and not found[index].ok)

        ended: list[DeskhandError] = []

        async def beside_others(indices: Sequence[int]) -> None:
            try:
                await one_computer(indices)
            except DeskhandError as error:  # raised into the task group, it would cancel what is in flight elsewhere
                ended.append(error)

        if len(by_computer) == 1:
            await one_computer(next(iter(by_computer.values())))
        else:
            async with anyio.create_task_group() as tasks:
                for indices in by_computer.values():
                    tasks.start_soon(beside_others, indices)
        if ended:
            raise ended[0]
        return [found[index] for index in range(len(numbered))]

    def _computer_of(self, call: ToolCall) -> str | None:
        return call.computer_id if call.computer_id is not None else next(iter(self._run.computers))

    def _on_screen(self, call: ToolCall) -> bool:
        target = self._run.computers.get(self._computer_of(call) or "")
        if target is None or call.name not in target.tools:
            return call.format == "anthropic_toolset"
        return target.tools.get(call.name).on_screen

    def _skip(self, call: ToolCall, actor: str) -> Observation:
        info = ErrorInfo("skipped", HALTED, effect="no")
        action = Action(run=self._run, actor=actor, stack=AsyncExitStack())
        return self._finish(Observation(call, "skipped", "no", text=HALTED, error=info), action)


def _failed(call: ToolCall, action: Action, error: DeskhandError, outcome: ActionOutcome | None = None) -> Observation:
    """Say what went wrong, and whether the effect took place."""
    effect: Effect = error.effect
    if not action.intended or (action.tool is not None and action.tool.effect == "pure"):
        effect = "no"
    if outcome is None:
        outcome = "unknown" if effect == "unknown" and not isinstance(error, ToolError) else "error"
    info = replace(ErrorInfo.of(error), effect=effect)
    return Observation(call, outcome, effect, text=_advice(error), error=info)


def _advice(error: DeskhandError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _foreign(error: BaseException) -> DeskhandError:
    """Wrap what a tool raised that is no error of ours."""
    wrapped = ToolError(f"{type(error).__name__}: {error}", effect="unknown")
    wrapped.__cause__ = error
    return wrapped


def _cancelled(call: ToolCall, action: Action) -> Observation:
    """Say that the action was broken off; once sent, nobody can tell whether it took effect."""
    sent = action.intended and (action.tool is None or action.tool.effect != "pure")
    effect: Effect = "unknown" if sent else "no"
    return Observation(
        call, "cancelled", effect, error=ErrorInfo("cancelled", "the action was cancelled", effect=effect)
    )


def _urgent(group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException] | None:
    """Return what in a group wants the task or the program to end."""
    return group.subgroup((KeyboardInterrupt, GeneratorExit, anyio.get_cancelled_exc_class()))


def _unwrap(group: BaseExceptionGroup[BaseException]) -> DeskhandError:
    """Take one error out of a group."""
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf if isinstance(leaf, DeskhandError) else _foreign(leaf)
