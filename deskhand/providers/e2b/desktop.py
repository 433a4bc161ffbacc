"""The screen of a sandbox: it comes up without one, and its template has the programs that give it one."""

from __future__ import annotations

import secrets
import string
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from deskhand.errors import DeadlineExceededError, ProviderError, UnsupportedError
from deskhand.providers.contract import Screen
from deskhand.providers.e2b.api import NAME
from deskhand.providers.e2b.processes import Processes

__all__ = ["DISPLAY", "VIEWER_PORT", "bring_up", "has_viewer", "start_viewer"]

DISPLAY: Final = ":0"
DEFAULT_SCREEN: Final = Screen(1280, 800)
VIEWER_PORT: Final = 6080

_VNC_PORT: Final = 5900
_NOT_FOUND: Final = 127
_SESSION: Final = "pgrep -x xfce4-session >/dev/null && pgrep -x xfwm4 >/dev/null && pgrep -x xfdesktop >/dev/null"
_SERVER_UP: Final = 15.0
_SESSION_UP: Final = 60.0
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4)
_LETTERS: Final = string.ascii_letters + string.digits
_PASSWORD: Final = 8
"""Letters of a password of VNC, which looks at no more."""


async def bring_up(processes: Processes, screen: Screen | None) -> None:
    """Start an X server and the template's session, as far as it has them and they do not run already.

    Raises:
        DeadlineExceededError: If one of them does not come up.
        ProviderError: If one of them ends at once.
    """
    is_up = f"xdpyinfo -display {DISPLAY}"
    if (await processes.run(is_up)).ok:
        return
    width, height = screen or DEFAULT_SCREEN
    server = f"Xvfb {DISPLAY} -ac -screen 0 {width}x{height}x24 -retro -dpi 96 -nolisten tcp -nolisten unix"
    if await _start(processes, server, is_up, _SERVER_UP):
        await _start(processes, "startxfce4", _SESSION, _SESSION_UP)


async def has_viewer(processes: Processes) -> bool:
    """Tell whether a person can be shown the screen."""
    return (await processes.run("command -v x11vnc")).ok


async def start_viewer(processes: Processes) -> str:
    """Start what shows the screen in a browser, anew; return the password that it asks for.

    Raises:
        UnsupportedError: If the template has not what it takes.
        ProviderError: If it does not start.
    """
    password = "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD))
    await processes.run("pkill x11vnc; pkill -f novnc_proxy")
    await processes.run("mkdir -p ~/.vnc")
    stored = await processes.run(f"x11vnc -storepasswd {password} ~/.vnc/passwd")
    if stored.exit_code == _NOT_FOUND:
        raise UnsupportedError("the template has no x11vnc", hint="use the template desktop", provider=NAME)
    command = f"x11vnc -bg -display {DISPLAY} -forever -wait 50 -shared -rfbport {_VNC_PORT} -usepw"
    server = await processes.run(f"{command} 2>/tmp/x11vnc_stderr.log")
    if not (stored.ok and server.ok):
        raise ProviderError(f"x11vnc does not start: {server.output.strip()[:300]}", provider=NAME, effect="no")
    proxy = (
        f"cd /opt/noVNC/utils && ./novnc_proxy --vnc localhost:{_VNC_PORT} --listen {VIEWER_PORT} --web /opt/noVNC"
        " > /tmp/novnc.log 2>&1"
    )
    if not await _start(processes, proxy, f'netstat -tuln | grep ":{VIEWER_PORT} "', _SERVER_UP):
        raise UnsupportedError("the template has no noVNC", hint="use the template desktop", provider=NAME)
    return password


async def _succeeds(processes: Processes, command: str) -> bool:
    """Tell whether a command succeeds, which ends by itself: nobody has to end it who waits no more."""
    config = {"cmd": "/bin/bash", "args": ["-l", "-c", command]}
    async with processes.started("run a command", config, lasts=_SERVER_UP, keep=True) as process:
        async for _ in process.pieces():
            pass
    return process.exit_code == 0


async def _start(processes: Processes, command: str, is_up: str, seconds: float) -> bool:
    """Start a program that goes on, and wait until it is up; tell whether there is such a program.

    Raises:
        DeadlineExceededError: If it does not come up.
        ProviderError: If it ends at once.
    """
    config = {"cmd": "/bin/bash", "args": ["-l", "-c", command]}
    name = command.split(maxsplit=1)[0] if not command.startswith("cd ") else "noVNC"
    async with processes.started("run a command", config, keep=True) as process:

        async def ended() -> None:
            async for _ in process.pieces():
                pass

        async def up() -> None:
            attempt = 0
            while not await _succeeds(processes, is_up):
                await anyio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1

        with anyio.move_on_after(seconds) as limit:
            await _first(ended, up)
        if limit.cancelled_caught:
            raise DeadlineExceededError(f"{name} was not up after {seconds:g} s", provider=NAME, effect="yes")
        if not process.is_ended:
            return True
        if process.exit_code == _NOT_FOUND:
            return False
        raise ProviderError(
            f"{name} ended at once: {process.said or f'exit code {process.exit_code}'}", provider=NAME, effect="no"
        )


async def _first(*what: Callable[[], Awaitable[None]]) -> None:
    """Do several things until one of them is done; its error is raised bare."""
    failed: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def do(one: Callable[[], Awaitable[None]]) -> None:
            try:
                await one()
            except Exception as error:  # it goes on below: the task group would wrap it
                failed.append(error)
            tasks.cancel_scope.cancel()

        for one in what:
            tasks.start_soon(do, one)
    if failed:
        raise failed[0]
