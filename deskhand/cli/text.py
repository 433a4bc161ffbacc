"""Text laid out for a terminal."""

from __future__ import annotations

import textwrap

from deskhand.text import visible

__all__ = ["indented"]


def indented(text: str, prefix: str) -> str:
    """Return the text, as `visible` shows it, with each of its lines behind a prefix."""
    return textwrap.indent(visible(text.strip("\n")), prefix, lambda _line: True)
