"""What the display's tests share: a display, and a window that tells what it received."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from deskhand.providers.contract import Screen
from deskhand.providers.local.display import Display, open_display

SCREEN = Screen(1000, 700)

Event = dict[str, Any]


def client_environment(display: Display) -> dict[str, str]:
    """Return the environment in which a client reaches the display."""
    return {**os.environ, "DISPLAY": display.name, "XAUTHORITY": str(display.xauthority)}


@asynccontextmanager
async def a_display(screen: Screen = SCREEN) -> AsyncIterator[Display]:
    """Open a display in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="display-") as directory:
        async with open_display(screen, Path(directory)) as display:
            yield display


class Logger:
    """The window of ``x_logger.py``."""

    def __init__(self, stream: BufferedByteReceiveStream) -> None:
        self._stream = stream

    async def event(self) -> Event:
        """Return the next event."""
        line = await self._stream.receive_until(b"\n", 65_536)
        event: Event = json.loads(line)
        return event

    async def events(self, count: int, *kinds: str) -> list[Event]:
        """Return the next events of these kinds."""
        found: list[Event] = []
        with anyio.fail_after(10):
            while len(found) < count:
                event = await self.event()
                if event["kind"] in kinds:
                    found.append(event)
        return found

    async def until_key(self, keysym: int) -> list[Event]:
        """Return all events up to the release of a key."""
        found: list[Event] = []
        with anyio.fail_after(20):
            while not found or (found[-1]["kind"], found[-1].get("keysym")) != ("key_up", keysym):
                found.append(await self.event())
        return found


@asynccontextmanager
async def a_logger(display: Display, *arguments: str) -> AsyncIterator[Logger]:
    """Start the window that tells what it received."""
    program = [sys.executable, str(Path(__file__).with_name("x_logger.py")), *arguments]
    process = await anyio.open_process(program, env=client_environment(display), stderr=None)
    try:
        assert process.stdout is not None
        logger = Logger(BufferedByteReceiveStream(process.stdout))
        with anyio.fail_after(10):
            assert (await logger.event())["kind"] == "ready"
        yield logger
    finally:
        with anyio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            await process.aclose()
