"""Daytona's route for commands: one merged output, a whole number of seconds, and a shell that may be any."""

from __future__ import annotations

import shlex

from deskhand.providers.answers import no_result
from deskhand.providers.daytona.api import NAME, DaytonaApi
from deskhand.providers.shell_commands import Line, Ran

__all__ = ["in_bash", "line_to"]


def in_bash(script: str) -> str:
    """Return a command line that runs a script in bash.

    Daemons give theirs to zsh, bash or sh, as an argument or on its standard input; this means the same to all.
    """
    return f"bash -c {shlex.quote(script)}"


def line_to(api: DaytonaApi, computer_id: str) -> Line:
    """Return what runs scripts on a computer."""

    async def run(
        operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        body = {"command": in_bash(script), "timeout": seconds}
        answer = await api.act(operation, computer_id, "process/execute", body, deadline=deadline, is_urgent=is_urgent)
        output, code = answer.get("result"), answer.get("exitCode", answer.get("code"))  # older daemons say code
        if not isinstance(output, str) or not isinstance(code, int) or isinstance(code, bool):
            raise no_result(NAME, operation, answer)
        return Ran(output, code, None if code >= 0 else "the command did not exit by itself")

    return run
