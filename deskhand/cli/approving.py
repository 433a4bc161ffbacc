"""Asking the person at the terminal whether a call may run, with all that is needed to decide in view."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from deskhand.cli.home import private_file, private_folder
from deskhand.cli.text import indented
from deskhand.text import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from deskhand.cli.keyboard import Keyboard
    from deskhand.cli.terminal import Terminal
    from deskhand.harness.approvals import ApprovalRequest, Decision, OnApproval
    from deskhand.harness.blobs import BlobStore

__all__ = ["approval_at"]

REASON: Final = 2000
"""Characters of a reason that are shown, on one line: nothing in it can pass for the call, or for the question."""

NOBODY: Final = "nobody can be asked: standard input is no terminal"
QUESTION: Final = "run it? [y]es  [n]o  [a]lways in this run  [e]dit the arguments"


def approval_at(terminal: Terminal, keyboard: Keyboard, blobs: BlobStore) -> OnApproval:
    """Return what answers approvals by asking at a terminal; where there is none, it denies.

    Args:
        terminal: Where the call is shown.
        keyboard: Where it is answered.
        blobs: Where the part of the frame is that the call is about.
    """

    async def ask(request: ApprovalRequest) -> Decision:
        from deskhand.cli.lookalikes import lookalikes
        from deskhand.harness.approvals import Decision

        if not keyboard.there:
            return Decision("denied", "deskhand", NOBODY)
        terminal.wait_for(None)
        terminal.aside(f"{_source(request)} {one_line(request.reason, REASON)}")
        terminal.aside(indented(_shown(request), "  "))
        for warning in lookalikes(dict(request.arguments)):
            terminal.aside(indented(f"look closely: {warning}", "  "))
        crop = await _crop(request, blobs)
        if crop is not None:
            terminal.aside(f"  around its target: {crop}")
        arguments: Mapping[str, JsonValue] | None = None
        while True:
            match await keyboard.key(QUESTION, "ynae"):
                case "y":
                    return Decision("approved", "user", arguments=arguments)
                case "a":
                    return Decision("approved", "user", arguments=arguments, always=True)
                case "n":
                    return Decision("denied", "user", await keyboard.line("why? (Enter for no reason)") or None)
                case _:
                    edited = await _edited(terminal, keyboard, request)
                    arguments = edited if edited is not None else arguments

    return ask


def _source(request: ApprovalRequest) -> str:
    return "the model's vendor asks for a person's approval:" if request.checks else "may this be done?"


def _shown(request: ApprovalRequest) -> str:
    """Return the call with its arguments in full: what is hidden here could be what matters."""
    given = json.dumps(dict(request.arguments), ensure_ascii=False, indent=2)
    return f"{request.call.name} on {request.call.computer_id} (risk {request.risk})\n{given}"


async def _edited(terminal: Terminal, keyboard: Keyboard, request: ApprovalRequest) -> dict[str, JsonValue] | None:
    """Ask for other arguments, read as strictly as a model's; ``None`` where the person leaves it."""
    from deskhand.errors import InvalidInputError
    from deskhand.tools.arguments import parse_arguments

    while True:
        line = await keyboard.line("the arguments as JSON, on one line (Escape leaves them as they are):")
        if line is None:
            return None
        try:
            arguments = parse_arguments(line)
            request.check(arguments)
        except InvalidInputError as error:
            terminal.aside(visible(f"that does not do: {error.message}"))
        else:
            return arguments


async def _crop(request: ApprovalRequest, blobs: BlobStore) -> str | None:
    """Put the part of the frame that the call is about into the run's folder, and return its path."""
    import anyio.to_thread

    from deskhand.cli.home import runs_path
    from deskhand.errors import DeskhandError

    if request.crop is None:
        return None
    path = runs_path() / request.run_id / "approvals" / f"{request.id.rsplit('/', 1)[1]}.png"
    try:
        await anyio.to_thread.run_sync(_keep, path, await blobs.get(request.crop))
    except (OSError, DeskhandError):
        return None  # (evidence that cannot be shown is no reason not to ask)
    return str(path)


def _keep(path: Path, image: bytes) -> None:
    private_folder(path.parent)
    with private_file(path) as file:
        file.write(image)
