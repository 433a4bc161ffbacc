"""Drivers and pictures for the tests of runs."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable

from PIL import Image

from deskhand import Harness, RunContext
from deskhand.harness import FrameLimits
from deskhand.providers import Screen
from tests.tools.recording import RecordingComputer

Drive = Callable[[RunContext], Awaitable[str | None]]


def png(width: int, height: int, colour: str = "navy") -> bytes:
    """Draw a plain picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def computer_with_screen(width: int = 1280, height: int = 800) -> RecordingComputer:
    """Make a recording computer that shows a plain picture."""
    computer = RecordingComputer(Screen(width, height))
    computer.image = png(width, height)
    return computer


def small_computer() -> RecordingComputer:
    """Make one whose pictures are small, for what asks a model many times."""
    return computer_with_screen(64, 48)


class Driver(Harness[str]):
    """Drives by a function."""

    def __init__(self, drive: Drive, limits: FrameLimits | None = None) -> None:
        self._drive = drive
        self._limits = limits or FrameLimits()

    @property
    def frame_limits(self) -> FrameLimits:
        return self._limits

    async def drive(self, run: RunContext) -> str | None:
        return await self._drive(run)
