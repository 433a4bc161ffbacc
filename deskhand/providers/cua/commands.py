"""Commands over a route that knows no folder, variable, input, timeout or bound, and takes output for UTF-8.

What a command prints is kept within bounds on the computer: the beginning and the end of each stream, and how much
there was, come back in base64. A watchdog on the computer ends what outlives whoever asked for it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from deskhand.errors import FileMissingError, InvalidInputError, ProtocolError, ProviderError
from deskhand.providers.contract import KEPT_OUTPUT, ExecResult
from deskhand.providers.cua.api import NAME
from deskhand.providers.cua.server import CuaServer
from deskhand.providers.execution import LONGEST_COMMAND, KeptOutput, checked_timeout, timed_out
from deskhand.providers.shell_commands import Line, Marked, Ran, ShellCommands

__all__ = ["LONGEST_INPUT", "CuaCommands", "line_to"]

LONGEST_INPUT: Final = 30_000
"""Bytes of a command's input that travel with it; they are put into base64 twice."""

_HALF: Final = KEPT_OUTPUT // 2
_CAPTURE: Final = r"""
exec 2>/dev/null
umask 077
d=$(mktemp -d) && cd "$d" && mkfifo out err out.more err.more || exit 96
trap 'rm -rf -- "$d"' EXIT
keep() {
  tail -c @HALF@ < $1.more > $1.tail &
  { head -c @HALF@ > $1.head; tee $1.more | wc -c > $1.count; } < $1
  wait
}
keep out & keep err &
s=$(printf %s @SCRIPT@ | base64 -d)
bash -c "$s" >out 2>err
code=$?
wait
printf '%s %s %s %s' @TOKEN@ $code $(cat out.count) $(cat err.count)
for f in out.head out.tail err.head err.tail; do printf '\n'; base64 -w0 < $f; done
"""
"""Runs a script and prints one line with its end, and four with what was kept of its output. The script is packed, so
that its mark stands in its own command line and nowhere else."""


def line_to(server: CuaServer) -> Line:
    """Return what runs scripts on a computer."""

    async def run(
        operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        line = f"exec timeout -k 2 {seconds} bash -c {shlex.quote(script)}"
        if len(line.encode(errors="surrogateescape")) > LONGEST_COMMAND:
            raise InvalidInputError(
                f"the command with all it needs is longer than {LONGEST_COMMAND} bytes",
                hint="write it to a file and run that",
                provider=NAME,
            )
        answer = await server.ask(operation, {"command": line}, deadline=deadline, is_urgent=is_urgent)
        output, code = answer.get("stdout"), answer.get("return_code")
        if not isinstance(output, str) or isinstance(code, bool) or not isinstance(code, int):
            raise ProtocolError("cua's answer holds no output or no exit code", provider=NAME, effect="yes")
        return Ran(output, code)

    return run


class CuaCommands(ShellCommands):
    """Runs commands on one computer, their output bounded and apart."""

    def __init__(self, server: CuaServer) -> None:
        super().__init__(NAME, line_to(server), server.in_background)

    async def run(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> ExecResult:
        """Run a command to its end; see `ShellCommands.run`."""
        seconds = checked_timeout(timeout)
        marked = Marked.of(NAME, command, cwd=cwd, env=env, stdin=stdin)
        token = secrets.token_hex(8)
        packed = base64.b64encode(marked.script.encode(errors="surrogateescape")).decode()
        captured = _CAPTURE.replace("@HALF@", str(_HALF)).replace("@TOKEN@", token).replace("@SCRIPT@", packed)
        began = time.monotonic()
        ran, is_late = await self._run_marked(replace(marked, script=captured), seconds)
        code, stdout, stderr = _read(ran, token) if ran.output or not is_late else (1, KeptOutput(), KeptOutput())
        out, err = stdout.text(), stderr.text()
        if marked.found_no_folder(code, out):
            raise FileMissingError(f"there is no folder {cwd} on the computer", provider=NAME)
        return ExecResult(
            output=out + err,
            stdout=out,
            stderr=err,
            exit_code=None if is_late else code,
            error=timed_out(seconds) if is_late else None,
            duration=time.monotonic() - began,
            dropped=stdout.dropped + stderr.dropped,
        )


def _read(ran: Ran, token: str) -> tuple[int, KeptOutput, KeptOutput]:
    """Read what the capturing script printed: how the command ended, and what was kept of both streams."""
    head, *parts = ran.output.split("\n")
    fields = head.split(" ")
    if fields[0] != token or len(fields) != 4 or len(parts) != 4:
        raise ProviderError(
            f"the command could not be run or its output not be kept (status {ran.exit_code})",
            hint="the computer needs bash, coreutils and a temporary folder with space left",
            provider=NAME,
            effect="no" if ran.exit_code in {96, 126, 127} else "unknown",
        )
    try:
        code, *counts = (int(field) for field in fields[1:])
        pieces = [binascii.a2b_base64(part, strict_mode=True) if part else b"" for part in parts]
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("a command's output did not arrive whole", provider=NAME, effect="yes") from error
    return code, _joined(pieces[0], pieces[1], counts[0]), _joined(pieces[2], pieces[3], counts[1])


def _joined(head: bytes, tail: bytes, count: int) -> KeptOutput:
    """Return a stream of which the beginning and, of ``count`` bytes behind it, the end were kept."""
    kept = KeptOutput()
    kept.add(head)
    kept.add(tail)
    kept.skip(count - len(tail))
    return kept
