"""The episode that every loop plays: the model sees the screen, and then each of its turns clicks and looks.

Each frame is a new PNG of about 150 kB, and all of them stay in the history.
"""

from __future__ import annotations

import base64
import random
import struct
import zlib
from collections.abc import Iterator

GOAL = "Click the button and look whether it worked."
WIDTH, HEIGHT, FRAME_SIZE = 1280, 800, 150_000
CLICKED = "Clicked."
CLICK_SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}
LOOK_SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def frames(size: int = FRAME_SIZE) -> Iterator[bytes]:
    """Yield frames of about so many bytes that all differ, each in memory of its own; blank ones where that is 0."""
    depth, colour, row = (8, 2, 1 + 3 * WIDTH) if size else (1, 0, 1 + WIDTH // 8)
    pixels = random.Random(7).randbytes(size).ljust(row * HEIGHT, b"\0")
    pixels = b"".join(b"\0" + pixels[at + 1 : at + row] for at in range(0, row * HEIGHT, row))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(pixels, 1))
    end = _chunk(b"IEND", b"")
    number = 0
    while True:
        number += 1
        yield b"".join((start, _chunk(b"tEXt", b"frame\0%d" % number), end))


def base64_of(frame: bytes) -> str:
    """Return a frame as the vendors' APIs take it."""
    return base64.b64encode(frame).decode()
