"""Commands on a host: followed as they run, each ended with everything it started when its time or its block is over.

A command is a bash script in the lines of `deskhand.providers.shell_commands`, with a mark by which another request
finds it and ends it: whoever only follows a command is not told the id of its job.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
from pydantic import JsonValue
from pydantic_core import to_json

from deskhand.errors import (
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    NotFoundError,
    OutcomeUnknownError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers.answers import text
from deskhand.providers.contract import ExecChunk, ExecResult, ExecStream
from deskhand.providers.execution import KeptOutput, checked_timeout, timed_out
from deskhand.providers.http import Stream
from deskhand.providers.http.events import ServerEvent, ServerEvents, event_fields
from deskhand.providers.miosa.service import EVENTS
from deskhand.providers.opencomputers.api import NAME, OPERATIONS, HostApi
from deskhand.providers.shell_commands import Line, Marked, Ran, ShellCommands

__all__ = ["EXEC", "HostCommands", "HostStream", "line_to"]

EXEC: Final = "exec"

_MARGIN: Final = 10.0
"""Seconds beyond its time after which a command counts as ended although nobody says so."""
_HEADERS: Final = (("content-type", "application/json"), EVENTS)
_NO_CODE: Final = "it did not exit by itself"
_TIMED_OUT: Final = ("timeout", "timed out", "timed_out", "deadline")


def line_to(api: HostApi, host_id: str) -> Line:
    """Return what runs scripts of our own on a host, whose output comes as a whole."""

    async def run(
        operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        body = {**_command(script), "timeout_ms": seconds * 1000, "stream": False}
        answer = await api.act(operation, host_id, EXEC, body, deadline=deadline, is_urgent=is_urgent)
        stdout, code = answer.get("stdout", ""), answer.get("exit_code")
        if not isinstance(stdout, str) or not isinstance(code, int):
            raise ProtocolError(f"the answer of {NAME} tells no output and end of a command", provider=NAME)
        return Ran(stdout, code)

    return run


def _command(script: str) -> dict[str, object]:
    return {"cmd": "bash", "args": ["-c", script]}


class HostStream(ExecStream):
    """A command that runs on a host.

    Args:
        answer: What the vendor tells of it.
        marked: The command.
        commands: What ends it.
        seconds: How long it may take.
        cwd: The folder that it was to start in.

    Attributes:
        is_late: Whether its time was up.
    """

    def __init__(
        self, answer: Stream, marked: Marked, commands: ShellCommands, seconds: float, cwd: str | None
    ) -> None:
        self._events = ServerEvents(answer, NAME)
        self._marked = marked
        self._commands = commands
        self._seconds = seconds
        self._ends = anyio.current_time() + seconds + _MARGIN
        self._cwd = cwd
        self._held = b""
        self._is_checked = cwd is None
        self._exit_code: int | None = None
        self._is_told = False
        self._is_over = False
        self._is_killed = False
        self.is_late: bool = False

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended; ``None`` before, and where it did not exit by itself."""
        return None if self.is_late else self._exit_code

    @property
    def may_run(self) -> bool:
        """Whether nobody has told of its end."""
        return not self._is_told

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended.

        Raises:
            DeadlineExceededError: If its time was up.
            FileMissingError: If the folder that it was to start in is not there.
            OutcomeUnknownError: If the connection broke.
        """
        while not self._is_over:
            chunk = await self._next()
            if chunk is not None and chunk.data:
                yield chunk
        if self.is_late:
            raise DeadlineExceededError(f"the command {timed_out(self._seconds)}", effect="yes", provider=NAME)

    async def _next(self) -> ExecChunk | None:
        event: ServerEvent | None = None
        with anyio.move_on_at(self._ends) as scope:
            event = await anext(self._events, None)
        if scope.cancelled_caught:
            self._is_over = self.is_late = True
            return None
        if event is None:
            self._is_over = True
            if self._is_killed:
                return None
            raise OutcomeUnknownError(f"{NAME} stopped telling of a command before its end", provider=NAME)
        return self._read(event)

    def _read(self, event: ServerEvent) -> ExecChunk | None:
        fields = event_fields(event, NAME)
        match event.name:
            case "exec_chunk":
                return self._chunk(fields)
            case "exec_result":
                return self._ended(fields)
            case "exec_error":
                self._failed(fields)
        return None  # what newer servers tell besides

    def _chunk(self, fields: Mapping[str, JsonValue]) -> ExecChunk | None:
        data = fields.get("data")
        said = data.encode(errors="surrogatepass") if isinstance(data, str) else b""
        if fields.get("stream") == "stderr":
            return ExecChunk("stderr", said)
        if not self._is_checked:  # the words that say that there is no such folder are no output
            self._held += said
            if self._marked.may_say_no_folder(self._held):
                return None
            said, self._held, self._is_checked = self._held, b"", True
        return ExecChunk("stdout", said)

    def _ended(self, fields: Mapping[str, JsonValue]) -> ExecChunk | None:
        code = fields.get("exit_code")
        self._exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
        self._is_over = self._is_told = True
        held, self._held = self._held, b""
        if self._marked.found_no_folder(self._exit_code or 0, held.decode(errors="replace")):
            raise FileMissingError(f"there is no folder {self._cwd} on the computer", effect="no", provider=NAME)
        return ExecChunk("stdout", held)

    def _failed(self, fields: Mapping[str, JsonValue]) -> None:
        self._is_over = True
        reason = str(fields.get("reason") or "it does not say why")[:500]
        if text(fields.get("job_id")) is not None or any(word in reason.lower() for word in _TIMED_OUT):
            self.is_late = True  # the vendor names the job in this case alone
        elif not self._is_killed:
            raise ProviderError(
                f"{NAME} failed to run a command: {reason}",
                hint="see that the host has bash, and what came of the command",
                effect="unknown",
                retryable=False,
                provider=NAME,
            )

    async def finish(self) -> None:
        """Let go of the answer, so that its connection can be used again, where it has told the command's end."""
        if not self.may_run:
            await self._events.finish()

    async def kill(self) -> None:
        """End the command and everything it started."""
        self._is_killed = True
        await self._commands.kill(self._marked)


