"""Input of several parts, and what a vendor has no route for, composed with ``xdotool`` by its route for commands."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Iterator
from typing import Final

import anyio

from deskhand.errors import DeskhandError
from deskhand.providers.actions import InputAction
from deskhand.providers.shell_commands import ShellCommands
from deskhand.providers.xdotool import calls, failure, let_go, place, seconds

__all__ = ["Composition", "display_of", "done_in_part", "in_parts"]

_QUESTION: Final = r"""exec 2>/dev/null </dev/null
if command -v xdotool >/dev/null; then
  for d in "$DISPLAY" :0 :1 :99; do
    [ -n "$d" ] && DISPLAY=$d timeout 2 xdotool getmouselocation >/dev/null && { printf 'xdotool=%s\n' "$d"; break; }
  done
fi
echo ready"""


class Composition:
    """Performs input with xdotool on one computer.

    Args:
        provider: Whose it is, as errors say it.
        commands: Runs commands on it.
        display: The X display that xdotool can use there; ``None`` where it cannot.
    """

    def __init__(self, provider: str, commands: ShellCommands, display: str | None) -> None:
        self._provider = provider
        self._commands = commands
        self.display = display

    async def perform(self, action: InputAction) -> None:
        """Perform an action; what it holds is let go of when it fails or is cancelled."""

        async def release() -> None:
            await self._xdotool(let_go(action))

        for number, call in enumerate(calls(action)):
            try:
                # Timed where the keys are, so that they are let go of although nobody here can be heard any more.
                await self._xdotool(call, timeout=seconds(action))
            except (DeskhandError, anyio.get_cancelled_exc_class()) as error:
                if let_go(action) and not (isinstance(error, DeskhandError) and error.effect == "no"):
                    await self._commands.in_background(release)
                if number:
                    done_in_part(error)
                raise

    async def position(self) -> tuple[int, int]:
        """Return where the pointer is."""
        return place(await self._xdotool("getmouselocation --shell"), self._provider)

    async def _xdotool(self, words: str, *, timeout: float = 0.0) -> str:
        """Run xdotool.

        Raises:
            ProviderError: If it fails.
        """
        result = await self._commands.run(
            f"exec xdotool {words}", timeout=math.ceil(timeout) + 30.0, env={"DISPLAY": self.display or ""}
        )
        if not result.ok:
            raise failure(result, self._provider)
        return result.output


async def display_of(commands: ShellCommands) -> str | None:
    """Return the X display that xdotool can use on a computer; ``None`` where it cannot.

    Raises:
        DeskhandError: If the computer is not up.
    """
    output, _ = await commands.plain("look around", _QUESTION)
    found = [line.removeprefix("xdotool=") for line in output.splitlines() if line.startswith("xdotool=")]
    return found[0] if found else None


async def in_parts(parts: Iterator[Awaitable[None]]) -> None:
    """Do something that takes several requests, made one by one: when one fails, those before it have happened."""
    for index, part in enumerate(parts):
        try:
            await part
        except DeskhandError as error:
            if index:
                done_in_part(error)
            raise


def done_in_part(error: BaseException) -> None:
    """Say of the error of a later part that those before it have happened."""
    if not isinstance(error, DeskhandError):
        return
    if error.effect == "no":
        error.effect = "yes"
    error.retryable = False
    error.hint = "a part of it was done: look at the screen before it is done again"
