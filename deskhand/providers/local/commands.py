"""Commands on a local computer: run to their end, or followed as they run."""

from __future__ import annotations

import errno
import math
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Literal

import anyio
import anyio.to_thread

from deskhand.errors import DeadlineExceededError, FileMissingError, InvalidInputError
from deskhand.providers.contract import KEPT_OUTPUT, ExecChunk, ExecResult, ExecStream
from deskhand.providers.execution import KeptOutput, check_command, checked_timeout, timed_out
from deskhand.providers.local.output import PipeReader
from deskhand.providers.local.sandbox import Process, Sandbox, out_of_descriptors

__all__ = [
    "CommandOutput",
    "check_command",
    "checked_timeout",
    "end_process",
    "exec_stream",
    "run_command",
    "timed_out",
]

_OUTPUT_GRACE = 0.05  # seconds for what is still on its way where something else holds the pipes open
_KILL_DEADLINE = 8.0
_STREAM_BUFFER = 1 << 20
_INLINE_INPUT = 1 << 20

StreamName = Literal["stdout", "stderr"]


class CommandOutput:
    """What a command wrote to both its outputs, within bounds, and how long it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._kept: dict[StreamName, KeptOutput] = {"stdout": KeptOutput(), "stderr": KeptOutput()}
        self._merged = KeptOutput(2 * KEPT_OUTPUT)

    def add(self, name: StreamName, data: bytes) -> None:
        """Take a piece."""
        self._kept[name].add(data)
        self._merged.add(data)

    def result(self, exit_code: int | None, error: str | None) -> ExecResult:
        """Return the outcome; the two are merged as they came, or one after the other where some was not kept."""
        stdout, stderr = (self._kept[name].text() for name in ("stdout", "stderr"))
        dropped = sum(kept.dropped for kept in self._kept.values())
        return ExecResult(
            output=stdout + stderr if dropped else self._merged.text(),
            stdout=stdout,
            stderr=stderr,
            exit_code=exit_code,
            error=error,
            duration=time.monotonic() - self._began,
            dropped=dropped,
        )


class _Running:
    """A started command and its pipes."""

    def __init__(self, process: Process, readers: tuple[PipeReader, PipeReader]) -> None:
        self.process = process
        self.readers = readers

    @property
    def has_all_output(self) -> bool:
        return all(reader.ended for reader in self.readers)

    def drain(self) -> None:
        for reader in self.readers:
            reader.drain()


async def end_process(process: Process) -> None:
    """Kill a process with everything below it, and wait for its end for as long as a kill may take."""
    process.kill()
    with anyio.CancelScope(shield=True), anyio.move_on_after(_KILL_DEADLINE):
        await process.finished()


@asynccontextmanager
async def _running(
    sandbox: Sandbox,
    command: str,
    take: Callable[[StreamName, bytes], None],
    at_end: Callable[[], None],
    *,
    cwd: str | None,
    env: Mapping[str, str] | None,
    stdin: bytes | None,
) -> AsyncIterator[_Running]:
    """Start a command; leaving the block kills it if it still runs."""
    process, stdout, stderr = await _start(sandbox, command, cwd, env, stdin)
    readers = (
        PipeReader(stdout, partial(take, "stdout"), at_end),
        PipeReader(stderr, partial(take, "stderr"), at_end),
    )
    try:
        yield _Running(process, readers)
    finally:
        for reader in readers:
            if process.ended and not process.doomed:
                sandbox.adopt(reader)  # what it left running in the background may go on writing
            else:
                reader.close()
        if not process.ended:
            await end_process(process)


async def _start(
    sandbox: Sandbox, command: str, cwd: str | None, env: Mapping[str, str] | None, stdin: bytes | None
) -> tuple[Process, int, int]:
    """Start ``bash -c``; return it and the reading ends of its output, which are the caller's."""
    check_command(command, env)
    with ExitStack() as ours, ExitStack() as theirs:
        try:
            large = stdin is not None and len(stdin) > _INLINE_INPUT
            source = await anyio.to_thread.run_sync(_given_input, stdin) if large else _given_input(stdin)
            theirs.callback(os.close, source)
            numbers, reading = {0: source}, []
            for number in (1, 2):
                read, numbers[number] = os.pipe()
                ours.callback(os.close, read)
                theirs.callback(os.close, numbers[number])
                reading.append(read)
            process = await sandbox.start(["bash", "-c", "--", command], numbers, cwd=cwd, env=env)
        except (OSError, ValueError) as error:
            raise _start_error(error, cwd) from error
        ours.pop_all()
    return process, reading[0], reading[1]


