"""Commands for a service whose one route for them knows no folder, variable, input, fine timeout or end.

A command is sent in a few lines of shell that only use what bash has built in, so that it costs one fork. It is marked,
in the environment of what it starts and in the command line of its shell; another request finds the mark and kills
what bears it, but for the outermost shell, which then hands over the output so far.
"""

from __future__ import annotations

import base64
import math
import re
import secrets
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import anyio

from deskhand.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    OutcomeUnknownError,
)
from deskhand.providers.contract import KEPT_OUTPUT, ExecResult
from deskhand.providers.execution import LONGEST_COMMAND, KeptOutput, check_command, checked_timeout, timed_out

__all__ = ["INLINE", "Background", "Line", "Marked", "Ran", "ShellCommands", "inline_input", "kept"]

INLINE: Final = 60_000
"""Bytes that travel inside a command; a command line holds 128 KiB, and base64 makes three bytes four."""

Background: TypeAlias = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does something to its end, whatever becomes of whoever asked for it."""

_MARGIN: Final = 15.0
"""Seconds that an answer may take beyond its command."""
_SERVER_MARGIN: Final = 5
"""Seconds after which the server ends what we should have ended."""
_KILL_SECONDS: Final = 8
"""Seconds after which the server ends what ends a command."""
_KILL_DEADLINE: Final = 5.0
"""Seconds until the service has said that a command was ended."""
_LAST: Final = 5.0
"""Seconds for the answer to a command that was ended: what it printed so far is on its way."""
_PLAIN: Final = 60
"""Seconds for a script of our own."""
_MARK: Final = "deskhand-call:"
_NO_FOLDER: Final = 97
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_KILL: Final = r"""
n=0 seen= stat=
while [ $n -lt 40 ]; do
  found=
  for f in $(grep -lsa -- '@PATTERN@' /proc/[0-9]*/environ /proc/[0-9]*/cmdline); do
    pid=${f#/proc/}; pid=${pid%%/*}
    if [ "${f##*/}" = cmdline ]; then
      { read -r stat < /proc/$pid/stat; } 2>/dev/null || continue
      set -- ${stat##*) }
      cmp -s /proc/$pid/cmdline /proc/$2/cmdline || continue
    fi
    found="$found $pid"
  done
  if [ -n "$found" ]; then
    seen=1; kill -STOP $found; kill -KILL $found
  elif [ -n "$seen" ] || [ $n -ge 20 ]; then
    break
  fi
  n=$((n+1)); sleep 0.05
done 2>/dev/null
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a script.

    Attributes:
        output: What it printed; its errors too where the service merges them.
        exit_code: How it ended.
        error: Why there is no plain result, or ``None``.
        stderr: What it printed to stderr; ``None`` where the service merges.
    """

    output: str
    exit_code: int
    error: str | None = None
    stderr: str | None = None


class Line(Protocol):
    """Runs a bash script on a computer, by a vendor's own route."""

    async def __call__(
        self, operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        """Run it.

        Args:
            operation: What it is for, as the vendor's table of operations has it.
            script: The script.
            seconds: After how long the service is to end it itself.
            deadline: Seconds for the answer, in place of the operation's own.
            is_urgent: Whether it need not wait until others are done.
        """
        ...


@dataclass(frozen=True, slots=True)
class Marked:
    """A command in the lines that it is sent in, and the mark by which it is found again."""

    script: str
    token: str

    @classmethod
    def of(
        cls,
        provider: str,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        held: Mapping[str, str] | None = None,
    ) -> Marked:
        """Put a command into the lines that give it a folder, variables, an input and a mark.

        Args:
            provider: Whose computer it is for, as errors say it.
            command: The command line.
            cwd: Where it starts; the home folder where not given.
            env: Further variables.
            stdin: A redirection of its input, as shell text.
            held: Of variables whose values are to be in no command line, the ones that the service sets in their place.

        Raises:
            InvalidInputError: If that cannot be sent.
        """
        token = secrets.token_hex(8)
        return cls(_wrapped(provider, command, token, cwd=cwd, env=env or {}, stdin=stdin, held=held or {}), token)

    def found_no_folder(self, code: int, output: str) -> bool:
        """Whether an end says that the folder is not there."""
        return code == _NO_FOLDER and output == f"{_MARK}{self.token}"

    def may_say_no_folder(self, output: bytes) -> bool:
        """Whether what came so far may become the word for a folder that is not there."""
        return f"{_MARK}{self.token}".encode().startswith(output)

    @property
    def word(self) -> str:
        """The script as one word for another shell, in whose own command line the mark is not found."""
        return shlex.quote(self.script).replace(_MARK, f"{_MARK[:4]}''{_MARK[4:]}")

    @property
    def end(self) -> str:
        """The script that ends it."""
        pattern = f"{_MARK}[{self.token[0]}]{self.token[1:]}"  # a pattern that does not match itself
        return _KILL.replace("@PATTERN@", pattern)


class ShellCommands:
    """Runs commands on one computer.

    Args:
        provider: Whose it is, as errors say it.
        line: Runs scripts there.
        in_background: Does to its end what must be done although nobody waits.
    """

    def __init__(self, provider: str, line: Line, in_background: Background) -> None:
        self._provider = provider
        self._line = line
        self.in_background = in_background

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> ExecResult:
        """Run a command to its end; a timeout or cancellation ends it on the computer too.

        Args:
            command: The command line.
            timeout: Seconds.
            cwd: Where it starts; the home folder where not given.
            env: Further variables.
            stdin: A redirection of its input, as shell text; it is empty where not given.
        """
        seconds = checked_timeout(timeout)
        marked = Marked.of(self._provider, command, cwd=cwd, env=env, stdin=stdin)
        began = time.monotonic()
        ran, is_late = await self._run_marked(marked, seconds)
        output, dropped = kept(ran.output)
        if marked.found_no_folder(ran.exit_code, output):
            raise FileMissingError(f"there is no folder {cwd} on the computer", provider=self._provider)
        error = timed_out(seconds) if is_late else ran.error
        code = None if is_late else ran.exit_code
        duration = time.monotonic() - began
        if ran.stderr is None:
            return ExecResult(output, None, None, code, error, duration, dropped)
        stderr, dropped_too = kept(ran.stderr)
        return ExecResult(output + stderr, output, stderr, code, error, duration, dropped + dropped_too)

    async def _run_marked(self, marked: Marked, seconds: float) -> tuple[Ran, bool]:
        """Send a command; end it when its time is over, or when nobody waits for it any more."""
        ran: Ran | None = None
        failure: DeskhandError | None = None
        is_late = False

        async def watch() -> None:
            nonlocal is_late
            await anyio.sleep(seconds)
            is_late = True
            await anyio.sleep(await self._end(marked))
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                try:
                    ran = await self._line(
                        "run a command",
                        marked.script,
                        seconds=math.ceil(seconds) + _SERVER_MARGIN,
                        deadline=seconds + _MARGIN,
                    )
                except DeskhandError as error:
                    failure = error
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self.in_background(lambda: self.kill(marked))
            raise
        if failure is not None:
            if is_late and failure.effect != "no":  # a server that answers with an error when a command was killed
                return Ran("", 1), True
            raise failure
        return ran or Ran("", 1), is_late

    async def kill(self, marked: Marked) -> None:
        """End a command and whatever it has started; that it has ended meanwhile is fine."""
        await self._end(marked)

    async def _end(self, marked: Marked) -> float:
        """End a command; return for how many seconds its answer is worth waiting for then."""
        try:
            await self._line(
                "run a command", marked.end, seconds=_KILL_SECONDS, deadline=_KILL_DEADLINE, is_urgent=True
            )
        except (ConnectionLostError, DeadlineExceededError, OutcomeUnknownError):
            return 0.0  # whoever is silent about this does not answer that either
        except DeskhandError:
            return _SERVER_MARGIN + _LAST  # the service's own timeout ends it
        return _LAST

    async def plain(self, operation: str, script: str, *, is_urgent: bool = False) -> tuple[str, int]:
        """Run a script of our own, which takes no time to speak of; return its output and exit code."""
        ran = await self._line(operation, script, seconds=_PLAIN, is_urgent=is_urgent)
        return ran.output, ran.exit_code


def kept(output: str) -> tuple[str, int]:
    """Return what is kept of a command's output, and the bytes that are not."""
    if len(output) <= KEPT_OUTPUT:
        return output, 0
    parts = KeptOutput()
    parts.add(output.encode(errors="replace"))
    return parts.text(), parts.dropped


def _wrapped(
    provider: str,
    command: str,
    token: str,
    *,
    cwd: str | None,
    env: Mapping[str, str],
    stdin: str | None,
    held: Mapping[str, str],
) -> str:
    """Put a command into the lines that give it a folder, variables, an input and a mark.

    Raises:
        InvalidInputError: If that cannot be sent.
    """
    check_command(command, env)
    lines = ["exec 3>&2 2>/dev/null </dev/null", "cd"]
    if cwd is not None:
        if not cwd or "\0" in cwd:
            raise InvalidInputError(f"{cwd!r} is no folder")
        home = cwd == "~" or cwd.startswith("~/")
        folder = shlex.quote((cwd[2:] or ".") if home else cwd)
        lines.append(f"cd -- {folder} || {{ printf %s {_MARK}{token}; exit {_NO_FOLDER}; }}")
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidInputError(f"{name!r} cannot be a variable of a shell", hint="letters, digits and _")
        lines.append(f"export {name}={shlex.quote(value)}" if name not in held else f'export {name}="${held[name]}"')
    if held:
        lines.append(f"unset {' '.join(held.values())}")
    mark = f"export DESKHAND_CALL={_MARK}{token}"
    lines.append(f"({mark}; eval -- {shlex.quote(command)}) {stdin or '</dev/null'} 2>&3 3>&-")
    line = "\n".join(lines)
    beside = "".join(env[name] for name in held)
    if len((line + beside).encode(errors="surrogateescape")) > LONGEST_COMMAND:
        raise InvalidInputError(
            f"the command with all it needs is longer than {LONGEST_COMMAND} bytes",
            hint="write it to a file and run that",
            provider=provider,
        )
    return line


def inline_input(data: bytes) -> str:
    """Return the redirection that gives a command these bytes."""
    return f"< <(printf %s {base64.b64encode(data).decode()} | base64 -d)"
