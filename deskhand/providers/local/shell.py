"""A kept shell on a local computer: one ``bash`` whose directory and environment stay between commands."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager

import anyio

from deskhand.errors import ComputerGoneError
from deskhand.providers.contract import ExecResult, Shell
from deskhand.providers.local.commands import CommandOutput, check_command, checked_timeout, end_process, timed_out
from deskhand.providers.local.output import PipeReader
from deskhand.providers.local.sandbox import Process, Sandbox, out_of_descriptors

__all__ = ["open_shell"]

_STATUS = 77  # a descriptor that scripts do not use, and bash does not give out by itself
_LONGEST_STATUS = 4096


class _Bash:
    """One running shell. Its status comes on a descriptor of its own, so that nothing is mixed into the output."""

    def __init__(self, process: Process, writing: int, readings: Mapping[int, int]) -> None:
        self.process = process
        self._input = writing
        self._token = secrets.token_hex(8)
        self._status = bytearray()
        self._answered = anyio.Event()
        self._output = CommandOutput()
        self._readers = {
            number: PipeReader(reading, self._taker(number), lambda: None) for number, reading in readings.items()
        }
        process.when_ended(self._process_ended)
        os.set_blocking(writing, False)

    async def run(self, command: str, seconds: float) -> ExecResult:
        """Run one command; a timeout kills the shell, and so does a cancellation."""
        error = None
        self._output = CommandOutput()
        self._status.clear()
        self._answered = anyio.Event()
        try:
            with anyio.move_on_after(seconds):
                await self._write(self._line(command))
                await self._answered.wait()
            if not self._answered.is_set():
                error = f"{timed_out(seconds)}; the shell was restarted: its directory and variables are gone"
                await end_process(self.process)
        finally:
            if not self._answered.is_set():
                self.process.kill()
        for number in (1, 2):
            self._readers[number].drain()
        exit_code = None if error else self._exit_code()
        if exit_code is None and not error:
            exit_code = await self.process.wait()
            error = "the command ended the shell; the next one starts in a fresh shell"
        return self._output.result(exit_code, error)

    def _line(self, command: str) -> bytes:
        text = f"eval {shlex.quote(command)} </dev/null {_STATUS}>&-; printf '{self._token} %d\\n' $? >&{_STATUS}\n"
        return text.encode(errors="surrogateescape")

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._input)
            except BrokenPipeError:
                return  # it has ended, which is told by its end

    def _exit_code(self) -> int | None:
        """Return the command's exit code, or ``None`` where the shell ended instead."""
        for line in bytes(self._status).splitlines():
            token, _, code = line.partition(b" ")
            if token == self._token.encode("ascii") and code.isdigit():
                return int(code)
        return None

    def _taker(self, number: int) -> Callable[[bytes], None]:
        def take(data: bytes) -> None:
            if number == _STATUS:
                self._status += data[:_LONGEST_STATUS]
                if self._exit_code() is not None:
                    self._answered.set()
            else:
                self._output.add("stdout" if number == 1 else "stderr", data)

        return take

    def _process_ended(self) -> None:
        self._answered.set()

    async def aclose(self) -> None:
        """End the shell and what it runs."""
        try:
            if not self.process.ended:
                await end_process(self.process)
        finally:
            for reader in self._readers.values():
                reader.close()
            os.close(self._input)


async def _start(sandbox: Sandbox) -> _Bash:
    with ExitStack() as ours, ExitStack() as theirs:
        try:
            source, writing = os.pipe()
            theirs.callback(os.close, source)
            ours.callback(os.close, writing)
            numbers, readings = {0: source}, {}
            for number in (1, 2, _STATUS):
                readings[number], numbers[number] = os.pipe()
                ours.callback(os.close, readings[number])
                theirs.callback(os.close, numbers[number])
            process = await sandbox.start(["bash", "--noprofile", "--norc"], numbers)
        except OSError as error:
            raise error if error.errno is None else out_of_descriptors(error) from error
        ours.pop_all()
    return _Bash(process, writing, readings)


class _LocalShell(Shell):
    """Keeps a shell, and starts another where it has ended; one command at a time."""

    def __init__(self, sandbox: Sandbox, bash: _Bash) -> None:
        self._sandbox = sandbox
        self._bash: _Bash | None = bash
        self._lock = anyio.Lock()

    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        check_command(command)
        seconds = checked_timeout(timeout)
        async with self._lock:
            if self._bash is None:
                self._bash = await _start(self._sandbox)
            bash = self._bash
            try:
                return await bash.run(command, seconds)
            finally:
                if bash.process.ended or bash.process.doomed:
                    self._bash = None
                    await bash.aclose()

    async def aclose(self) -> None:
        bash, self._bash = self._bash, None
        if bash is not None:
            await bash.aclose()


@asynccontextmanager
async def open_shell(sandbox: Sandbox) -> AsyncIterator[Shell]:
    """Open a kept shell, which ends with the block.

    Raises:
        ComputerGoneError: If the computer ended.
    """
    if sandbox.gone.is_set():
        raise ComputerGoneError("the computer has ended", effect="no", provider="local")
    shell = _LocalShell(sandbox, await _start(sandbox))
    try:
        yield shell
    finally:
        await shell.aclose()
