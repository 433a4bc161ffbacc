"""Images of a request: data URLs whose bytes must be what they say they are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections import OrderedDict
from dataclasses import dataclass

from .errors import refused

__all__ = ["OpenAIImageReader", "SentImage"]

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)
NO_IMAGE = (
    "The image data you provided does not represent a valid image. Please check your input and try again with one of "
    "the following image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp']."
)


@dataclass(frozen=True, slots=True)
class SentImage:
    """What an image turned out to be: its size in pixels as sent, its media type and the digest of its URL."""

    width: int
    height: int
    media_type: str
    digest: str


class OpenAIImageReader:
    """Decodes images, each only once: a stateless conversation sends its history again with every request.

    Args:
        remember: How many images are remembered.
    """

    def __init__(self, *, remember: int = 4096) -> None:
        self._remember = remember
        self._known: OrderedDict[str, SentImage] = OrderedDict()

    def read(self, param: str, url: str) -> SentImage:
        """Decodes an image.

        Args:
            param: Where it stands.
            url: Its data URL.

        Raises:
            OpenAIError: 400 where it is none, or another one than the URL says.
        """
        digest = hashlib.blake2b(url.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        image = self._known.get(digest)
        if image is None:
            image = self._known[digest] = _decode(param, url, digest)
            if len(self._known) > self._remember:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        return image


def _decode(param: str, url: str, digest: str) -> SentImage:
    from PIL import Image, UnidentifiedImageError

    found = DATA_URL.match(url)
    if found is None:
        # The API fetches other URLs; a fake reaches out to nothing.
        message = f"Invalid '{param}'. Expected a base64-encoded data URL with an image MIME type."
        raise refused(param, message, "invalid_value")
    try:
        content = base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused(param, "Invalid base64 image_url.", "invalid_base64_image") from error
    if not content:
        raise refused(param, "The image file is empty.", "empty_image_file")
    try:
        with Image.open(io.BytesIO(content), formats=list(MEDIA_TYPES)) as image:
            (width, height), media_type = image.size, MEDIA_TYPES[str(image.format)]
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise refused(param, "The image has too many pixels.", "image_too_large") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise refused(param, NO_IMAGE, "invalid_image") from error
    if found[1].lower() != media_type:
        message = f"The image URL says {found[1]}, but the image appears to be a {media_type} image."
        raise refused(param, message, "invalid_image_format")
    return SentImage(width, height, media_type, digest)
