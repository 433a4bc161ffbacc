"""Pictures of a screen as somebody else took them: what is asked for, and what came back."""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from typing import Final, Literal

import anyio
import anyio.to_thread

from deskhand.errors import InvalidInputError, ProtocolError, UnsafeContentError
from deskhand.providers.contract import Region, Screen

__all__ = ["IMAGES_AT_ONCE", "ImageFormat", "check_region", "formed", "image_format", "size_of"]

ImageFormat = Literal["png", "jpeg", "auto"]

IMAGES_AT_ONCE: Final = 2
"""Pictures of one computer that are converted at once: each takes a thread and tens of megabytes."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"IEND\xaeB`\x82"
_JPEG: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
_LARGEST: Final = 16_384
_MOST_PIXELS: Final = 50_000_000


def image_format(name: str) -> ImageFormat:
    """Return the format of that name.

    Raises:
        InvalidInputError: If there is none.
    """
    formats: dict[str, ImageFormat] = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "auto": "auto"}
    if name not in formats:
        raise InvalidInputError(f"{name!r} is not an image format; formats are png, jpeg, auto")
    return formats[name]


def check_region(region: Region, screen: Screen) -> None:
    """Refuse a part that is not of the screen.

    Raises:
        InvalidInputError: If it is empty or beyond an edge.
    """
    left, top, right, bottom = region
    if not (0 <= left < right <= screen.width and 0 <= top < bottom <= screen.height):
        raise InvalidInputError(
            f"{tuple(region)} is no part of a screen of {screen.width}x{screen.height}",
            hint="left, top, right and bottom in pixels, right and bottom exclusive",
        )


def size_of(data: bytes, provider: str) -> Screen:
    """Return the size of a picture, from its header alone.

    Raises:
        ProtocolError: If it is neither PNG nor JPEG.
        UnsafeContentError: If it is too large to be a screen, or broken.
    """
    if data.startswith(_PNG) and len(data) > 33:
        _check_end(data, _PNG_END, provider)
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(_JPEG):
        _check_end(data, _JPEG_END, provider)
        width, height = _jpeg_size(data)
    else:
        raise ProtocolError(
            f"{provider}'s screenshot is neither PNG nor JPEG ({len(data)} bytes)",
            hint="take it again",
            provider=provider,
            effect="no",
        )
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST and width * height <= _MOST_PIXELS):
        raise UnsafeContentError(f"{provider}'s screenshot claims to be {width}x{height} pixels", provider=provider)
    return Screen(width, height)


def _check_end(data: bytes, end: bytes, provider: str) -> None:
    if end not in data[-64:]:
        raise UnsafeContentError(f"{provider}'s screenshot was cut off before its end", provider=provider)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk a JPEG's segments to the frame header."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return 0, 0


async def formed(
    data: bytes,
    region: Region | None,
    form: ImageFormat,
    provider: str,
    limiter: anyio.CapacityLimiter | None = None,
) -> bytes:
    """Return a picture, or a part of it, in the format asked for: itself where it is that already.

    Args:
        data: The picture.
        region: The part.
        form: The format.
        provider: Whose it is, as errors say it.
        limiter: How many are converted at once; as many as there are threads where not given.

    Raises:
        UnsafeContentError: If it cannot be decoded.
    """
    if region is None and (form == "auto" or (form == "png") == data.startswith(_PNG)):
        return data
    return await anyio.to_thread.run_sync(_converted, data, region, form, provider, limiter=limiter)


def _converted(data: bytes, region: Region | None, form: ImageFormat, provider: str) -> bytes:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as picture:
                part = (
                    picture if region is None else picture.crop((region.left, region.top, region.right, region.bottom))
                ).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as error:
        raise UnsafeContentError(f"{provider}'s screenshot cannot be decoded: {error}", provider=provider) from error
    packed = BytesIO()
    if form == "jpeg" or (form == "auto" and not data.startswith(_PNG)):
        part.save(packed, "JPEG", quality=80)
    else:
        part.save(packed, "PNG", compress_level=1)
    return packed.getvalue()
