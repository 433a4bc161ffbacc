"""Processes in a sandbox: started, followed, given input, and ended with all that they started."""

from __future__ import annotations

import base64
import binascii
import math
import secrets
import shlex
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias

import anyio
import anyio.abc
import anyio.lowlevel
from pydantic import JsonValue

from deskhand.errors import DeadlineExceededError, DeskhandError, InvalidInputError, ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import ExecChunk, ExecResult, ExecStream
from deskhand.providers.e2b.api import NAME, OPERATIONS, E2BApi
from deskhand.providers.e2b.connect import Connect
from deskhand.providers.execution import KeptOutput, check_command, checked_timeout, timed_out
from deskhand.providers.http import Operation

__all__ = ["Piece", "Process", "Processes"]

Kind: TypeAlias = Literal["stdout", "stderr", "pty"]
Piece: TypeAlias = tuple[Kind, bytes]

_KINDS: Final[tuple[Kind, ...]] = ("stdout", "stderr", "pty")
_HEAD: Final = 30.0
"""Seconds until a process says that it has started."""
_PATIENCE: Final = 5.0
"""Seconds that this may take beyond what the process itself may; and to end one."""
_MARGIN: Final = 20.0
"""Seconds after which the daemon ends what we should have ended."""
_BUFFER: Final = 16
"""Pieces that are held for a reader; a process that writes faster waits."""
_MARK: Final = "DESKHAND_CALL"
_SWEEP: Final = 8.0
"""Seconds after which the daemon ends what ends others."""

_KILL: Final = r"""
n=0
while [ $n -lt 20 ]; do
  found=
  for f in $(grep -lsa -- '@MARK@' /proc/[0-9]*/environ); do
    pid=${f#/proc/}; found="$found ${pid%%/*}"
  done
  [ -n "$found" ] || [ $n -lt @LEAST@ ] || break
  [ -z "$found" ] || kill -KILL $found
  n=$((n+1)); sleep 0.05
done 2>/dev/null
rm -f -- @INPUT@
"""
"""Ends whatever bears a mark in its environment; looks for it so many times at least."""
_LOOKS: Final = 12
"""Looks for a process that nobody has seen begin: its request may still be under way."""


