"""Names that look like others: letters of several scripts in one word, and hosts that are not plain ASCII."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import JsonValue

__all__ = ["lookalikes"]

_TOKEN: Final = re.compile(r"[^\s/\\@:'\"()<>{}\[\],;|&=?#]+")
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")
"""Characters that count as the dot of a host name."""

_SHOWN: Final = 10


def lookalikes(arguments: JsonValue) -> list[str]:
    """Return a line for each name in a call's arguments that may not be what it looks like."""
    found: dict[str, None] = {}
    for text in _texts(arguments):
        if not text.isascii():
            for match in _TOKEN.finditer(text):
                if _misleads(match[0]):
                    found[f"{match[0]} is written {ascii(match[0])[1:-1]}"] = None
                    if len(found) == _SHOWN:
                        return [*found, "and others"]
    return list(found)


def _texts(value: JsonValue) -> Iterator[str]:
    waiting: list[JsonValue] = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case list() as items:
                waiting.extend(items)
            case dict() as fields:
                waiting.extend(fields.values())
            case _:
                pass


def _misleads(token: str) -> bool:
    if token.isascii():
        return False
    labels = [label for label in _DOTS.split(token) if label]
    is_host = len(labels) > 1 and re.fullmatch(r"[^\W\d_]{2,}|xn--\w+", labels[-1]) is not None
    return is_host or len(_scripts(token)) > 1


def _scripts(letters: Iterable[str]) -> set[str]:
    return {unicodedata.name(letter, "?").partition(" ")[0] for letter in letters if letter.isalpha()}
