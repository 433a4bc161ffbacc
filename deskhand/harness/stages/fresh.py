"""Whether the screen is still what a call was planned on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from deskhand.errors import NotFoundError
from deskhand.harness.seeing import difference, region_around
from deskhand.harness.stages.action import Action, Stage
from deskhand.harness.stages.admission import lock, recheck
from deskhand.harness.stages.consent import ask_again
from deskhand.harness.stages.effect import keep_frame
from deskhand.providers.contract import Capability, Region, Screen
from deskhand.tools.calls import ErrorInfo, Frame, Observation, ToolCall

__all__ = ["current", "fresh"]

_STALE: Final = (
    "Not executed: the screen at the target has changed since the screenshot that it was planned on. "
    "This is the screen now."
)
_CHANGED: Final = "the screen at its target has changed since it was approved"
_CAPTURES: Final = frozenset({Capability.SCREENSHOT, Capability.REGION})


async def current(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Refuse what was planned on a screen that a person has used since, and show what it is now."""
    target, tool = action.on, action.with_tool
    if target.overtaken is None or not tool.on_screen:
        return call
    actor, target.overtaken = target.overtaken, None
    if tool.capability is Capability.SCREENSHOT:
        return call
    image = await _kept(action, target.frame)  # (taken when the computer was handed back)
    look = "This is the screen now." if image is not None else "Look again."
    text = f"Not executed: {actor} had the computer meanwhile, and the screen may be another one. {look}"
    return _refused(call, "overtaken", text, target.frame, image)


async def fresh(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Answer a call with a fresh frame where the screen under its target is no longer what the model saw.

    Only what comes from elsewhere counts: where the run itself has acted since the frame, it knows better than the
    frame. Without the computer's word that something was drawn there, the screen is compared only after a wait. An
    approved call is asked about again instead, once, with the new evidence.
    """
    frame, region = _planned(call, action)
    if frame is None or region is None or not await _suspicious(action, region):
        return call
    before = await _kept(action, frame)
    if before is None:
        return call
    captured = time.monotonic()
    now = await action.on.computer.screenshot(format="auto")
    if await difference(before, now, region, action.run.limiter) <= action.run.seeing.tolerance:
        return call
    action.run.spend({"frames": 1})
    new, image = await keep_frame(call, action, now, captured)
    same_size = (new.width, new.height) == (frame.width, frame.height)
    if action.approved and same_size and not action.asked_again:
        return await _again(replace(call, frame_id=new.id), action)
    return _refused(call, "stale", _STALE, new, image)


def _planned(call: ToolCall, action: Action) -> tuple[Frame | None, Region | None]:
    """Return the frame that a call was planned on and where it goes, if that is the newest and nothing was done since.

    A call without coordinates goes wherever the focus is, and a look harms nothing.
    """
    seeing, tool, target = action.run.seeing, action.with_tool, action.on
    frame = target.frame
    if not seeing.refuse_stale or tool.capability in _CAPTURES or target.acted or frame is None:
        return None, None
    if call.frame_id not in {None, frame.id}:
        return None, None
    point = _first_point(call, action)
    if point is None:
        return None, None
    return frame, region_around(point, seeing.reach, Screen(frame.width, frame.height), frame.screen)


def _first_point(call: ToolCall, action: Action) -> tuple[int, int] | None:
    """Return where a call begins on the screen, in pixels of its frame."""
    tool, given = action.with_tool, call.arguments
    if not isinstance(given, Mapping):
        return None
    for name in sorted(tool.paths):
        points = given.get(name)
        if isinstance(points, list) and points and isinstance(points[0], Mapping):
            return _point(points[0].get("x"), points[0].get("y"))
    axes: dict[str, object] = {}
    for name in sorted(tool.coordinates, key=lambda name: not name.startswith("start_")):  # (a drag has two points)
        axes.setdefault(tool.coordinates[name], given.get(name))
    return _point(axes.get("x"), axes.get("y"))


def _point(x: object, y: object) -> tuple[int, int] | None:
    return (round(x), round(y)) if isinstance(x, int | float) and isinstance(y, int | float) else None


async def _suspicious(action: Action, region: Region) -> bool:
    """Whether the screen may have changed there; the computer says so, or there was time for it."""
    target, seeing = action.on, action.run.seeing
    told = await target.computer.changed(region, within=time.monotonic() - target.looked)
    if told is not None:
        return told
    return action.waited > 0 and action.waited >= seeing.patience


async def _kept(action: Action, frame: Frame | None) -> bytes | None:
    """Return a frame's image, where it is still kept."""
    if frame is None or not frame.sha256:
        return None
    try:
        return await action.run.blobs.get(frame.sha256)
    except NotFoundError:
        return None


async def _again(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Have the call approved anew, on the frame that is the newest now; meanwhile others may have the computer."""
    action.asked_again = True
    await action.stack.aclose()
    answer = await ask_again(call, action, _CHANGED)
    stages: tuple[Stage, ...] = (lock, recheck, current, fresh)
    for stage in stages:
        if isinstance(answer, Observation):
            return answer
        answer = await stage(answer, action)
    return answer


def _refused(call: ToolCall, code: str, text: str, frame: Frame | None, image: bytes | None) -> Observation:
    shown = frame if image is not None else None
    return Observation(
        call, "skipped", "no", text=text, frame=shown, image=image, error=ErrorInfo(code, text, effect="no")
    )
