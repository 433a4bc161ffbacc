"""Computers that have a shell and nothing else, whose desktop comes from `ShellDesktop`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import anyio
import pytest

from deskhand import ComputerSpec
from deskhand.providers import (
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExecStream,
    ExternalComputer,
    Screen,
    ShellDesktop,
)
from deskhand.providers.local import LocalComputer, LocalProvider

SCREEN = Screen(1000, 700)
without_xvfb_skipped = pytest.mark.skipif(
    shutil.which("Xvfb") is None or shutil.which("xkbcomp") is None, reason="Xvfb is not installed"
)


def symbols(display: str, xauthority: str | Path | None = None) -> list[str]:
    """Return what is on every key of a display."""
    env = os.environ | ({} if xauthority is None else {"XAUTHORITY": str(xauthority)})
    dumping = ["xkbcomp", "-xkb", display, "-"]
    dumped = subprocess.run(dumping, env=env, capture_output=True, text=True, check=True).stdout
    lines = dumped[dumped.index("xkb_symbols") : dumped.index("xkb_geometry")].splitlines()
    return [line.strip() for line in lines[1:] if "key <" in line or "modifier_map" in line]


class ShellMachine(ShellDesktop):
    """What only runs commands, on a machine that can do more; tells which.

    Args:
        machine: Where they are run.
        setup: What the shell is told before each.

    Attributes:
        asked: The commands, as they came.
        instead: Gives a result in place of running a command, where it gives one.
    """

    def __init__(self, machine: ExternalComputer, *, setup: str = "") -> None:
        self._machine = machine
        self._setup = setup
        self.asked: list[str] = []
        self.instead: Callable[[str], ExecResult | None] = lambda _: None

    @property
    def info(self) -> ComputerInfo:
        """What is known of it; its screen is what was found through the shell."""
        return replace(self._machine.info, provider="shell", screen=self.screen)

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command, or give what is to come in its place."""
        self.asked.append(command)
        result = self.instead(command)
        if result is not None:
            return result
        return await self._machine.exec(self._setup + command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

    async def destroy(self) -> None:
        """End the machine."""
        await self._machine.destroy()


class FilesMachine(ShellMachine):
    """The same, which reads files too."""

    async def read_bytes(self, path: str) -> bytes:
        """Read a file."""
        return await self._machine.read_bytes(path)


class StreamMachine(ShellMachine):
    """The same, whose commands can be followed too."""

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Follow a command."""
        self.asked.append(command)
        return self._machine.exec_stream(self._setup + command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)


class ExactMachine(StreamMachine):
    """The same, and every byte that they write comes."""

    is_output_exact: ClassVar[bool] = True


@asynccontextmanager
async def a_machine(
    kind: type[ShellMachine] = ShellMachine, *, screen: Screen = SCREEN, desktop: bool = True, setup: str = ""
) -> AsyncIterator[tuple[ShellMachine, LocalComputer]]:
    """Open a machine with a desktop found, and give what is behind it."""
    async with LocalProvider() as provider:
        behind = await provider.create(name="behind", spec=ComputerSpec(screen=screen), desktop=desktop)
        machine = kind(behind, setup=setup)
        await machine.find_desktop()
        yield machine, behind


class BareMachine(ShellDesktop):
    """A plain shell beside an X server that has no window manager; stdout and stderr stay apart.

    Attributes:
        asked: The commands, as they came.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def info(self) -> ComputerInfo:
        """What is known of it."""
        return ComputerInfo("bare", "bare", "bare", "external", ComputerStatus.RUNNING, screen=self.screen)

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command."""
        self.asked.append(command)
        given = {"PATH": os.environ["PATH"], **(env or {})}
        with anyio.move_on_after(timeout or 120):
            done = await anyio.run_process(["sh", "-c", command], input=stdin or b"", cwd=cwd, env=given, check=False)
            out, err = done.stdout.decode(), done.stderr.decode()
            return ExecResult(out + err, out, err, done.returncode)
        return ExecResult("", "", "", None, "timed out")

    async def destroy(self) -> None:
        """Leave it to whoever opened it."""


async def left_keymaps(machine: ShellMachine | BareMachine) -> list[str]:
    """Return what is left on a machine of the keymaps that its commands saved.

    Raises:
        AssertionError: If they saved none.
    """
    saved = {path for command in machine.asked for path in re.findall(r"/tmp/deskhand-\w+\.xkb", command)}
    assert saved
    return (await machine.exec(f"ls -d {' '.join(f'{path}*' for path in sorted(saved))} 2>/dev/null")).output.split()


@asynccontextmanager
async def a_bare_machine(*, screen: Screen = SCREEN) -> AsyncIterator[tuple[BareMachine, str]]:
    """Start an Xvfb, and give what runs commands beside it and the display's name."""
    size = f"{screen.width}x{screen.height}x24"
    server = await anyio.open_process(
        ["Xvfb", "-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp", "-noreset"], stderr=subprocess.DEVNULL
    )
    try:
        assert server.stdout is not None
        display = f":{(await server.stdout.receive()).decode().strip()}"
        machine = BareMachine()
        await machine.find_desktop(display)
        yield machine, display
    finally:
        with anyio.CancelScope(shield=True):
            server.terminate()
            await server.wait()
            await server.aclose()