class Process:
    """A process that is followed: its pieces are an async iterator, which may be left and entered again.

    Attributes:
        tag: What the daemon knows it by.
        exit_code: How it ended by itself.
        said: How it ended otherwise, in the daemon's words.
        is_over: Whether nothing of it runs any more, for certain: it has ended, or was never started.
        is_ended: Whether it has ended and said how.
        has_begun: Whether it was seen to run.
    """

    def __init__(self, daemon: Connect, tag: str) -> None:
        self.tag = tag
        self.exit_code: int | None = None
        self.said: str = ""
        self.is_over: bool = False
        self.is_ended: bool = False
        self.has_begun: bool = False
        self._daemon = daemon
        self._failure: DeskhandError | None = None
        self._begun = anyio.Event()
        self._sending, self._receiving = anyio.create_memory_object_stream[Piece](_BUFFER)

    async def follow(
        self,
        operation: Operation,
        message: JsonObject,
        lasts: float | None,
        *,
        is_urgent: bool,
        head: float = _HEAD,
    ) -> None:
        """Start it and pass on what it writes, until it has ended."""
        try:
            async with self._daemon.stream(
                operation, "process.Process/Start", message, deadline=head, lasts=lasts, is_urgent=is_urgent
            ) as messages:
                async for one in messages:
                    await self._take(operation, one.get("event"))
                    if self.is_ended:
                        await messages.finish()
                        break
            if not self.is_ended:
                self._failure = ProtocolError(
                    f"e2b's stream ended before the process when asked to {operation.name}", provider=NAME
                )
        except DeskhandError as error:
            self._failure = error
            if self.has_begun and error.effect == "no":  # it says so of the stream, not of what was begun
                error.effect, error.retryable = "unknown", False
            self.is_over = error.effect == "no"
        finally:
            self._begun.set()
            self._sending.close()

    async def _take(self, operation: Operation, event: JsonValue) -> None:
        if not isinstance(event, dict):
            return  # what newer daemons say besides
        data, end = event.get("data"), event.get("end")
        if "start" in event:
            self.has_begun = True
            self._begun.set()
        if isinstance(data, dict):
            for kind in _KINDS:
                if isinstance(text := data.get(kind), str):
                    await self._sending.send((kind, _decoded(operation, text)))
        if isinstance(end, dict):
            self._conclude(end)

    def _conclude(self, end: Mapping[str, JsonValue]) -> None:
        """Read how it ended; a code of 0 is left out."""
        code = end.get("exitCode", 0)
        self.is_ended = self.is_over = True
        if end.get("exited") is True and isinstance(code, int):
            self.exit_code = code
        else:
            self.said = str(end.get("status") or end.get("error") or "it was killed")[:500]

    def close(self) -> None:
        """Let go of what nobody has read."""
        self._sending.close()
        self._receiving.close()

    async def begun(self) -> None:
        """Wait until it runs.

        Raises:
            DeskhandError: If it was not started, or nobody can tell.
        """
        await self._begun.wait()
        if self._failure is not None and not self.is_ended:
            raise self._failure

    async def pieces(self) -> AsyncIterator[Piece]:
        """Iterate over what it writes, until it has ended.

        Raises:
            DeskhandError: If that cannot be known any more.
        """
        while True:
            try:
                piece = await self._receiving.receive()
            except anyio.EndOfStream:
                break
            yield piece
        if self._failure is not None:
            raise self._failure

    async def send(self, kind: Literal["stdin", "pty"], data: bytes) -> None:
        """Give it input."""
        given = {kind: base64.b64encode(data).decode()}
        message = {"process": {"tag": self.tag}, "input": given}
        await self._daemon.call(OPERATIONS["send input"], "process.Process/SendInput", message)

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size of its terminal."""
        message = {"process": {"tag": self.tag}, "pty": {"size": {"cols": columns, "rows": rows}}}
        await self._daemon.call(OPERATIONS["resize a terminal"], "process.Process/Update", message)


def _decoded(operation: Operation, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(
            f"e2b sent output that is no base64 when asked to {operation.name}", provider=NAME
        ) from error


class Processes:
    """Starts and ends the processes of one sandbox.

    Args:
        api: The API.
        daemon: The daemon in the sandbox, or another one after it was resumed.
    """

    def __init__(self, api: E2BApi, daemon: Connect) -> None:
        self._api = api
        self.daemon = daemon

    @asynccontextmanager
    async def started(
        self,
        operation: str,
        config: Mapping[str, object],
        *,
        size: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
        lasts: float | None = None,
        head: float = _HEAD,
        keep: bool = False,
        stdin: str = "",
    ) -> AsyncIterator[Process]:
        """Start a process and give it once it runs; leaving the block ends it and all that it started.

        Args:
            operation: What that is, in the table.
            config: Program and arguments, and where it starts.
            size: Columns and rows, where it is to have a terminal.
            env: Its variables.
            lasts: Seconds after which the daemon is to end it, should nobody here do so any more.
            head: Seconds until it says that it runs.
            keep: Whether it goes on after the block.
            stdin: The file with its input, which is removed where it is ended.
        """
        process = Process(self.daemon, f"deskhand-{secrets.token_hex(8)}")
        mark = {} if keep else {_MARK: process.tag}
        message: JsonObject = {"process": {**config, "envs": {**(env or {}), **mark}}, "tag": process.tag}  # type: ignore[dict-item]
        if size is not None:
            message["pty"] = {"size": {"cols": size[0], "rows": size[1]}}
        else:
            message["stdin"] = False
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    lambda: process.follow(OPERATIONS[operation], message, lasts, is_urgent=False, head=head)
                )
                try:
                    await process.begun()
                    yield process
                except Exception as error:  # it goes on below, bare: the task group would wrap it
                    failure = error
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            process.close()
            if not (keep or process.is_over):
                await self._api.in_background(lambda: self.kill(process, stdin))
        if failure is not None:
            raise failure

    async def kill(self, process: Process, stdin: str = "") -> None:
        """End a process and whatever it has started; that it has ended meanwhile is fine."""
        with anyio.move_on_after(_PATIENCE):  # the daemon's own limit ends it a little later
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._signal, process)
                tasks.start_soon(self._sweep, process, stdin)
        process.is_over = True

    async def _signal(self, process: Process) -> None:
        """End a process itself."""
        message = {"process": {"tag": process.tag}, "signal": "SIGNAL_SIGKILL"}
        with suppress(DeskhandError):
            await self.daemon.call(OPERATIONS["end a process"], "process.Process/SendSignal", message, is_urgent=True)

    async def _sweep(self, process: Process, stdin: str) -> None:
        """End what bears its mark, and remove the file with its input."""
        script = _KILL.replace("@MARK@", f"{_MARK}={process.tag}").replace("@INPUT@", stdin)
        script = script.replace("@LEAST@", str(0 if process.has_begun else _LOOKS))
        request: JsonObject = {"process": {"cmd": "/bin/bash", "args": ["-l", "-c", script]}, "stdin": False}
        sweep = Process(self.daemon, "")
        try:
            await sweep.follow(OPERATIONS["end a process"], request, _SWEEP, is_urgent=True)
        finally:
            sweep.close()

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> ExecResult:
        """Run a command to its end; a timeout or cancellation ends it in the sandbox too.

        Args:
            command: The command line.
            timeout: Seconds.
            cwd: Where it starts; the home folder where not given.
            env: Further variables.
            stdin: The file with its input, which is read and removed; it is empty where not given.
        """
        seconds = checked_timeout(timeout)
        out, err, both = KeptOutput(), KeptOutput(), KeptOutput()
        began = time.monotonic()
        is_late = False
        async with self._command(command, seconds, cwd, env, stdin) as process:
            with anyio.move_on_after(seconds) as limit:
                async for kind, data in process.pieces():
                    both.add(data)
                    (err if kind == "stderr" else out).add(data)
            is_late = limit.cancelled_caught
        await anyio.lowlevel.checkpoint_if_cancelled()  # what ended it waited for nobody
        error = timed_out(seconds) if is_late else process.said or None
        code = None if is_late else process.exit_code
        return ExecResult(
            both.text(), out.text(), err.text(), code, error, time.monotonic() - began, out.dropped + err.dropped
        )

    @asynccontextmanager
    async def stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> AsyncIterator[ExecStream]:
        """Run a command and follow its output; leaving the block ends it."""
        seconds = checked_timeout(timeout)
        async with self._command(command, seconds, cwd, env, stdin) as process:
            yield _Followed(self, process, seconds)

    @asynccontextmanager
    async def _command(
        self, command: str, seconds: float, cwd: str | None, env: Mapping[str, str] | None, stdin: str
    ) -> AsyncIterator[Process]:
        check_command(command, env)
        if cwd is not None and (not cwd or "\0" in cwd):
            raise InvalidInputError(f"{cwd!r} is no folder")
        line = f"exec < {shlex.quote(stdin)}\nrm -f -- {shlex.quote(stdin)}\n{command}" if stdin else command
        check_command(line)
        config: dict[str, object] = {"cmd": "/bin/bash", "args": ["-l", "-c", line]}
        if cwd is not None:
            config["cwd"] = cwd
        lasts, head = math.ceil(seconds) + _MARGIN, min(_HEAD, seconds + _PATIENCE)
        async with self.started("run a command", config, env=env, lasts=lasts, head=head, stdin=stdin) as process:
            yield process


class _Followed(ExecStream):
    """A command whose output is followed."""

    def __init__(self, processes: Processes, process: Process, seconds: float) -> None:
        self._processes = processes
        self._process = process
        self._seconds = seconds
        self._ends = anyio.current_time() + seconds
        self._is_killed = False

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended by itself."""
        return self._process.exit_code

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over its output.

        Raises:
            DeadlineExceededError: If it takes too long, after which it is killed.
        """
        pieces = self._process.pieces()
        while not self._is_killed:
            piece = None
            with anyio.CancelScope(deadline=self._ends) as limit:
                piece = await anext(pieces, None)
            if limit.cancelled_caught:
                await self.kill()
                late = f"the command {timed_out(self._seconds)}"
                raise DeadlineExceededError(late, provider=NAME, effect="yes")
            if piece is None:
                return
            kind, data = piece
            yield ExecChunk("stderr" if kind == "stderr" else "stdout", data)

    async def kill(self) -> None:
        """End it and everything it started."""
        self._is_killed = True
        if not self._process.is_over:
            await self._processes.kill(self._process)
