"""What a computer says of itself, and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from deskhand.errors import ComputerGoneError, NotFoundError, UnsupportedError
from deskhand.providers import Capability, ComputerStatus, ExternalComputer, Region
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, Target, expect, expect_equal, refuses
from deskhand.tools import computer_tools

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES)


async def _stream(computer: ExternalComputer) -> None:
    async with computer.exec_stream("true") as stream:
        async for _ in stream:
            pass


async def _shell(computer: ExternalComputer) -> None:
    async with computer.shell():
        pass


async def _terminal(computer: ExternalComputer) -> None:
    async with computer.terminal():
        pass


async def _scroll(computer: ExternalComputer) -> None:
    await computer.scroll(1, 1, dy=1)
    await computer.scroll(1, 1, dy=-1)


_USES: Final[Mapping[Capability, Callable[[ExternalComputer], Awaitable[object]]]] = {
    Capability.EXEC: lambda computer: computer.exec("true"),
    Capability.EXEC_STREAM: _stream,
    Capability.SHELL: _shell,
    Capability.TERMINAL: _terminal,
    Capability.FILES: lambda computer: computer.write_file("conformance-use", "used"),
    Capability.SCREENSHOT: lambda computer: computer.screenshot(),
    Capability.REGION: lambda computer: computer.screenshot(region=Region(0, 0, 1, 1)),
    Capability.CURSOR: lambda computer: computer.cursor_position(),
    Capability.POINTER: lambda computer: computer.left_click(1, 1),
    Capability.MOVE: lambda computer: computer.move(1, 1),
    Capability.DRAG: lambda computer: computer.drag((1, 1), (2, 2)),
    Capability.SCROLL: _scroll,
    Capability.KEYBOARD: lambda computer: computer.key("shift"),
    Capability.FULL_INPUT: lambda computer: computer.hold_key("shift", 0.01),
    Capability.PORTS: lambda computer: computer.preview_url(8080),
    Capability.LIVE_VIEW: lambda computer: computer.live_view_url(),
    Capability.EXTEND: lambda computer: computer.extend(3600),
}
"""The least that each capability promises, where trying it is harmless."""

_TOOLS: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.EXEC: ("exec", "python"),
    Capability.FILES: ("read_file", "write_file", "list_dir"),
    Capability.SCREENSHOT: ("screenshot",),
    Capability.REGION: ("zoom",),
    Capability.CURSOR: ("cursor_position",),
    Capability.POINTER: ("left_click", "right_click", "double_click", "triple_click"),
    Capability.MOVE: ("mouse_move",),
    Capability.DRAG: ("left_click_drag",),
    Capability.SCROLL: ("scroll",),
    Capability.KEYBOARD: ("type", "key"),
    Capability.FULL_INPUT: ("middle_click", "left_mouse_down", "left_mouse_up", "hold_key"),
    Capability.PORTS: ("preview_url",),
}


@_case()
async def info_is_complete(target: Target) -> None:
    """A computer has an id, a name and a provider, runs, and has a screen if it can be seen."""
    info = target.computer.info
    expect(bool(info.id and info.name and info.provider), f"id, name or provider is empty: {info!r}")
    expect_equal("the status", info.status, ComputerStatus.RUNNING)
    needs_screen = {Capability.SCREENSHOT, Capability.POINTER} & target.computer.capabilities
    expect(
        bool(needs_screen) == (info.screen is not None),
        f"info.screen is {info.screen}, capabilities are {sorted(target.computer.capabilities)}",
    )


@_case()
async def capabilities_are_told_truly(target: Target) -> None:
    """What it says it can do works, and the rest raises `UnsupportedError`."""
    computer = target.computer
    for capability, use in _USES.items():
        if capability in computer.capabilities:
            computer.require(capability)
            await use(computer)
            continue
        with refuses(UnsupportedError, f"require({capability})"):
            computer.require(capability)
        with refuses(UnsupportedError, f"using {capability}, which it says it lacks,"):
            await use(computer)
    if Capability.FILES in computer.capabilities:
        await computer.delete("conformance-use")


@_case()
async def tools_are_those_it_can_back(target: Target) -> None:
    """A model is shown the tools of the capabilities that are there, and no others."""
    offered = {tool.name for tool in computer_tools(target.computer)}
    for capability, names in _TOOLS.items():
        has = capability in target.computer.capabilities
        for name in names:
            expect((name in offered) == has, f"the tool {name} is {'missing' if has else 'offered'}")


@_case(Capability.PORTS)
async def preview_url_is_a_url(target: Target) -> None:
    """A port's URL is an HTTP URL with the path asked for."""
    url = await target.computer.preview_url(8123, "/a?b=c")
    expect(url.startswith(("http://", "https://")), f"the URL is {url!r}")
    expect(url.endswith("/a?b=c"), f"the URL lacks the path: {url!r}")


