"""The machine behind a simulated computer whose desktop is made up: a drawn screen, and a real shell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from deskhand.providers import (
    Capability,
    ExecResult,
    ExecStream,
    ExternalComputer,
    FileInfo,
    Shell,
    Terminal,
)
from deskhand.providers.local import LocalProvider
from deskhand.testing.computer import FakeComputer

__all__ = ["made_up_machine"]


@asynccontextmanager
async def made_up_machine() -> AsyncIterator[ExternalComputer]:
    """Gives a machine with a made-up desktop; what runs on it runs in a private folder of this machine."""
    async with LocalProvider() as provider:
        behind = await provider.create(name="made-up", desktop=False)
        async with _MadeUp(behind) as machine:
            yield machine


class _MadeUp(FakeComputer):
    """A fake computer's screen, pointer and keyboard; shell and files are those of a machine.

    Args:
        behind: The machine.
    """

    def __init__(self, behind: ExternalComputer) -> None:
        super().__init__(name="made-up")
        self._behind = behind

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the screen can do, and the machine."""
        real = {Capability.EXEC, Capability.EXEC_STREAM, Capability.SHELL, Capability.TERMINAL, Capability.FILES}
        return (super().capabilities - real - {Capability.PORTS}) | self._behind.capabilities

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Runs a command on the machine."""
        return await self._behind.exec(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Follows a command on the machine."""
        return self._behind.exec_stream(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)

    async def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Runs Python on the machine."""
        return await self._behind.python(code, timeout=timeout)

    def shell(self) -> AbstractAsyncContextManager[Shell]:
        """Opens a kept shell on the machine."""
        return self._behind.shell()

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Opens a terminal on the machine."""
        return self._behind.terminal(columns=columns, rows=rows)

    async def read_bytes(self, path: str) -> bytes:
        """Reads a file of the machine."""
        return await self._behind.read_bytes(path)

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Writes a file on the machine."""
        await self._behind.write_file(path, content)

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """Lists a folder of the machine."""
        return await self._behind.list_dir(path)

    async def stat(self, path: str) -> FileInfo:
        """Describes a file of the machine."""
        return await self._behind.stat(path)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Deletes a file of the machine."""
        await self._behind.delete(path, recursive=recursive)

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Tells where a port of the machine is reached."""
        return await self._behind.preview_url(port, path)
