"""Each route of a vendor removed in turn: exactly what leans on it goes, before or at its first use; the rest works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from deskhand.errors import ComputerGoneError, UnsupportedError
from deskhand.providers import Capability, Region
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import DAYTONA_ROUTES, E2B_ROUTES
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import Daytona, daytona
from tests.providers.e2b.parts import Hosted, e2b

Use = Callable[[Any], Awaitable[object]]


async def follow(computer: Any) -> None:
    """Follow a command to its end."""
    async with computer.exec_stream("echo hi") as stream:
        async for _ in stream:
            pass


async def terminal(computer: Any) -> None:
    """Type into a terminal."""
    async with computer.terminal() as shell:
        await shell.send(b"exit\r")


async def files(computer: Any) -> None:
    """Write, read, look at, list and delete a file."""
    await computer.write_file("folder/file", b"x" * 100_000)
    assert len(await computer.read_bytes("folder/file")) == 100_000
    await computer.stat("folder/file")
    await computer.list_dir("folder")
    await computer.delete("folder/file")


async def pause(computer: Any) -> None:
    """Stop and start it."""
    await computer.stop()
    await computer.start()


USES: Mapping[Capability, Use] = {
    Capability.EXEC: lambda computer: computer.exec("echo hi"),
    Capability.EXEC_STREAM: follow,
    Capability.FILES: files,
    Capability.TERMINAL: terminal,
    Capability.PORTS: lambda computer: computer.preview_url(80),
    Capability.SCREENSHOT: lambda computer: computer.screenshot(),
    Capability.REGION: lambda computer: computer.screenshot(region=Region(0, 0, 8, 8)),
    Capability.CURSOR: lambda computer: computer.cursor_position(),
    Capability.POINTER: lambda computer: computer.left_click(1, 1),
    Capability.MOVE: lambda computer: computer.move(1, 1),
    Capability.DRAG: lambda computer: computer.drag((1, 1), (2, 2)),
    Capability.SCROLL: lambda computer: computer.scroll(1, 1, dy=1),
    Capability.FULL_INPUT: lambda computer: computer.hold_key("a", 0.01),
    Capability.KEYBOARD: lambda computer: computer.type("a"),
    Capability.LIVE_VIEW: lambda computer: computer.live_view_url(),
    Capability.EXTEND: lambda computer: computer.extend(3600),
    Capability.CLONE: lambda computer: computer.clone("twin"),
    Capability.SNAPSHOT: lambda computer: computer.snapshot("mine"),
    Capability.PAUSE: pause,
}
"""How each capability is used, the one that turns the computer off last."""

DESKTOP = frozenset(
    {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR, Capability.LIVE_VIEW, Capability.POINTER}
    | {Capability.MOVE, Capability.DRAG, Capability.SCROLL, Capability.KEYBOARD, Capability.FULL_INPUT}
)
LOST: Mapping[str, Mapping[str, frozenset[Capability]]] = {
    "e2b": {
        "set_timeout": frozenset({Capability.EXTEND}),
        "pause": frozenset({Capability.PAUSE}),
        "connect": frozenset({Capability.PAUSE}),
        "fork": frozenset({Capability.CLONE}),
        "snapshot": frozenset({Capability.SNAPSHOT}),
        "send_input": frozenset({Capability.TERMINAL}),
        **dict.fromkeys(
            ("stat", "list_dir", "move", "remove", "read_file", "write_file"), frozenset({Capability.FILES})
        ),
    },
    "daytona": {
        "ttl": frozenset({Capability.EXTEND}),
        "stop": frozenset({Capability.PAUSE}),
        "start": frozenset({Capability.PAUSE}),
        "fork": frozenset({Capability.CLONE}),
        "snapshot": frozenset({Capability.SNAPSHOT}),
        "create_session": frozenset({Capability.EXEC_STREAM}),
        "session_exec": frozenset({Capability.EXEC_STREAM}),
        "follow_logs": frozenset({Capability.EXEC_STREAM}),
        "create_pty": frozenset({Capability.TERMINAL}),
        "upload": frozenset({Capability.FILES}),
        "download": frozenset({Capability.FILES}),
        "preview": frozenset(),
        "signed_preview": frozenset({Capability.PORTS, Capability.LIVE_VIEW}),
        "start_desktop": DESKTOP,
        "screenshot": frozenset({Capability.SCREENSHOT, Capability.REGION}),
        "region": frozenset({Capability.REGION}),
        "position": frozenset({Capability.CURSOR}),
        "click": frozenset({Capability.POINTER}),
        "move": frozenset({Capability.MOVE}),
        "drag": frozenset({Capability.DRAG}),
        "scroll": frozenset({Capability.SCROLL}),
        "type": frozenset({Capability.KEYBOARD}),
        "key": frozenset(),
        **dict.fromkeys(("mouse_down", "mouse_up", "key_down", "key_up"), frozenset({Capability.FULL_INPUT})),
    },
}
"""What each route's removal takes along; of a route that is not named, nothing."""

