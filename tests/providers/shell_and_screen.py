"""A machine with a real shell and a made-up screen: for what must have both, where no X server is to be started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from deskhand.providers import ExecResult, ExecStream, ExternalComputer, FileInfo, Terminal
from deskhand.providers.local import LocalProvider
from deskhand.testing import FakeComputer

__all__ = ["ShellAndScreen", "shell_and_screen"]


class ShellAndScreen(FakeComputer):
    """A fake computer whose shell and files are another one's."""

    def __init__(self, shell: ExternalComputer) -> None:
        super().__init__()
        self._real = shell

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command; there is no display for xdotool, and so no xdotool."""
        if command.startswith(("xdotool ", "command -v xdotool")):
            return ExecResult("", "", "", 127)
        return await self._real.exec(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

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
        return self._real.exec_stream(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal."""
        return self._real.terminal(columns=columns, rows=rows)

    async def read_bytes(self, path: str) -> bytes:
        """Read a file."""
        return await self._real.read_bytes(path)

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file."""
        await self._real.write_file(path, content)

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory."""
        return await self._real.list_dir(path)

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""
        return await self._real.stat(path)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete what is there."""
        await self._real.delete(path, recursive=recursive)


@asynccontextmanager
async def shell_and_screen() -> AsyncIterator[ShellAndScreen]:
    """Give such a machine."""
    async with LocalProvider() as provider:
        shell = await provider.create(name="behind", desktop=False)
        async with ShellAndScreen(shell) as machine:
            yield machine
