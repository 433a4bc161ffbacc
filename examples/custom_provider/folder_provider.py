"""A provider of one's own: its computers are folders of this machine, their commands run in there.

It is not safe for an agent that you do not trust, but it is complete::

    pytest --deskhand-provider=folder_provider:FolderProvider
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, cast

import anyio
import anyio.abc

from deskhand.errors import ComputerGoneError, InvalidInputError, NotFoundError
from deskhand.providers import (
    ComputeProvider,
    ComputerInfo,
    ComputerSpec,
    ComputerStatus,
    ExecResult,
    ExternalComputer,
)

HALF = 32 * 1024  # bytes kept of the beginning and of the end of a command's output


class FolderComputer(ExternalComputer):
    def __init__(self, provider: "FolderProvider", name: str) -> None:
        self._provider = provider
        self._home = tempfile.mkdtemp(prefix="computer-")
        self._info = ComputerInfo(os.path.basename(self._home), name, "folder", "external", ComputerStatus.RUNNING)

    @property
    def info(self) -> ComputerInfo:
        return self._info

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        if self._info.status is ComputerStatus.DESTROYED:
            raise ComputerGoneError(f"the computer {self._info.id} was destroyed", provider="folder", effect="no")
        if not command.strip() or "\0" in command or not (timeout is None or timeout > 0):
            raise InvalidInputError("a command and a timeout above 0 are needed", hint="the command may hold no NUL")
        began, limit = time.monotonic(), timeout or 120
        process = await anyio.open_process(
            ["bash", "-c", "--", command],
            cwd=os.path.join(self._home, cwd or ""),
            env={"PATH": os.environ["PATH"], "HOME": self._home, **(env or {})},
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that everything it starts can be ended
        )
        output, size = bytearray(), 0
        try:
            with anyio.move_on_after(limit) as deadline:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed, process, stdin or b"")
                    async for chunk in cast("anyio.abc.ByteReceiveStream", process.stdout):
                        size += len(chunk)
                        output += chunk
                        del output[HALF:-HALF]
                    await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await process.aclose()
        late = f"timed out after {limit:g} s" if deadline.cancelled_caught else None
        return ExecResult(
            output=output.decode(errors="replace"),
            stdout=None,
            stderr=None,
            exit_code=None if late else process.returncode,
            error=late,
            duration=time.monotonic() - began,
            dropped=size - len(output),
        )

    async def destroy(self) -> None:
        self._info = dataclasses.replace(self._info, status=ComputerStatus.DESTROYED)
        self._provider.computers.pop(self._info.id, None)
        await anyio.to_thread.run_sync(shutil.rmtree, self._home, True)


async def feed(process: anyio.abc.Process, stdin: bytes) -> None:
    if process.stdin is not None:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it does not read it
            async with process.stdin:
                await process.stdin.send(stdin)


class FolderProvider(ComputeProvider):
    name = "folder"

    def __init__(self) -> None:
        self.computers: dict[str, FolderComputer] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(10):
            for computer in list(self.computers.values()):
                if not computer.kept:
                    await computer.destroy()

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> FolderComputer:
        if vendor_options:
            raise InvalidInputError(f"folder has no option {', '.join(vendor_options)}", hint="it has none")
        computer = FolderComputer(self, name)
        self.computers[computer.info.id] = computer
        return computer

    async def get(self, computer_id: str) -> FolderComputer:
        if computer_id not in self.computers:
            raise NotFoundError(f"there is no computer {computer_id!r}", provider="folder")
        return self.computers[computer_id]

    async def list(self) -> list[ComputerInfo]:
        return [computer.info for computer in self.computers.values()]
