"""The options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from deskhand.errors import InvalidInputError

__all__ = ["ComputerArgument", "DebugOption", "JsonOption", "parse_screen"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON lines on stdout, all else on stderr.")]
DebugOption = Annotated[
    bool, typer.Option("--debug", envvar="DESKHAND_DEBUG", help="Print tracebacks.", show_envvar=False)
]
ComputerArgument = Annotated[
    str,
    typer.Argument(metavar="COMPUTER", help="local for a fresh one, or PROVIDER:ID for one that exists."),
]

SMALLEST, LARGEST = 64, 8192
"""Pixels along a side of a screen."""


def parse_screen(text: str | None) -> tuple[int, int] | None:
    """Return a screen's size from ``1280x800``.

    Raises:
        InvalidInputError: If it is none.
    """
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if cross and width.isdecimal() and height.isdecimal() and width.isascii() and height.isascii():
        size = (int(width), int(height))
        if all(SMALLEST <= side <= LARGEST for side in size):
            return size
    raise InvalidInputError(
        f"--screen {text!r} is no size of a screen",
        hint=f"width x height in pixels, {SMALLEST} to {LARGEST} each, such as --screen 1280x800",
    )
