"""The ground truth of an X desktop: an X client of its own process that writes down the input it receives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import TypeAdapter

from deskhand.errors import ConfigError, ProviderError
from deskhand.testing.received import GroundTruth, Received

__all__ = ["x_ground_truth"]

_PROGRAM: Final = "deskhand.testing._x_witness"
_LINE: Final = 65_536
_DEADLINE: Final = 45.0
_RECEIVED: Final = TypeAdapter(Received)


class _Witness:
    """The program at work."""

    def __init__(self, process: Process, commands: ByteSendStream, output: ByteReceiveStream) -> None:
        self._process = process
        self._commands = commands
        self._output = BufferedByteReceiveStream(output)
        self._received: list[Received] = []

    async def clear(self) -> None:
        """Forget what was received so far."""
        await self.events()
        self._received.clear()

    async def events(self) -> Sequence[Received]:
        """Return everything received since the last `clear`."""
        try:
            with anyio.fail_after(_DEADLINE):
                await self._commands.send(b"sync\n")
                await self.read_until("synced")
        except (TimeoutError, anyio.BrokenResourceError, anyio.IncompleteRead, anyio.EndOfStream) as error:
            why = await _last_words(self._process)
            raise ProviderError(
                f"the X client that writes down the input has ended: {why}",
                hint="see that nothing lies over its window, and that nothing grabs pointer or keyboard",
                effect="no",
            ) from error
        return list(self._received)

    async def read_until(self, kind: str) -> None:
        """Read on to a line of that kind."""
        while True:
            line = await self._output.receive_until(b"\n", _LINE)
            fields = cast("dict[str, object]", json.loads(line))
            if fields["kind"] == kind:
                return
            self._received.append(_RECEIVED.validate_python(fields))


@asynccontextmanager
async def x_ground_truth(display: str, xauthority: str | Path | None = None) -> AsyncIterator[GroundTruth]:
    """Cover an X screen with a window that writes down every key, button and motion, while the block lasts.

    It is an ordinary full-screen window, so that a window manager that swallows input is noticed; without a window
    manager it lies above all others and takes the keyboard itself. It needs the ``local`` extra (xcffib).

    Args:
        display: The X display (``:1``).
        xauthority: The cookie file; the environment's ``XAUTHORITY`` where not given.

    Raises:
        ConfigError: If the display cannot be reached, or the window does not get the screen and the keyboard.
    """
    env = {**os.environ, "DISPLAY": display}
    if xauthority is not None:
        env["XAUTHORITY"] = str(xauthority)
    process = await anyio.open_process([sys.executable, "-m", _PROGRAM], env=env, stderr=subprocess.PIPE)
    try:
        if process.stdin is None or process.stdout is None:
            raise ConfigError("the X client has no pipes")
        witness = _Witness(process, process.stdin, process.stdout)
        try:
            with anyio.fail_after(_DEADLINE):
                await witness.read_until("ready")
        except (TimeoutError, anyio.IncompleteRead, anyio.EndOfStream) as error:
            why = await _last_words(process)
            raise ConfigError(
                f"no ground truth on the X display {display}: {why}", hint="pip install 'deskhand[local]'"
            ) from error
        yield witness
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.aclose()


async def _last_words(process: Process) -> str:
    """Return the last line that the program wrote to stderr."""
    if process.returncode is None:
        process.terminate()
    said = b""
    with anyio.move_on_after(2.0):
        async for chunk in process.stderr or ():  # type: ignore[union-attr]
            said = (said + chunk)[-_LINE:]
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it did not answer"
