"""The server's pictures, which show no pointer: it is drawn into them, as an arrow."""

from __future__ import annotations

import binascii
from io import BytesIO
from typing import Final

from deskhand.errors import ProtocolError, UnsafeContentError
from deskhand.providers.cua.api import NAME

__all__ = ["picture_of", "with_pointer"]

_ARROW: Final = ((0, 0), (0, 16), (4, 12), (7, 18), (9, 17), (6, 11), (11, 11))
"""The outline of a pointer, its tip first, in pixels."""


def picture_of(image: object) -> bytes:
    """Return the picture in an answer.

    Raises:
        ProtocolError: If there is none.
    """
    try:
        if isinstance(image, str) and image:
            return binascii.a2b_base64(image, strict_mode=True)
    except (binascii.Error, ValueError):
        pass
    raise ProtocolError("cua's screenshot is no base64", hint="take it again", provider=NAME, effect="no")


def with_pointer(data: bytes, position: tuple[int, int]) -> bytes:
    """Return a PNG of a picture with the pointer in it.

    Raises:
        UnsafeContentError: If it cannot be decoded.
    """
    from PIL import Image, ImageDraw, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as picture:
            drawn = picture.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UnsafeContentError(f"cua's screenshot cannot be decoded: {error}", provider=NAME) from error
    outline = [(position[0] + x, position[1] + y) for x, y in _ARROW]
    ImageDraw.Draw(drawn).polygon(outline, fill=(0, 0, 0), outline=(255, 255, 255))
    packed = BytesIO()
    drawn.save(packed, "PNG", compress_level=1)
    return packed.getvalue()