NEEDED: Mapping[str, frozenset[str]] = {
    "e2b": frozenset({"create", "delete", "start", "health", "get", "list"}),
    "daytona": frozenset({"create", "delete", "get", "execute", "desktop_status", "display", "session_command"}),
}
"""Without these there is no computer, or no end of one; what a daemon without the last does is told elsewhere."""

DESK = {
    *("start_desktop", "screenshot", "region", "position", "click", "move", "drag", "scroll", "type", "key"),
    *("mouse_down", "mouse_up", "key_down", "key_up", "hotkey", "stop_desktop", "signed_preview"),
}
"""Daytona's routes that a desktop is used by."""


def opened(vendor: str, route: str, **options: Any) -> AbstractAsyncContextManager[Hosted | Daytona]:
    """Open a vendor with what is behind that a route needs: a real shell, or a recording desktop."""
    if vendor == "e2b":
        return e2b(shell_only, **options)
    return daytona(FakeComputer if route in DESK else shell_only, **options)


ROUTES = [
    *(("e2b", route) for route in E2B_ROUTES if route not in NEEDED["e2b"]),
    *(("daytona", route) for route in DAYTONA_ROUTES if route not in NEEDED["daytona"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("vendor", "route"), ROUTES)
async def test_route_that_is_removed_takes_along_what_leans_on_it(vendor: str, route: str) -> None:
    """Everything is used; what is then lacking is that alone, it is refused without a request, and the rest works."""
    async with opened(vendor, route) as hosted:
        whole = (await hosted.create()).capabilities
    async with opened(vendor, route, without=(route,)) as hosted:
        computer = await hosted.create()
        refused: dict[Capability, UnsupportedError] = {}
        is_fake = vendor == "daytona" and route in DESK
        used = {*USES} - ({Capability.FILES, Capability.TERMINAL} if is_fake else set())
        for capability in [one for one in USES if one in used & computer.capabilities]:
            try:
                await USES[capability](computer)
            except UnsupportedError as error:
                refused[capability] = error
        lost = LOST[vendor].get(route, frozenset())
        assert {*refused} <= lost, refused
        assert {error.effect for error in refused.values()} <= {"no"}
        assert whole - computer.capabilities == lost
        asked = len(hosted.simulator.requests)
        for capability in whole - computer.capabilities:
            with pytest.raises(UnsupportedError):
                await USES[capability](computer)
        assert len(hosted.simulator.requests) == asked


@pytest.mark.parametrize("vendor", ["e2b", "daytona"])
async def test_what_is_done_inside_of_a_terminal_says_nothing_of_it(vendor: str) -> None:
    """An error of another computer, or about something else, leaves what this one can do as it is."""
    open_vendor = e2b if vendor == "e2b" else daytona
    async with open_vendor(shell_only) as hosted:
        computer, other = await hosted.create(), await hosted.create("other")
        before = computer.capabilities
        openings: list[Callable[[], AbstractAsyncContextManager[object]]] = [
            computer.terminal,
            lambda: computer.exec_stream("sleep 30"),
        ]
        for opening in openings:
            with pytest.raises(UnsupportedError):
                async with opening():
                    computer.require(Capability.RESIZE)
            assert computer.capabilities == before
        await hosted.simulator.vanish(other.info.id)
        for opening in openings:
            with pytest.raises(ComputerGoneError):
                async with opening():
                    await other.exec("true")
        assert (await computer.exec("echo still here")).output == "still here\n"
