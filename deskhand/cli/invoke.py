"""How every command runs: its loop, its signals, its errors, its exit code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import typer

from deskhand.cli.exits import Exit, exit_of_error
from deskhand.cli.stopping import Stopper, stoppable
from deskhand.cli.terminal import Terminal
from deskhand.errors import DeskhandError, InvalidInputError

__all__ = ["Body", "invoke"]

Body = Callable[[Terminal, Stopper], Awaitable[int]]
"""What a command does; returns the exit code."""

REPORT = "run it again with --debug, and report what that prints as a bug of deskhand"


def invoke(body: Body, *, json: bool, debug: bool, failure: Exit | None = None) -> None:
    """Run a command's body and end the command with its exit code.

    Args:
        body: What it does.
        json: Whether results are JSON lines.
        debug: Whether to print tracebacks.
        failure: The exit code where the command itself fails; by the error's kind where not given.

    Raises:
        typer.Exit: Always, with the code.
    """
    import anyio

    terminal = Terminal(json=json)
    try:
        code = anyio.run(_stoppable, body, terminal)
    except (KeyboardInterrupt, BrokenPipeError, typer.Exit):
        raise
    except Exception as error:  # the last net: no error leaves the program as a traceback
        code = _tell(_leaf(error), terminal, failure, debug=debug)
    raise typer.Exit(code)


async def _stoppable(body: Body, terminal: Terminal) -> int:
    """Run a body until it ends or a signal stops it."""
    async with stoppable(terminal.aside) as stopper:
        try:
            return await body(terminal, stopper)
        except Exception as error:
            if stopper.exit is None:  # what breaks while a stopped command is torn down is no news, but for its notes
                raise
            terminal.notes_of(_leaf(error))
    return stopper.exit or Exit.FAILED


def _leaf(error: BaseException) -> BaseException:
    """Take one error out of the groups that it came in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tell(error: BaseException, terminal: Terminal, failure: Exit | None, *, debug: bool) -> int:
    terminal.wait_for(None)
    if debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, BrokenPipeError):
        raise error
    if not isinstance(error, DeskhandError):
        error = DeskhandError(f"something unforeseen: {type(error).__name__}: {error}", hint=REPORT, code="internal")
    code = failure if failure is not None and not isinstance(error, InvalidInputError) else exit_of_error(error)
    terminal.error(error, code)
    return code