class HostCommands(ShellCommands):
    """Runs commands on one host.

    Args:
        api: The API.
        host_id: The host.
    """

    def __init__(self, api: HostApi, host_id: str) -> None:
        super().__init__(NAME, line_to(api, host_id), api.in_background)
        self._api = api
        self._host_id = host_id

    @asynccontextmanager
    async def follow(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> AsyncIterator[HostStream]:
        """Run a command and follow it; leaving the block ends it on the host.

        Args:
            command: The command line.
            timeout: Seconds.
            cwd: Where it starts; the home folder where not given.
            env: Further variables.
            stdin: A redirection of its input, as shell text; it is empty where not given.
        """
        seconds = checked_timeout(timeout)
        held = {name: f"DESKHAND_VALUE_{number}" for number, name in enumerate(env or {})}
        marked = Marked.of(NAME, command, cwd=cwd, env=env, stdin=stdin, held=held)
        body = {**_command(marked.script), "timeout_ms": math.ceil(seconds * 1000), "stream": True}
        if env:  # beside the command, which the vendor keeps, and under names that bash and the agent make nothing of
            body["env"] = [{"name": held[name], "value": value} for name, value in env.items()]
        running: HostStream | None = None
        is_sent = True
        try:
            async with self._opened(to_json(body), seconds + _MARGIN) as answer:
                running = HostStream(answer, marked, self, seconds, cwd)
                yield running
                await running.finish()
        except DeskhandError as error:
            is_sent = running is not None or error.effect != "no"
            raise
        finally:
            if is_sent and (running is None or running.may_run):
                await self.in_background(lambda: self.kill(marked))

    @asynccontextmanager
    async def _opened(self, content: bytes, seconds: float) -> AsyncIterator[Stream]:
        operation = OPERATIONS["run a command"]
        stream = self._api.http.stream(
            operation,
            self._api.path(self._host_id, EXEC),
            content,
            silence=seconds + _MARGIN,
            deadline=seconds,
            headers=_HEADERS,
        )
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(stream)
            except FileMissingError:
                raise
            except (NotFoundError, UnsupportedError) as error:
                raise await self._api.told(error, operation.name, self._host_id, EXEC) from error
            yield answer

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> ExecResult:
        """Run a command to its end; `follow` says what the arguments are."""
        began = time.monotonic()
        both, apart = KeptOutput(), {"stdout": KeptOutput(), "stderr": KeptOutput()}
        async with self.follow(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin) as running:
            try:
                async for chunk in running:
                    both.add(chunk.data)
                    apart[chunk.stream].add(chunk.data)
            except DeadlineExceededError:
                if not running.is_late:
                    raise
        error = None if running.exit_code is not None else _NO_CODE
        return ExecResult(
            both.text(),
            apart["stdout"].text(),
            apart["stderr"].text(),
            running.exit_code,
            timed_out(checked_timeout(timeout)) if running.is_late else error,
            time.monotonic() - began,
            sum(kept.dropped for kept in apart.values()),
        )
