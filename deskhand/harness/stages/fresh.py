"""Whether the screen is still what a call was planned on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from deskhand.errors import NotFoundError
from deskhand.harness.seeing import difference, region_around
from deskhand.harness.stages.action import Action, Stage
from deskhand.harness.stages.admission import lock, recheck
from deskhand.harness.stages.consent import ask_again
from deskhand.harness.stages.effect import keep_frame
from deskhand.harness.stages.focus import TYPING
from deskhand.providers.contract import Capability, Region, Screen
from deskhand.tools.calls import ErrorInfo, Frame, Observation, ToolCall

__all__ = ["current", "fresh"]

_STALE: Final = (
    "Not executed: the screen {} has changed since the screenshot that it was planned on. This is the screen now."
)
_TARGET: Final = "at the target"
_FOCUS: Final = "around the last click, where typing goes,"
_CHANGED: Final = "the screen at its target has changed since it was approved"


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
    frame, regions = _planned(call, action)
    suspicious = [region for region in regions if await _suspicious(action, region)]
    before = await _kept(action, frame) if suspicious else None
    if frame is None or before is None:
        return call
    captured = time.monotonic()
    now = await action.on.computer.screenshot(format="auto")
    for region in suspicious:
        if await difference(before, now, region, action.run.limiter) > action.run.seeing.tolerance:
            break
    else:
        return call
    action.run.spend({"frames": 1})
    new, image = await keep_frame(call, action, now, captured)
    same_size = (new.width, new.height) == (frame.width, frame.height)
    if action.approved and same_size and not action.asked_again:
        return await _again(replace(call, frame_id=new.id), action)
    if call.name in TYPING:
        action.on.focus = None  # (it has been shown: what moves there all the time does not keep it from typing)
        return _refused(call, "stale", _STALE.format(_FOCUS), new, image)
    return _refused(call, "stale", _STALE.format(_TARGET), new, image)


def _planned(call: ToolCall, action: Action) -> tuple[Frame | None, Sequence[Region]]:
    """Return the frame that a call was planned on and where it goes, if that is the newest and nothing was done since.

    A look harms nothing.
    """
    seeing, tool, target = action.run.seeing, action.with_tool, action.on
    frame = target.frame
    if not seeing.refuse_stale or tool.captures or target.acted or frame is None:
        return None, ()
    if call.frame_id not in {None, frame.id}:
        return None, ()
    shown = Screen(frame.width, frame.height)
    if call.name not in TYPING:
        points, reach = _points(call, action), seeing.reach
    elif target.focus is not None and seeing.focus:
        points, reach = [_on_frame(target.focus, frame)], seeing.focus
    else:
        return None, ()
    return frame, [region_around(point, reach, shown, frame.screen) for point in points]


def _points(call: ToolCall, action: Action) -> list[tuple[int, int]]:
    """Return where a call begins and ends on the screen, in pixels of its frame: for all but a drag the same."""
    tool, given = action.with_tool, call.arguments
    if not isinstance(given, Mapping):
        return []
    ends: list[tuple[object, object]] = []
    for name in sorted(tool.paths):
        path = given.get(name)
        corners = [corner for corner in path if isinstance(corner, Mapping)] if isinstance(path, list) else []
        ends += [(corner.get("x"), corner.get("y")) for corner in (*corners[:1], *corners[-1:])]
    by_axis: dict[str, list[object]] = {"x": [], "y": []}
    for name, axis in tool.coordinates.items():
        by_axis[axis].append(given.get(name))
    ends += zip(by_axis["x"], by_axis["y"], strict=False)
    return list(dict.fromkeys(point for x, y in ends if (point := _point(x, y)) is not None))


def _on_frame(point: tuple[int, int], frame: Frame) -> tuple[int, int]:
    """Bring a point of the screen to the pixels of a frame of it."""
    return point[0] * frame.width // frame.screen.width, point[1] * frame.height // frame.screen.height


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
