"""One computer of this machine: a desktop of its own, and a sandbox where the machine allows one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from deskhand.errors import ComputerGoneError, InvalidInputError, UnsupportedError
from deskhand.providers.actions import InputAction
from deskhand.providers.addresses import check_port
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExecStream,
    ExternalComputer,
    FileInfo,
    Region,
    Screen,
    Shell,
    Specs,
    Terminal,
)
from deskhand.providers.local.commands import exec_stream, run_command
from deskhand.providers.local.desktop import DESKTOP_ENVIRONMENT, DESKTOP_PROGRAMS, write_desktop_files
from deskhand.providers.local.files import Files
from deskhand.providers.local.folder import ComputerFolder, open_folder
from deskhand.providers.local.isolation import ISOLATION_HINT, SYSTEM, Isolation, can_link_sockets, find_isolation
from deskhand.providers.local.pseudo_terminal import open_terminal
from deskhand.providers.local.sandbox import Sandbox, open_sandbox
from deskhand.providers.local.shell import open_shell
from deskhand.providers.local.xserver import INSTALL_HINT, available_server
from deskhand.providers.needs import INPUT

if TYPE_CHECKING:
    from deskhand.providers.local.display import Display

__all__ = ["LocalComputer", "LocalSettings", "boot_computer"]

DEFAULT_SCREEN = Screen(1280, 800)
_EXTRA_HINT = "pip install 'deskhand[local]'"
_MANAGER_DEADLINE = 10.0
_ALWAYS = frozenset({Capability.EXEC, Capability.EXEC_STREAM, Capability.SHELL, Capability.TERMINAL, Capability.FILES})
_WITH_SCREEN = INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How a computer is booted.

    Attributes:
        screen: The screen's size.
        desktop: Whether it has a screen at all, where the machine can give one.
        network: Whether it shares the machine's network.
        env: Environment variables of everything on it.
    """

    screen: Screen = DEFAULT_SCREEN
    desktop: bool = True
    network: bool = True
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


class LocalComputer(ExternalComputer):
    """A computer that lives in this process's care and ends with it."""

    def __init__(
        self,
        info: ComputerInfo,
        sandbox: Sandbox,
        display: Display | None,
        *,
        isolation: Isolation,
        network: bool,
    ) -> None:
        self._info = info
        self._sandbox = sandbox
        self._display = display
        self._files = Files(sandbox)
        self._isolation = isolation
        self._destroyed = False
        self._destroy: Callable[[], Awaitable[None]] | None = None
        found = set(_ALWAYS)
        if display is not None:
            found |= _WITH_SCREEN
            if display.server == "Xvnc":
                found.add(Capability.RESIZE)
        if isolation.isolated:
            found.add(Capability.ISOLATION)
        if network:
            found.add(Capability.PORTS)
        self._capabilities = frozenset(found)

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of now."""
        status = ComputerStatus.RUNNING
        if self._destroyed:
            status = ComputerStatus.DESTROYED
        elif self._sandbox.gone.is_set():
            status = ComputerStatus.ERROR
        screen = self._display.screen if self._display is not None else None
        return replace(self._info, status=status, screen=screen)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do, as its machine allows."""
        return self._capabilities

    @property
    def home(self) -> str:
        """The home folder, as seen on the computer."""
        return self._sandbox.home

    @property
    def x_access(self) -> tuple[str, Path] | None:
        """What ``DISPLAY`` and ``XAUTHORITY`` must be for this machine's own programs to reach the screen."""
        return (self._display.name, self._display.xauthority) if self._display is not None else None

    @property
    def vnc_socket(self) -> Path | None:
        """A private unix socket of the machine that speaks VNC, where the X server does."""
        return self._display.vnc_socket if self._display is not None else None

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability in _WITH_SCREEN:
            return INSTALL_HINT if available_server() is None else _EXTRA_HINT
        if capability is Capability.RESIZE:
            return "apt-get install tigervnc-standalone-server"
        if capability is Capability.ISOLATION:
            return ISOLATION_HINT
        if capability is Capability.PORTS:
            return "create it with network=True"
        return None

    def _screen(self, capability: Capability) -> Display:
        if self._display is None or capability not in self._capabilities:
            raise self._unsupported(capability)
        self._check_alive()
        return self._display

    def _check_alive(self) -> None:
        if self._sandbox.gone.is_set():
            raise ComputerGoneError(
                f"the computer {self._info.id} has ended", hint="create another", effect="no", provider="local"
            )

    # Shell

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command in a fresh ``bash -c``; what it leaves in the background lives on, but a timeout kills all."""
        return await run_command(self._sandbox, command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow its output; a reader that lags makes it wait."""
        return exec_stream(self._sandbox, command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

    def shell(self) -> AbstractAsyncContextManager[Shell]:
        """Open a kept shell; a command that reads its input gets end of file."""
        return open_shell(self._sandbox)

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a pseudo-terminal with a shell in it."""
        return open_terminal(self._sandbox, columns=columns, rows=rows)

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen as it is now; `settle` waits for it to come to rest."""
        display = self._screen(Capability.SCREENSHOT)
        return await display.capture(region=region, cursor=cursor, format=format)

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        return await self._screen(Capability.CURSOR).cursor_position()

    async def perform(self, action: InputAction) -> None:
        """Perform one input action; what it presses is released on every way out."""
        await self._screen(Capability.POINTER).perform(action)

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Wait until nothing but carets changed for ``quiet`` seconds, at most ``limit``."""
        if self._display is None:
            return 0.0
        self._check_alive()
        return await self._display.settle(quiet=quiet, limit=limit)

    async def changed(self, region: Region, *, within: float) -> bool | None:
        """Tell whether anything but carets was drawn in a region in the last ``within`` seconds."""
        return None if self._display is None else self._display.changed(region, within=within)

    async def resize(self, width: int, height: int) -> None:
        """Change the screen's size in pixels."""
        await self._screen(Capability.RESIZE).resize(width, height)

    # Files

    async def read_bytes(self, path: str) -> bytes:
        """Read a regular file as the computer sees it, at most 100 MiB."""
        return await self._files.read(path)

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte and put it in its place at once; a link is written through."""
        await self._files.write(path, content.encode() if isinstance(content, str) else content)

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name; links are told as such."""
        return await self._files.list(path)

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is; a link is told as such."""
        return await self._files.stat(path)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, an empty directory, or with ``recursive`` a directory and all in it."""
        await self._files.delete(path, recursive=recursive)

    # Ports, life

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return the loopback URL of a port: the computer shares the machine's network.

        Raises:
            InvalidInputError: If the port or the path cannot be.
        """
        self.require(Capability.PORTS)
        self._check_alive()
        check_port(port)
        if not path.startswith("/") or any(ord(character) <= 0x20 or character in '\x7f\\"<>' for character in path):
            raise InvalidInputError(
                f"{path!r} is no path of a URL", hint="it starts with / and has what is special percent-encoded"
            )
        return f"http://127.0.0.1:{port}{path}"

    def keep(self) -> None:
        """Refuse: a local computer lives no longer than its owner.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            "a local computer ends with the provider that created it and cannot be kept",
            hint="`deskhand create local` holds one in the foreground",
            provider="local",
        )

    def describe(self, *, name: str, metadata: Mapping[str, str]) -> None:
        """Give the computer its name and what its creator wants to remember of it."""
        self._info = replace(self._info, name=name, metadata=dict(metadata))

    def on_destroy(self, destroy: Callable[[], Awaitable[None]]) -> None:
        """Tell how whoever holds the computer ends it."""
        self._destroy = destroy

    async def destroy(self) -> None:
        """End the computer and everything on it; destroying it twice is no error."""
        if self._destroy is not None:
            await self._destroy()


