"""The entry point; everything else is imported inside it, so that Ctrl-C during that shows no traceback either."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: The words behind ``deskhand``; this process's own where not given.
    """
    try:
        from deskhand.cli.app import run_app

        return run_app(arguments)
    except KeyboardInterrupt:
        return 130
