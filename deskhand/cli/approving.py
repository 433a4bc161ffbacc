"""Asking the person at the terminal whether a call may run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deskhand.cli.text import one_line

if TYPE_CHECKING:
    from deskhand.cli.terminal import Terminal
    from deskhand.harness.approvals import ApprovalRequest, Decision, OnApproval
    from deskhand.tools.calls import ToolCall

__all__ = ["approval_at"]

NOBODY = "nobody can be asked: standard input is no terminal"


def approval_at(terminal: Terminal) -> OnApproval:
    """Return what answers approvals by asking at a terminal; where there is none, it denies."""

    async def ask(request: ApprovalRequest) -> Decision:
        import anyio

        from deskhand.harness.approvals import Decision

        if not sys.stdin.isatty():
            return Decision("denied", "deskhand", NOBODY)
        terminal.wait_for(None)
        terminal.aside(f"the model's vendor asks for a person's approval: {one_line(request.reason, 500)}")
        terminal.aside(
            f"  {one_line(f'{request.call.name} {_arguments(request.call)}', 2000)}\nrun it? [y/N] then Enter:"
        )
        await anyio.wait_readable(sys.stdin)  # (a terminal hands over whole lines, so that reading one does not block)
        answer = sys.stdin.readline().strip().lower()
        return Decision("approved" if answer in {"y", "yes"} else "denied", "user")

    return ask


def _arguments(call: ToolCall) -> str:
    arguments = call.arguments
    return (
        arguments if isinstance(arguments, str) else " ".join(f"{name}={value!r}" for name, value in arguments.items())
    )
