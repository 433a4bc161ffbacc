"""A small adapter of a folder of this machine, without a defect: commands by a shell, files by commands."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path

import anyio

from deskhand.errors import FileMissingError, InvalidInputError
from deskhand.providers import ComputerInfo, ExecResult, ExternalComputer, FileInfo
from deskhand.providers.contract import ComputerStatus


class FolderComputer(ExternalComputer):
    """Runs what it is told in a folder.

    Args:
        folder: Which.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._info = ComputerInfo("folder", "box", "folder", "external", ComputerStatus.RUNNING)

    @property
    def info(self) -> ComputerInfo:
        """What is known of it."""
        return self._info

    async def _bytes(self, command: str, stdin: bytes = b"") -> bytes:
        done = await anyio.run_process(["bash", "-c", command], input=stdin, cwd=self._folder, check=False)
        if done.returncode:
            raise FileMissingError(done.stderr.decode())
        return done.stdout

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
        began = time.monotonic()
        done = await anyio.run_process(["bash", "-c", command], input=stdin or b"", cwd=self._folder, check=False)
        return ExecResult(done.stdout.decode(), None, None, done.returncode, None, time.monotonic() - began)

    async def read_bytes(self, path: str) -> bytes:
        """Read a file."""
        return await self._bytes(f"cat {shlex.quote(path)}")

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file: what is in it goes by standard input, and so is no command."""
        data = content.encode() if isinstance(content, str) else content
        await self._bytes(f"mkdir -p {shlex.quote(str(Path(path).parent))} && cat > {shlex.quote(path)}", data)

    async def stat(self, path: str) -> FileInfo:
        """Tell its size."""
        size = await self._bytes(f"stat -c %s {shlex.quote(path)}")
        return FileInfo(path, "file", int(size), None)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a folder."""
        if not recursive:
            raise InvalidInputError("this computer deletes folders alone")
        await self._bytes(f"rm -r {shlex.quote(path)}")

    async def destroy(self) -> None:
        """Leave it: the folder is the test's."""
