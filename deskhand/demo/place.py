"""Where the demonstration takes place: a real desktop where one can be had, else a make-believe one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from deskhand.errors import ConfigError, UnsupportedError
from deskhand.providers import Capability, ComputerSpec, open_computer

if TYPE_CHECKING:
    from deskhand.demo.pretend import PretendDesktop
    from deskhand.providers import ExternalComputer

__all__ = ["demo_computer"]

NEEDED: Final = frozenset({Capability.SCREENSHOT, Capability.POINTER, Capability.KEYBOARD, Capability.EXEC})
PROGRAMS: Final = ("tint2", "l3afpad")
"""The panel with the launchers, and the editor."""


@asynccontextmanager
async def demo_computer(screen: tuple[int, int] | None, say: Callable[[str], None]) -> AsyncIterator[ExternalComputer]:
    """Open the computer for the demonstration; destroyed on leaving.

    Args:
        screen: Its screen in pixels; the usual one where not given.
        say: Told why it is a make-believe one, where it is.
    """
    async with AsyncExitStack() as stack:
        computer: ExternalComputer | None = None
        missing: str | None
        try:
            computer = await stack.enter_async_context(
                open_computer("local", label="demo", spec=ComputerSpec(screen=screen))
            )
            missing = await _missing(computer)
        except (ConfigError, UnsupportedError) as error:
            missing = error.message
        if computer is not None and missing is None:
            yield computer
            return
        await stack.aclose()
        say(f"no real desktop can be had here: {missing} (deskhand doctor says what to do)")
        say("so this runs on a make-believe one, drawn in memory; the loop, the wire and the script are the same")
        yield await stack.enter_async_context(_pretend(screen))


async def _missing(computer: ExternalComputer) -> str | None:
    """Return what a local computer lacks for the demonstration."""
    lacking = sorted(NEEDED - computer.capabilities)
    if lacking:
        return f"the local computer has no {', '.join(lacking)}"
    for program in PROGRAMS:
        if not (await computer.exec(f"command -v {program}")).ok:
            return f"{program} is not installed"
    return None


def _pretend(screen: tuple[int, int] | None) -> PretendDesktop:
    from deskhand.demo.pretend import PretendDesktop

    return PretendDesktop() if screen is None else PretendDesktop(screen)
