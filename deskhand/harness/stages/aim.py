"""Where on the screen an action goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from deskhand.errors import InvalidInputError
from deskhand.harness.stages.action import Action
from deskhand.providers.contract import Capability, Screen
from deskhand.tools.calls import Frame, Observation, ToolCall
from deskhand.tools.registry import ScreenPoint

__all__ = ["scale"]


async def scale(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Bring coordinates from the pixels of the frame that the call was planned on to those of the screen."""
    tool, arguments = action.with_tool, action.arguments
    if not (tool.coordinates or tool.paths) or arguments is None:
        return call
    frame, screen = _reference(call, action)
    if screen is None:
        return call
    shown = Screen(frame.width, frame.height) if frame else screen
    edge = tool.capability is Capability.REGION  # a region's far edge may be the frame's own
    scaled: dict[str, object] = {}
    for name, axis in tool.coordinates.items():
        value = getattr(arguments, name)
        if value is not None:
            scaled[name] = _on_screen(name, value, axis, shown, screen, edge=edge)
    for name in tool.paths:
        scaled[name] = [
            ScreenPoint.model_construct(
                x=_on_screen(f"{name}.{index}.x", point.x, "x", shown, screen),
                y=_on_screen(f"{name}.{index}.y", point.y, "y", shown, screen),
            )
            for index, point in enumerate(getattr(arguments, name))
        ]
    action.arguments = arguments.model_copy(update=scaled)
    return replace(call, frame_id=frame.id if frame else None)


def _on_screen(
    name: str, value: int, axis: Literal["x", "y"], shown: Screen, screen: Screen, *, edge: bool = False
) -> int:
    """Bring one coordinate from the frame to the screen.

    Raises:
        InvalidInputError: If it is off the frame.
    """
    limit, real = (shown.width, screen.width) if axis == "x" else (shown.height, screen.height)
    if not 0 <= value < limit + edge:
        raise InvalidInputError(
            f"{name}={value} is off the frame, which is {shown.width}x{shown.height} pixels",
            hint="take a screenshot and give coordinates inside it",
        )
    return _scale(value, limit, real)


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
