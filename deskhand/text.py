"""Text of others on its way to a terminal or a log: shown, never interpreted."""

from __future__ import annotations

import re

__all__ = ["one_line", "visible"]

# C0 (but for newline and tab) and C1 controls, bidirectional and other invisible format controls, separators that
# break lines, language tags and selectors that carry hidden text, and lone surrogates, which no encoding can take.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e01ef]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    r"""Return the text with everything that a terminal would act on written out (``\x1b``); lines and tabs stay."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str, width: int = 300) -> str:
    """Return the text as one line of at most ``width`` characters."""
    line = visible(text.strip()[: width + 1].replace("\n", " ⏎ ").replace("\t", " "))
    return line if len(line) <= width else line[: width - 1] + "…"
