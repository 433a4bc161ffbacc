"""Orgo's screenshots: four shapes of an answer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ProtocolError
from deskhand.providers.orgo.api import NAME

__all__ = ["inline_image"]

_SPACE: Final = re.compile(r"\s+")


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
