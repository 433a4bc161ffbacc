"""Where a picture ends: what stands behind it is no part of it, and makes a file of another kind of it."""

from __future__ import annotations

import re
import struct
from typing import Final

__all__ = ["end_of"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"

_MOST: Final = 4_096
"""Parts of a picture that are looked at; a screenshot has some dozens."""

_PACKED: Final = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_MOST_PACKED: Final = 16
"""Texts and profiles of a PNG that are unpacked, up to a megabyte each, by whoever reads its header."""

_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends the packed lines of a JPEG."""


def end_of(data: bytes) -> int | None:
    """Return where a PNG or a JPEG ends, from its structure alone; ``None`` where it has no end, or too many parts."""
    return _png_end(data) if data.startswith(_PNG) else _jpeg_end(data) if data.startswith(_JPEG) else None


def _png_end(data: bytes) -> int | None:
    at, packed = len(_PNG), 0
    for _ in range(_MOST):
        if at + 12 > len(data):
            return None
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        packed += kind in _PACKED
        if packed > _MOST_PACKED:
            return None
        if kind == b"IEND":
            return at if at <= len(data) else None
    return None


def _jpeg_end(data: bytes) -> int | None:
    at = 2
    for _ in range(_MOST):
        if data[at : at + 1] != b"\xff" or at + 2 > len(data):
            return None
        kind = data[at + 1]
        if kind == 0xD9:
            return at + 2
        if kind == 0xFF:  # (filling)
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA:
            found = _MARKER.search(data, at)
            if found is None:
                return None
            at = found.start()
    return None