@_case(ends_computer=True)
async def destroy_twice_is_no_error(target: Target) -> None:
    """A destroyed computer says so, and destroying it again changes nothing."""
    await target.computer.destroy()
    expect_equal("the status", target.computer.info.status, ComputerStatus.DESTROYED)
    await target.computer.destroy()
    expect_equal("the status", target.computer.info.status, ComputerStatus.DESTROYED)


@_case(ends_computer=True)
async def use_after_destroy_is_refused(target: Target) -> None:
    """Whatever is asked of a destroyed computer raises `ComputerGoneError`."""
    before = target.computer.capabilities
    await target.computer.destroy()
    for capability, use in _USES.items():
        if capability in before:
            with refuses(ComputerGoneError, f"{capability} after destroy"):
                await use(target.computer)


@_case(Capability.PAUSE, Capability.FILES, ends_computer=True)
async def files_outlast_a_pause(target: Target) -> None:
    """A computer that is stopped says so, and has its files and takes commands when it goes on."""
    computer = target.computer
    await computer.write_file("conformance-kept", b"\x00before\r\n")
    await computer.stop()
    status = (await computer.refresh()).status
    expect(status in {ComputerStatus.PAUSED, ComputerStatus.STOPPED}, f"the status after stop() is {status}")
    await computer.start()
    expect_equal("the status after start()", (await computer.refresh()).status, ComputerStatus.RUNNING)
    expect_equal("the file", await computer.read_bytes("conformance-kept"), b"\x00before\r\n")


@_case(Capability.CLONE, Capability.FILES, ends_computer=True)
async def clone_is_a_computer_of_its_own(target: Target) -> None:
    """A clone has the files of its original; what is changed in one is not changed in the other."""
    await target.computer.write_file("conformance-kept", b"of both")
    twin = await target.computer.clone("conformance-twin")
    expect(twin.info.id != target.computer.info.id, f"the clone has its original's id, {twin.info.id}")
    expect_equal("the clone's file", await twin.read_bytes("conformance-kept"), b"of both")
    await twin.write_file("conformance-kept", b"of the clone")
    expect_equal("the file", await target.computer.read_bytes("conformance-kept"), b"of both")
    await twin.destroy()
    expect_equal("the clone's status", twin.info.status, ComputerStatus.DESTROYED)
    expect_equal("the status", (await target.computer.refresh()).status, ComputerStatus.RUNNING)


@_case(Capability.SNAPSHOT, Capability.FILES, ends_computer=True)
async def snapshot_brings_back_what_was(target: Target) -> None:
    """What was changed after a snapshot is undone by restoring it, twice too; a snapshot that is none is refused."""
    computer = target.computer
    await computer.write_file("conformance-kept", b"before")
    saved = await computer.snapshot("conformance")
    for _ in range(2):
        await computer.write_file("conformance-kept", b"after")
        await computer.restore(saved)
        expect_equal("the file", await computer.read_bytes("conformance-kept"), b"before")
    with refuses(NotFoundError, "restoring a snapshot that is none"):
        await computer.restore("conformance-no-snapshot")
    expect_equal("the status", (await computer.refresh()).status, ComputerStatus.RUNNING)
