"""Keeping keys out of events, logs and messages.

Two nets: the shapes of known vendors' keys, and the exact values of this process's own key variables. Redaction is the
last net, not the first: keys are held as ``SecretStr`` and not put into text at all.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from pydantic import JsonValue

from deskhand.errors import InvalidInputError

__all__ = ["MASK", "Flow", "Redactor", "is_shallow"]

MASK = "[redacted]"
MAX_DEPTH = 64
_HALF = re.compile("[\ud800-\udfff]")

_SHAPES = {
    "sk-ant-": r"sk-ant-[A-Za-z0-9_\-]{8,}",
    "sk-": r"sk-(?:proj|svcacct)-[A-Za-z0-9_\-]{20,}|(?<![A-Za-z0-9])sk-[A-Za-z0-9_\-]{20,}",  # (no "disk-", "task-")
    "sk_": r"sk_(?:live|test)_[A-Za-z0-9_\-]{8,}",
    "msk_": r"msk_[A-Za-z0-9_\-]{8,}",
    "e2b_": r"e2b_[A-Za-z0-9]{16,}",
    "dtn_": r"dtn_[A-Za-z0-9]{16,}",
    "Bearer ": r"(?<=Bearer )[A-Za-z0-9._~+/\-]{12,}=*",
}
"""What a key begins with, or stands behind, and its shape."""

_SECRET_VARIABLE = re.compile(r"(?:API_KEY|TOKEN|SECRET|PASSWORD)$")
_SHORTEST = 8


class Redactor:
    """Replaces keys in text and JSON by ``[redacted]``.

    Args:
        secrets: Exact values to hide besides the shapes of known keys; those with less than 8 characters are left out,
            as they are in too many texts by chance.
        exact: Values to hide however short they are, and as JSON, URLs and base64 write them.
    """

    def __init__(self, secrets: Iterable[str] = (), *, exact: Iterable[str] = ()) -> None:
        written = {form for value in exact for form in _forms(value)}
        literal = sorted({value for value in secrets if len(value) >= _SHORTEST} | written, key=len, reverse=True)
        self._longest = max(map(len, literal), default=0)
        self._pattern = re.compile("|".join((*map(re.escape, literal), *_SHAPES.values())))
        # Substring search is many times faster than the pattern on long texts, nearly all of which hold no key.
        marks = (*literal, *_SHAPES)
        self._marks = tuple(mark for mark in marks if not any(other != mark and other in mark for other in marks))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, *, exact: Iterable[str] = ()) -> Redactor:
        """Hide the values of the environment's key variables (``*_API_KEY``, ``*_TOKEN``, ...), and ``exact`` ones."""
        environment = os.environ if environment is None else environment
        return cls((value for name, value in environment.items() if _SECRET_VARIABLE.search(name)), exact=exact)

    def cut(self, text: str) -> int:
        """Return up to where a text that goes on may be shown now: no value can begin before that and end behind it."""
        end = max(0, len(text) - max(0, self._longest - 1))
        for found in self._pattern.finditer(text):
            if found.start() < end < found.end():
                return found.start()
        return end

    def text(self, value: str) -> str:
        """Return the text without keys."""
        return self._pattern.sub(MASK, value) if self._is_suspect(value) else value

    def clean(self, value: JsonValue) -> JsonValue:
        """Return the JSON value without keys; itself where it holds none, else with its containers copied.

        Half characters (lone surrogates, which no UTF-8 can hold) are replaced too.

        Raises:
            InvalidInputError: If it is nested deeper than 64 levels.
        """
        texts: list[str] = []
        _collect(value, texts, MAX_DEPTH)
        if not texts:
            return value
        text = "\n".join(texts)
        return self._cleaned(value) if self._is_suspect(text) or not _is_whole(text) else value

    def _is_suspect(self, text: str) -> bool:
        for mark in self._marks:  # noqa: SIM110 (a generator takes longer than what it would search)
            if mark in text:
                return True
        return False

    def _cleaned(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return _HALF.sub("\ufffd", self._pattern.sub(MASK, value))
        if isinstance(value, dict):
            return {str(self._cleaned(name)): self._cleaned(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._cleaned(item) for item in value]
        return value


class Flow:
    """Text that comes in pieces, passed on without what must be hidden, even where a piece ends within it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take in a piece and return what may be shown."""
        self._held += piece
        end = self._redactor.cut(self._held)
        shown, self._held = self._held[:end], self._held[end:]
        return self._redactor.text(shown)

    def flush(self) -> str:
        """Return the rest: nothing more comes."""
        shown, self._held = self._held, ""
        return self._redactor.text(shown)


def _forms(value: str) -> set[str]:
    """Return how a value may be written in texts."""
    encoded = base64.b64encode(value.encode()).decode()
    return {value, json.dumps(value)[1:-1], quote(value, safe=""), encoded}


def is_shallow(value: JsonValue, depth: int = MAX_DEPTH) -> bool:
    """Whether a JSON value is nested no deeper than events may be."""
    if isinstance(value, (dict, list)):
        items = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(is_shallow(item, depth - 1) for item in items)
    return True


def _is_whole(text: str) -> bool:
    return text.isascii() or _HALF.search(text) is None


def _collect(value: JsonValue, texts: list[str], depth: int) -> None:
    """Gather every string in a JSON value, names included."""
    if isinstance(value, str):
        texts.append(value)
        return
    if not isinstance(value, (dict, list)):
        return
    if depth <= 0:
        raise InvalidInputError(f"the value is nested deeper than {MAX_DEPTH} levels", hint="flatten it, or send text")
    items: Iterable[JsonValue] = value
    if isinstance(value, dict):
        texts.extend(value)
        items = value.values()
    for item in items:  # every event of every run comes by here: most of it is flat
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, (dict, list)):
            _collect(item, texts, depth - 1)
