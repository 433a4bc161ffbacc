"""Pictures that are none, or would harm whoever decodes them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from tests.harness.driving import png

__all__ = ["BAD", "bomb"]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Write a part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int = 12_000) -> bytes:
    """Draw a square of a side, in black and white: 17 kB that are 430 MB in colours."""
    rows = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    packed = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def talkative() -> bytes:
    """Draw a small picture with sixty texts of a megabyte each, packed into 70 kB."""
    whole = png(64, 48)
    text = b"".join(chunk(b"zTXt", b"t%d\0\0" % n + zlib.compress(bytes(1_000_000), 9)) for n in range(60))
    return whole[:33] + text + whole[33:]


def claiming(width: int, height: int) -> bytes:
    """Draw a small picture that says it is of another size."""
    whole = png(64, 48)
    return whole[:8] + chunk(b"IHDR", struct.pack(">II", width, height) + whole[24:29]) + whole[33:]


def saved(kind: str, *, frames: int = 1) -> bytes:
    """Draw a small picture of a kind, of several frames where that is asked for."""
    colours = ["red", "blue", "green"][:frames]
    pictures = [Image.new("RGB", (64, 48), colour) for colour in colours]
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(buffer, kind, **more)
    return buffer.getvalue()


def archive() -> bytes:
    """Pack a page into an archive, which is read from its end."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("index.html", "<script>alert(1)</script>")
    return buffer.getvalue()


BAD: Mapping[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a page": lambda: b"<html>Sign in</html>",
    "a drawing with a script": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "another format: WebP": lambda: saved("WEBP"),
    "another format: GIF": lambda: saved("GIF"),
    "another format: BMP": lambda: saved("BMP"),
    "animated GIF": lambda: saved("GIF", frames=2),
    "animated PNG": lambda: saved("PNG", frames=3),
    "cut PNG": lambda: png(64, 48)[:-20],
    "cut JPEG": lambda: saved("JPEG")[:-20],
    "header alone": lambda: png(64, 48)[:33],
    "bomb": bomb,
    "bomb of texts": talkative,
    "no width": lambda: claiming(0, 48),
    "no size": lambda: claiming(0, 0),
    "another size than its own": lambda: claiming(4_000_000_000, 1),
    "PNG that is a page": lambda: png(64, 48) + b"<script>x()</script>",
    "PNG that is an archive": lambda: png(64, 48) + archive() + chunk(b"IEND", b""),
    "JPEG that is a page": lambda: saved("JPEG") + b"<script>x()</script>",
    "JPEG that is an archive": lambda: saved("JPEG") + archive() + b"\xff\xd9",
    "50 MB": lambda: saved("JPEG")[:-2] + bytes(50_000_000) + b"\xff\xd9",
}
"""What a computer might show in place of its screen."""