@asynccontextmanager
async def boot_computer(computer_id: str, settings: LocalSettings) -> AsyncIterator[LocalComputer]:
    """Boot a computer; it ends with the block, or with this process however it ends.

    Raises:
        ConfigError: If the machine lacks what it takes, or something does not start.
    """
    isolation = await find_isolation()
    uid = isolation.new_user()
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(open_folder(computer_id, uid))
        sandbox = await stack.enter_async_context(open_sandbox(isolation, folder, uid=uid, network=settings.network))
        display = await _open_display(stack, settings, folder, uid)
        sandbox.environment = {**sandbox.environment, **DESKTOP_ENVIRONMENT}
        if display is not None:
            access = await anyio.to_thread.run_sync(_give_access, display, folder, isolation, uid)
            sandbox.environment = {**sandbox.environment, **access}
        sandbox.environment = {**sandbox.environment, **settings.env}
        await sandbox.wait_ready()
        if display is not None:
            await _start_desktop(sandbox, display)
        info = ComputerInfo(
            id=computer_id,
            name="",
            provider="local",
            source="local",
            status=ComputerStatus.RUNNING,
            specs=Specs(cpus=os.cpu_count(), memory=_physical_memory(), os="linux"),
            created_at=datetime.now(UTC),
        )
        computer = LocalComputer(info, sandbox, display, isolation=isolation, network=settings.network)
        try:
            yield computer
        finally:
            computer._destroyed = True


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


async def _open_display(
    stack: AsyncExitStack, settings: LocalSettings, folder: ComputerFolder, uid: int | None
) -> Display | None:
    """Open a screen where one is wanted and the machine can give it."""
    if not settings.desktop or available_server() is None:
        return None
    try:
        from deskhand.providers.local.display import open_display
    except ImportError:
        return None  # the extra is not installed, which the capabilities and their hint say
    await anyio.to_thread.run_sync(_furnish, folder, uid)
    return await stack.enter_async_context(open_display(settings.screen, folder.screen))


def _furnish(folder: ComputerFolder, uid: int | None) -> None:
    write_desktop_files(folder.home)
    if uid is not None:
        for path in folder.home.rglob("*"):
            os.chown(path, uid, uid)


def _give_access(display: Display, folder: ComputerFolder, isolation: Isolation, uid: int | None) -> dict[str, str]:
    """Make the screen reachable from inside; return the variables that say how."""
    if not isolation.isolated:
        return {"DISPLAY": display.name, "XAUTHORITY": str(display.xauthority)}
    if can_link_sockets(folder):
        # A second name for the socket, in a folder that was bound before the socket was there.
        (folder.sockets / display.socket.name).hardlink_to(display.socket)
    cookie = folder.system / display.xauthority.name
    shutil.copyfile(display.xauthority, cookie)
    cookie.chmod(0o600)
    if uid is not None:
        os.chown(cookie, uid, uid)
    return {"DISPLAY": display.name, "XAUTHORITY": f"{SYSTEM}/{cookie.name}"}


async def _start_desktop(sandbox: Sandbox, display: Display) -> None:
    """Start the window manager, which starts the panel; without one the windows are unmanaged."""
    programs = [program for program in DESKTOP_PROGRAMS if shutil.which(program[0])]
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for program in programs:
            await sandbox.start(program, {0: null, 1: null, 2: null})
    finally:
        os.close(null)
    if programs:
        await display.wait_for_window_manager(_MANAGER_DEADLINE)
