"""Orgo's screenshots: four shapes of an answer, two image formats, and what the contract asks for."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import Final

from pydantic import JsonValue

from deskhand.errors import InvalidInputError, ProtocolError, UnsafeContentError
from deskhand.providers.contract import Region, Screen
from deskhand.providers.orgo.api import NAME

__all__ = ["check_format", "check_region", "converted", "inline_image", "size_of"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"IEND\xaeB`\x82"
_JPEG: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
_LARGEST: Final = 16_384
_MOST_PIXELS: Final = 50_000_000
_SPACE: Final = re.compile(r"\s+")
_FORMATS: Final = ("png", "jpeg", "auto")


def check_format(name: str) -> str:
    """Return the format of that name.

    Raises:
        InvalidInputError: If there is none.
    """
    name = "jpeg" if name == "jpg" else name
    if name not in _FORMATS:
        raise InvalidInputError(f"{name!r} is not an image format; formats are {', '.join(_FORMATS)}")
    return name


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


def inline_image(answer: Mapping[str, JsonValue]) -> bytes | str:
    """Return the picture in an answer, or the path or URL where it is.

    ``mime_type`` says that it is inline; what base64 begins with does not (a JPEG's begins like a path).

    Raises:
        ProtocolError: If there is none.
    """
    image = answer.get("image")
    if not isinstance(image, str) or not image.strip():
        raise ProtocolError("orgo's screenshot is empty", hint="take it again", provider=NAME, effect="no")
    if answer.get("mime_type") is None:
        if image.startswith("data:"):
            return _decoded(image.partition(",")[2])
        if image.startswith(("http://", "https://", "/api/", "/storage/")) or _is_path(image):
            return image
    elif image.startswith("data:"):
        return _decoded(image.partition(",")[2])
    return _decoded(image)


def _is_path(image: str) -> bool:
    """Whether it is a path: base64 of a JPEG begins with a slash too, but is long and decodes to one."""
    return image.startswith("/") and not image.startswith("/9j/")


def _decoded(text: str) -> bytes:
    """Decode base64, which old servers send with line breaks and without padding."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        pass
    packed = _SPACE.sub("", text).rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("orgo's screenshot is no base64", provider=NAME, effect="no") from error


def size_of(data: bytes) -> Screen:
    """Return the size of a picture, from its header alone.

    Raises:
        ProtocolError: If it is neither PNG nor JPEG.
        UnsafeContentError: If it is too large to be a screen, or broken.
    """
    if data.startswith(_PNG) and len(data) > 33:
        _check_end(data, _PNG_END)
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(_JPEG):
        _check_end(data, _JPEG_END)
        width, height = _jpeg_size(data)
    else:
        raise ProtocolError(
            f"orgo's screenshot is neither PNG nor JPEG ({len(data)} bytes)",
            hint="take it again",
            provider=NAME,
            effect="no",
        )
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST and width * height <= _MOST_PIXELS):
        raise UnsafeContentError(f"orgo's screenshot claims to be {width}x{height} pixels", provider=NAME)
    return Screen(width, height)


def _check_end(data: bytes, end: bytes) -> None:
    if end not in data[-64:]:
        raise UnsafeContentError("orgo's screenshot was cut off before its end", provider=NAME)


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


def converted(data: bytes, region: Region | None, form: str) -> bytes:
    """Return a picture, or a part of it, in the format asked for; itself where it is that already.

    Raises:
        UnsafeContentError: If it cannot be decoded.
    """
    is_png = data.startswith(_PNG)
    if region is None and (form == "auto" or (form == "png") == is_png):
        return data
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as picture:
                part = (
                    picture if region is None else picture.crop((region.left, region.top, region.right, region.bottom))
                ).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as error:
        raise UnsafeContentError(f"orgo's screenshot cannot be decoded: {error}", provider=NAME) from error
    packed = BytesIO()
    if form == "jpeg" or (form == "auto" and not is_png):
        part.save(packed, "JPEG", quality=80)
    else:
        part.save(packed, "PNG", compress_level=1)
    return packed.getvalue()
