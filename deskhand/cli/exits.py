"""Exit codes: one table, printed by ``deskhand --help``."""

from __future__ import annotations

import enum

from deskhand.errors import (
    AuthError,
    BudgetExceededError,
    ConfigError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    RunStoppedError,
    UnsupportedError,
)

__all__ = ["EXIT_CODES", "Exit", "exit_of_error", "exit_of_outcome"]


class Exit(enum.IntEnum):
    """How a command ended, as the shell sees it."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    REFUSED = 4
    BUDGET = 5
    EXEC = 125
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES: dict[Exit, str] = {
    Exit.COMPLETED: "completed",
    Exit.FAILED: "failed",
    Exit.USAGE: "wrong usage or input: an option, a name, a file that is not there",
    Exit.CONFIGURATION: "something is missing or refused: a key, an X server, a program",
    Exit.REFUSED: "the model declined the goal",
    Exit.BUDGET: "the budget is used up: turns, money, time",
    Exit.EXEC: "`deskhand exec` itself failed (else it ends with the command's own code)",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
    Exit.TERMINATED: "stopped by SIGTERM or SIGHUP",
}
"""What each code means, in the words of the help text."""

_ERRORS: tuple[tuple[type[DeskhandError], Exit], ...] = (
    (ConfigError, Exit.CONFIGURATION),
    (AuthError, Exit.CONFIGURATION),
    (PermissionDeniedError, Exit.CONFIGURATION),
    (UnsupportedError, Exit.CONFIGURATION),
    (InvalidInputError, Exit.USAGE),
    (NotFoundError, Exit.USAGE),
    (RefusedError, Exit.REFUSED),
    (BudgetExceededError, Exit.BUDGET),
    (RunStoppedError, Exit.INTERRUPTED),
)
_CODES = {kind.code: code for kind, code in _ERRORS} | {"file_not_found": Exit.USAGE}
_OUTCOMES = {"completed": Exit.COMPLETED, "refused": Exit.REFUSED, "budget_exceeded": Exit.BUDGET}


def exit_of_error(error: DeskhandError) -> Exit:
    """Return the exit code of an error."""
    return next((code for kind, code in _ERRORS if isinstance(error, kind)), Exit.FAILED)


def exit_of_outcome(outcome: str, error_code: str | None = None) -> Exit:
    """Return the exit code of a run that ended by itself: its outcome's, and of a failed one its error's."""
    if outcome == "failed" and error_code is not None:
        return _CODES.get(error_code, Exit.FAILED)
    return _OUTCOMES.get(outcome, Exit.FAILED)
