"""The episode that every loop plays: the model sees the screen, and then each of its turns clicks and looks.

Each frame is a new PNG of about 150 kB, and all of them stay in the history.
"""

from __future__ import annotations

import base64
import random
import struct
import zlib
from collections.abc import Iterator

MODEL = "claude-sonnet-5-5"
GOAL = "Click the button and look whether it worked."
TOOLSET = {"type": "computer_toolset_20260801"}
WIDTH, HEIGHT, FRAME_SIZE = 1280, 800, 150_000


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def frames() -> Iterator[bytes]:
    """Yield frames that all differ, each in memory of its own."""
    row = 1 + 3 * WIDTH
    pixels = random.Random(7).randbytes(FRAME_SIZE).ljust(row * HEIGHT, b"\0")
    pixels = b"".join(b"\0" + pixels[at + 1 : at + row] for at in range(0, row * HEIGHT, row))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(pixels, 1))
    end = _chunk(b"IEND", b"")
    number = 0
    while True:
        number += 1
        yield b"".join((start, _chunk(b"tEXt", b"frame\0%d" % number), end))


def image(frame: bytes) -> dict[str, object]:
    """Return a frame as a block of a message."""
    data = base64.b64encode(frame).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def goal(frame: bytes) -> list[object]:
    """Return the content of the first message."""
    return [{"type": "text", "text": GOAL}, image(frame)]


def result(call_id: str, content: object) -> dict[str, object]:
    """Return the answer to a call."""
    return {"type": "tool_result", "tool_use_id": call_id, "toolset_name": "computer", "content": [content]}


CLICKED = {"type": "text", "text": "Clicked."}
