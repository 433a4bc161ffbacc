"""Turn a captured frame into PNG or JPEG.

A frame is converted once into PNG scanlines (a filter byte 0, then RGB) in a buffer that is kept from one frame to the
next: fresh multi-megabyte buffers cost more in page faults than the conversion itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from types import ModuleType

from deskhand.providers.pictures import ImageFormat

__all__ = ["Cursor", "FrameEncoder"]

"""How a frame is encoded; ``auto`` is PNG, but JPEG where a photo-like PNG would be very large."""

_JPEG_QUALITY = 80
_LARGE_PNG = 600 * 1024
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_Crc = Callable[[bytes, int], int]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The pointer's picture: premultiplied ARGB pixels, and where its top left corner is in the frame."""

    x: int
    y: int
    width: int
    height: int
    pixels: Sequence[int]


class FrameEncoder:
    """Encodes frames of up to one size, one at a time (callers hold a lock); uses numpy and isal where installed."""

    def __init__(self, width: int, height: int) -> None:
        self._scanlines = bytearray(height * (1 + 3 * width))
        self._numpy = _numpy()
        self._compress, self._crc = _deflate()

    def encode(self, frame: memoryview, width: int, height: int, cursor: Cursor | None, form: ImageFormat) -> bytes:
        """Encode a frame.

        Args:
            frame: Rows of 4 bytes a pixel: blue, green, red and one that means nothing.
            width: Pixels in a row.
            height: Rows.
            cursor: The pointer to draw, already relative to the frame.
            form: The image format.
        """
        stride = 1 + 3 * width
        rows = memoryview(self._scanlines)[: stride * height]
        if self._numpy is not None:
            _convert(self._numpy, frame, rows, width, height)
        else:
            _convert_slowly(frame, rows, width, height)
        if cursor is not None:
            _draw(cursor, rows, width, height)
        if form == "jpeg":
            return _jpeg(rows, width, height)
        png = self._png(rows, width, height)
        return _jpeg(rows, width, height) if form == "auto" and len(png) > _LARGE_PNG else png

    def _png(self, rows: memoryview, width: int, height: int) -> bytes:
        parts = [_SIGNATURE]
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, no interlacing
        for kind, data in ((b"IHDR", header), (b"IDAT", self._compress(rows, 1)), (b"IEND", b"")):
            crc = self._crc(data, zlib.crc32(kind))
            parts += (struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc))
        return b"".join(parts)


def _numpy() -> ModuleType | None:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _deflate() -> tuple[Callable[[memoryview, int], bytes], _Crc]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compress, zlib.crc32
    return isal_zlib.compress, isal_zlib.crc32


def _convert(numpy: ModuleType, frame: memoryview, rows: memoryview, width: int, height: int) -> None:
    stride = 1 + 3 * width
    source = numpy.frombuffer(frame, numpy.uint8, width * height * 4).reshape(height, width, 4)
    target = numpy.ndarray((height, width, 3), numpy.uint8, rows, 1, (stride, 3, 1))
    for channel in range(3):  # one strided copy a channel is 4 times faster than reversing the last axis
        target[..., channel] = source[..., 2 - channel]
    numpy.ndarray((height,), numpy.uint8, rows, 0, (stride,))[:] = 0


def _convert_slowly(frame: memoryview, rows: memoryview, width: int, height: int) -> None:
    stride = 1 + 3 * width
    line = bytearray(stride)
    for row in range(height):
        pixels = bytes(frame[row * width * 4 : (row + 1) * width * 4])
        line[1::3], line[2::3], line[3::3] = pixels[2::4], pixels[1::4], pixels[0::4]
        rows[row * stride : (row + 1) * stride] = line


def _draw(cursor: Cursor, rows: memoryview, width: int, height: int) -> None:
    """Blend the pointer over the scanlines: a few hundred pixels."""
    stride = 1 + 3 * width
    for index, pixel in enumerate(cursor.pixels):
        alpha = pixel >> 24
        x, y = cursor.x + index % cursor.width, cursor.y + index // cursor.width
        if not alpha or not 0 <= x < width or not 0 <= y < height:
            continue
        at = y * stride + 1 + 3 * x
        for channel, value in enumerate((pixel >> 16 & 255, pixel >> 8 & 255, pixel & 255)):
            rows[at + channel] = min(255, value + rows[at + channel] * (255 - alpha) // 255)


def _jpeg(rows: memoryview, width: int, height: int) -> bytes:
    from PIL import Image

    image = Image.frombytes("RGB", (width, height), bytes(rows[1:]), "raw", "RGB", 1 + 3 * width, 1)
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue()
