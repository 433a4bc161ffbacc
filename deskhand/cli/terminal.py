"""What a command says: results on stdout, all else on stderr, and errors as people can use them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deskhand.cli.text import indented
from deskhand.errors import DeskhandError
from deskhand.text import one_line, visible

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.status import Status

__all__ = ["Terminal", "error_lines"]


def error_lines(message: str, hint: str | None, request_id: str | None) -> str:
    """Return an error's text: what happened and why, then what to do, then how the other side calls the request."""
    lines = [f"error: {visible(message)}"]
    if hint:
        lines.append(indented(hint, "  try: "))
    if request_id:
        lines.append(f"  request id: {one_line(request_id)}")
    return "\n".join(lines)


class Terminal:
    """Where one command's output goes.

    Args:
        json: Whether results are JSON lines.
    """

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self._status: Status | None = None
        for stream in (sys.stdout, sys.stderr):  # what the terminal's encoding lacks is written out, never an error
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")

    def result(self, text: str, value: Mapping[str, JsonValue] | None = None) -> None:
        """Print a result: its text, or with ``--json`` its value as one line."""
        if not self.json:
            self._print(text, sys.stdout)
        elif value is not None:
            self.line(value)

    def line(self, value: Mapping[str, JsonValue]) -> None:
        """Print one JSON line; ASCII alone, so that nothing in it acts on a terminal."""
        self._print(json.dumps(value), sys.stdout)

    def note(self, text: str) -> None:
        """Print something for the person: on stdout beside plain results, on stderr beside JSON."""
        self._print(text, sys.stderr if self.json else sys.stdout)

    def aside(self, text: str) -> None:
        """Print something for the person on stderr; nothing in it acts on the terminal."""
        self._print(visible(text), sys.stderr)

    def error(self, error: DeskhandError, exit_code: int) -> None:
        """Print an error on stderr, and with ``--json`` also as a line on stdout."""
        self.aside(error_lines(error.message, error.hint, error.request_id))
        self.notes_of(error)
        if self.json:
            self.line(
                {
                    "type": "error",
                    "code": error.code,
                    "message": error.message,
                    "hint": error.hint,
                    "retryable": error.retryable,
                    "effect": error.effect,
                    "request_id": error.request_id,
                    "exit_code": exit_code,
                }
            )

    def notes_of(self, error: BaseException) -> None:
        """Print on stderr what is noted on an error, such as a computer that was left behind."""
        for noted in getattr(error, "__notes__", ()):
            self.aside(indented(str(noted), "  note: "))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under headings."""
        shown = [tuple(headings), *(tuple(one_line(cell, 80) for cell in row) for row in rows)]
        widths = [max(len(row[column]) for row in shown) for column in range(len(headings))]
        for row in shown:
            self._print(
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), sys.stdout
            )

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Show on a terminal that something is being waited for."""
        before = self._status
        self.wait_for(for_what)
        try:
            yield
        finally:
            self.wait_for(None)
            self._status = before

    def wait_for(self, for_what: str | None) -> None:
        """Change what is being waited for, or end that; nothing is shown where stderr is no terminal."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if for_what is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.status import Status
            from rich.text import Text

            self._status = Status(Text(one_line(for_what, 100)), console=Console(stderr=True))
            self._status.start()

    def _print(self, text: str, stream: object) -> None:
        status = self._status
        if status is not None:
            status.stop()
        print(text, file=stream, flush=True)  # type: ignore[call-overload]
        if status is not None:
            status.start()
