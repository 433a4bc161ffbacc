"""The effect: its intent on stable storage, the tool's work, and what came back."""

from __future__ import annotations

import time
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from deskhand.errors import Effect, JournalError
from deskhand.harness.events import ActionOutput, ActionStarted, FrameCaptured, FrameCapturedData, FrameDropped
from deskhand.harness.frames import prepare_frame
from deskhand.harness.stages.action import EVENT_TEXT, Action
from deskhand.harness.stages.focus import focus_after
from deskhand.providers.actions import MouseButton
from deskhand.providers.contract import Capability, Screen
from deskhand.providers.rest import picture_at_rest
from deskhand.redaction import Flow
from deskhand.tools.calls import Frame, Observation, ToolCall
from deskhand.tools.registry import ToolContext, ToolOutput

__all__ = ["HOLDS", "RELEASES", "act", "afford", "intent", "keep_frame", "settle", "unseal"]

_Stream: TypeAlias = Literal["stdout", "stderr"]
_STREAMS: Final[tuple[_Stream, ...]] = ("stdout", "stderr")
HOLDS: Final[Mapping[str, MouseButton]] = {"left_mouse_down": "left"}
RELEASES: Final[Mapping[str, MouseButton]] = {"left_mouse_up": "left", "left_click": "left", "left_click_drag": "left"}


async def settle(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Before a capture, wait until what was done shows.

    A computer that must be looked at for that is somebody's service: it is only asked more than once where something
    was done on the screen a moment ago, and the last picture is the one that was wanted.
    """
    target, seeing = action.on, action.run.seeing
    if not action.with_tool.captures or not target.unsettled or seeing.settle <= 0:
        return call
    if target.computer.settles_itself:
        action.settle = await target.computer.settle(quiet=seeing.quiet, limit=seeing.settle)
    elif target.touched is not None and time.monotonic() - target.touched < seeing.settle:
        rest = await picture_at_rest(target.computer, quiet=seeing.quiet, limit=seeing.settle)
        action.settle, action.picture = rest.waited, rest.image
    target.unsettled = False
    return call


async def afford(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Count the action in the run's budgets.

    Raises:
        BudgetExceededError: If one does not allow it.
    """
    action.run.spend({"actions": 1, "frames": 1} if action.with_tool.captures else {"actions": 1})
    return call


async def unseal(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Put secrets in the place of their names, for the tool alone: the call, and all that is written of it, has names.

    Raises:
        InvalidInputError: If there is no such secret.
        PermissionDeniedError: If one must not go to this computer.
    """
    secrets = action.run.secrets
    if secrets is not None and action.arguments is not None and secrets.may_stand_in(call.arguments):
        action.arguments = secrets.resolve(action.arguments, action.on.computer.info)
    return call


async def intent(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Make the intent durable before anything is sent, unless the action changes nothing."""
    tool, run = action.with_tool, action.run
    run.tally.actions += 1
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
        await run.room()
    else:
        await run.barrier()
    return call


async def act(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Let the tool do it."""
    tool, run, target = action.with_tool, action.run, action.on
    began = time.monotonic()
    if tool.effect != "pure":
        target.unsettled = True
    if tool.effect != "pure" or tool.duration is not None:  # (who waits expects the screen to become another one)
        target.acted = True
    if call.name in HOLDS:
        target.held.add(HOLDS[call.name])

    shown = _Output(call, action)
    context: ToolContext[object] = ToolContext(
        computer=target.computer,
        deps=run.deps,
        run_id=run.run_id,
        call_id=call.id,
        output=shown.take,
        picture=action.picture,
    )
    assert action.arguments is not None  # noqa: S101 (the stages' order)
    try:
        work = target.tools.perform(tool, action.arguments, context)
        result = await run.lag.of(f"the tool {tool.name}", work)
    finally:
        if tool.on_screen and tool.effect != "pure":
            target.touched = time.monotonic()
        target.focus = focus_after(target.focus, tool, action.arguments)
    shown.end()
    if call.name in RELEASES:
        target.held.discard(RELEASES[call.name])
    return await _observe(call, action, result, began)


class _Output:
    """A tool's output as it comes, told without secrets and without half characters."""

    def __init__(self, call: ToolCall, action: Action) -> None:
        self._call = call
        self._action = action
        self._flows: dict[_Stream, tuple[IncrementalDecoder, Flow]] = {}

    def take(self, stream: _Stream, chunk: bytes) -> None:
        """Tell a piece."""
        if stream not in self._flows:
            self._flows[stream] = getincrementaldecoder("utf-8")("replace"), Flow(self._action.run.redactor)
        decoder, flow = self._flows[stream]
        self._tell(stream, flow.feed(decoder.decode(chunk)))

    def end(self) -> None:
        """Tell what was held back."""
        for stream in _STREAMS:
            if stream in self._flows:
                decoder, flow = self._flows[stream]
                self._tell(stream, flow.feed(decoder.decode(b"", final=True)) + flow.flush())

    def _tell(self, stream: _Stream, text: str) -> None:
        if text:
            data: dict[str, JsonValue] = {"call_id": self._call.id, "stream": stream, "chunk": text}
            self._action.run.emit(ActionOutput, data, call_id=self._call.id, computer_id=self._action.on.id)


async def _observe(call: ToolCall, action: Action, result: ToolOutput, began: float) -> Observation:
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
    if len(result.text) > EVENT_TEXT:
        with suppress(JournalError):  # then its beginning, in the event, is all that is kept
            action.text_blob = await action.run.blobs.put(
                action.run.redactor.text(result.text).encode(errors="replace")
            )
    if result.image is None:
        return observation
    zoomed = action.with_tool.capability is Capability.REGION
    frame, image = await keep_frame(call, action, result.image, began, zoomed=zoomed)
    return replace(observation, frame=frame, image=image)


async def keep_frame(
    call: ToolCall, action: Action, image: bytes, captured: float, *, zoomed: bool = False
) -> tuple[Frame, bytes]:
    """Check, size and keep an image; a whole screen becomes what later coordinates refer to.

    Args:
        call: What it was taken for.
        action: The action that this is a part of.
        image: The image as it was captured.
        captured: When it was, by the monotonic clock.
        zoomed: Whether it shows a part of the screen.
    """
    run, target = action.run, action.on
    reference = target.frame
    fill = Screen(reference.width, reference.height) if zoomed and reference else None
    prepared = await prepare_frame(image, run.frame_limits, run.limiter, fill=fill)
    run.tally.frames += 1
    dropped: str | None = None
    try:
        digest = await run.blobs.put(prepared.data)
    except JournalError as error:
        digest, dropped = "", str(error)
    frame = Frame(
        id=f"f{run.tally.frames}",
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
    run.tally.last_frame = frame
    run.images[frame.id] = frame.sha256
    if not zoomed:
        target.frame, target.looked, target.acted = frame, captured, False
        run.known_frames[frame.id] = frame
    return frame, prepared.data
