"""Computers that have a shell and nothing else, whose desktop comes from `ShellDesktop`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from deskhand import ComputerSpec
from deskhand.providers import ComputerInfo, ExecResult, ExternalComputer, Screen, ShellDesktop
from deskhand.providers.local import LocalComputer, LocalProvider

SCREEN = Screen(1000, 700)


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


@asynccontextmanager
async def a_machine(
    kind: type[ShellMachine] = ShellMachine, *, screen: Screen = SCREEN, desktop: bool = True
) -> AsyncIterator[tuple[ShellMachine, LocalComputer]]:
    """Open a machine with a desktop found, and give what is behind it."""
    async with LocalProvider() as provider:
        behind = await provider.create(name="behind", spec=ComputerSpec(screen=screen), desktop=desktop)
        machine = kind(behind)
        await machine.find_desktop()
        yield machine, behind
