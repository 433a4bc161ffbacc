"""Commands over Orgo's one route for them, which knows no folder, variable, input, fine timeout or end.

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
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import anyio

from deskhand.errors import DeskhandError, FileMissingError, InvalidInputError, ProtocolError
from deskhand.providers.contract import KEPT_OUTPUT, ExecResult
from deskhand.providers.execution import LONGEST_COMMAND, KeptOutput, check_command, checked_timeout, timed_out
from deskhand.providers.orgo.api import NAME, JsonObject, OrgoApi

__all__ = ["INLINE", "Commands", "exit_code_of", "output_of"]

INLINE: Final = 60_000
"""Bytes that travel inside a command; a command line holds 128 KiB, and base64 makes three bytes four."""

_MARGIN: Final = 15.0
"""Seconds that an answer may take beyond its command."""
_SERVER_MARGIN: Final = 5
"""Seconds after which the server ends what we should have ended."""
_KILL_DEADLINE: Final = 8.0
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


class Commands:
    """Runs commands on one computer."""

    def __init__(self, api: OrgoApi, computer_id: str) -> None:
        self._api = api
        self._computer_id = computer_id

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
        token = secrets.token_hex(8)
        line = _wrapped(command, token, cwd, env or {}, stdin)
        began = time.monotonic()
        answer, is_late = await self._run_marked(line, token, seconds)
        output, dropped = output_of(answer)
        code = exit_code_of(answer)
        if code == _NO_FOLDER and output == f"{_MARK}{token}":
            raise FileMissingError(f"there is no folder {cwd} on the computer", provider=NAME)
        error = timed_out(seconds) if is_late else _error_of(answer)
        return ExecResult(output, None, None, None if is_late else code, error, time.monotonic() - began, dropped)

    async def _run_marked(self, line: str, token: str, seconds: float) -> tuple[JsonObject, bool]:
        """Send a command; end it when its time is over, or when nobody waits for it any more."""
        body = {"command": line, "timeout": math.ceil(seconds) + _SERVER_MARGIN}
        deadline = seconds + _MARGIN
        answer: JsonObject | None = None
        failure: DeskhandError | None = None
        is_late = False

        async def watch() -> None:
            nonlocal is_late
            await anyio.sleep(seconds)
            is_late = True
            await self._kill(token)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                try:
                    answer = await self._api.act("run a command", self._computer_id, "bash", body, deadline=deadline)
                except DeskhandError as error:
                    failure = error
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._api.in_background(lambda: self._kill(token))
            raise
        if failure is not None:
            if is_late and failure.effect != "no":  # a server that answers with an error when a command was killed
                return {"success": False, "output": ""}, True
            raise failure
        return answer or {}, is_late

    async def _kill(self, token: str) -> None:
        """End what a call has started; that it has ended meanwhile is fine."""
        pattern = f"{_MARK}[{token[0]}]{token[1:]}"  # a pattern that does not match itself
        body = {"command": _KILL.replace("@PATTERN@", pattern), "timeout": math.ceil(_KILL_DEADLINE)}
        with suppress(DeskhandError):  # the server's own timeout ends it a little later
            await self._api.act(
                "run a command", self._computer_id, "bash", body, deadline=_KILL_DEADLINE, is_urgent=True
            )

    async def plain(self, operation: str, script: str, *, is_urgent: bool = False) -> tuple[str, int]:
        """Run a script of our own, which takes no time to speak of; return its output and exit code."""
        answer = await self._api.act(
            operation, self._computer_id, "bash", {"command": script, "timeout": 60}, is_urgent=is_urgent
        )
        output = answer.get("output")
        return output if isinstance(output, str) else "", exit_code_of(answer)


def _wrapped(command: str, token: str, cwd: str | None, env: Mapping[str, str], stdin: str | None) -> str:
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
        lines.append(f"export {name}={shlex.quote(value)}")
    mark = f"export DESKHAND_CALL={_MARK}{token}"
    lines.append(f"({mark}; eval -- {shlex.quote(command)}) {stdin or '</dev/null'} 2>&3 3>&-")
    line = "\n".join(lines)
    if len(line.encode(errors="surrogateescape")) > LONGEST_COMMAND:
        raise InvalidInputError(
            f"the command with all it needs is longer than {LONGEST_COMMAND} bytes",
            hint="write it to a file and run that",
            provider=NAME,
        )
    return line


def inline_input(data: bytes) -> str:
    """Return the redirection that gives a command these bytes."""
    return f"< <(printf %s {base64.b64encode(data).decode()} | base64 -d)"


def output_of(answer: Mapping[str, object]) -> tuple[str, int]:
    """Return a command's output, within bounds, and the bytes that were not kept."""
    output = answer.get("output", "")
    if not isinstance(output, str):
        raise ProtocolError("orgo's answer holds no output", provider=NAME, effect="yes")
    if len(output) <= KEPT_OUTPUT:
        return output, 0
    kept = KeptOutput()
    kept.add(output.encode(errors="replace"))
    return kept.text(), kept.dropped


def exit_code_of(answer: Mapping[str, object]) -> int:
    """Return the exit code; where the server names none, ``success`` tells no more than whether it was 0."""
    code = answer.get("exit_code")
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    return 0 if answer.get("success") is True else 1


def _error_of(answer: Mapping[str, object]) -> str | None:
    """Return why there is no plain result, where the server has one: with an exit code there is."""
    if answer.get("exit_code") is not None or answer.get("success") is True:
        return None
    error = answer.get("error")
    return error[:500] if isinstance(error, str) and error else "the command could not be run"