def _given_input(stdin: bytes | None) -> int:
    """Return the descriptor of a command's whole standard input."""
    if not stdin:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        view = memoryview(stdin)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _start_error(error: Exception, cwd: str | None) -> Exception:
    if not isinstance(error, OSError) or error.errno is None:
        return error
    if error.errno == errno.ENOENT and cwd is not None:
        return FileMissingError(f"there is no directory {cwd} to run in", provider="local")
    if error.errno in {errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP} and cwd is not None:
        return InvalidInputError(f"{cwd} cannot be the working directory: {error.strerror}", provider="local")
    return out_of_descriptors(error)


async def run_command(
    sandbox: Sandbox,
    command: str,
    *,
    timeout: float | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> ExecResult:
    """Run a command in a fresh ``bash -c`` to its end; a timeout kills it and everything it started.

    Raises:
        InvalidInputError: If it cannot be run like that.
        ComputerGoneError: If the computer ended.
    """
    seconds = checked_timeout(timeout)
    kept, at_end = CommandOutput(), anyio.Event()

    def one_ended() -> None:
        if running.has_all_output:
            at_end.set()

    async with _running(sandbox, command, kept.add, one_ended, cwd=cwd, env=env, stdin=stdin) as running:
        process, error = running.process, None
        with anyio.move_on_after(seconds):
            await process.wait()
        if not process.ended:
            error = timed_out(seconds)
            await end_process(process)
        running.drain()
        if not running.has_all_output:
            with anyio.move_on_after(_OUTPUT_GRACE):
                await at_end.wait()
    return kept.result(None if error else process.exit_code, error)


class _LocalExecStream(ExecStream):
    """Follows a running command; a reader that lags makes the command wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = anyio.current_time() + seconds
        self._is_late = False
        self._chunks: deque[ExecChunk] = deque()
        self._size = 0
        self._changed = anyio.Event()
        self._complete = False
        self._running: _Running | None = None

    @property
    def exit_code(self) -> int | None:
        return self._running.process.exit_code if self._running else None

    async def kill(self) -> None:
        if self._running is not None and not self._running.process.ended:
            await end_process(self._running.process)

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk.data)
                if self._size < _STREAM_BUFFER // 2:
                    self._resume()
                yield chunk
            if self._complete and self._is_late:
                raise DeadlineExceededError(f"the command {timed_out(self._seconds)}", provider="local", effect="yes")
            if self._complete:
                return
            self._changed = anyio.Event()
            with anyio.move_on_at(self._deadline):
                await self._changed.wait()
            if not self._changed.is_set() and self._running is not None:
                self._deadline, self._is_late = math.inf, True
                self._running.process.kill()

    def take(self, name: StreamName, data: bytes) -> None:
        self._chunks.append(ExecChunk(name, data))
        self._size += len(data)
        if self._size >= _STREAM_BUFFER and self._running is not None:
            for reader in self._running.readers:
                reader.pause()
        self._changed.set()

    def one_ended(self) -> None:
        if self._running is not None and self._running.has_all_output and self._running.process.ended:
            self._complete = True
            self._changed.set()

    def follow(self, running: _Running) -> None:
        self._running = running
        running.process.when_ended(self._process_ended)

    def _resume(self) -> None:
        if self._running is not None:
            for reader in self._running.readers:
                reader.resume()

    def _process_ended(self) -> None:
        self.one_ended()
        if not self._complete and self._running is not None:
            self._running.process.call_later(_OUTPUT_GRACE, self._give_up)

    def _give_up(self) -> None:
        """Something else holds the pipes open: take what is there, unless a lagging reader still has to."""
        running = self._running
        if running is None or self._complete:
            return
        running.drain()
        if any(reader.paused for reader in running.readers):
            running.process.call_later(_OUTPUT_GRACE, self._give_up)
            return
        self._complete = True
        self._changed.set()


@asynccontextmanager
async def exec_stream(
    sandbox: Sandbox,
    command: str,
    *,
    timeout: float | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> AsyncIterator[ExecStream]:
    """Run a command and follow its output; leaving the block kills it, and so does its timeout."""
    stream = _LocalExecStream(checked_timeout(timeout))
    async with _running(sandbox, command, stream.take, stream.one_ended, cwd=cwd, env=env, stdin=stdin) as running:
        stream.follow(running)
        yield stream
