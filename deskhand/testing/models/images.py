"""Images of a request: they must decode to what they say they are, and fit the model's limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from .profiles import ImageTier
from .wire import ApiError, as_dict, as_text, invalid

__all__ = ["ImageDigests", "ImageReader", "PlacedImage", "SentImage", "check_limits"]

MAX_IMAGE_BYTES = 5 * 1024 * 1024
MAX_SIDE = 8000
MANY_IMAGES = 20
MAX_SIDE_OF_MANY = 2000
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True)
class SentImage:
    """What an image turned out to be: its size in pixels as sent, its media type and its digest."""

    width: int
    height: int
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image and where it stands; ``strict`` where an oversized image is an error and not scaled down."""

    path: str
    sent: SentImage
    strict: bool


class ImageDigests:
    """The digests of the images of one request, each made once however often it is asked for."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[str, str]] = {}

    def of(self, data: str) -> str:
        """Returns the digest of an image's base64 text."""
        made = self._made.get(id(data))
        if made is None:
            # The text is kept beside its digest, so that its id stays its own.
            made = data, hashlib.blake2b(data.encode(errors="surrogatepass"), digest_size=16).hexdigest()
            self._made[id(data)] = made
        return made[1]


class ImageReader:
    """Decodes images, each only once: a conversation sends its history again with every request.

    Args:
        remember: How many images are remembered.
    """

    def __init__(self, *, remember: int = 1024) -> None:
        self._remember = remember
        self._known: OrderedDict[str, SentImage] = OrderedDict()

    def read(self, path: str, source: JsonValue, digests: ImageDigests) -> SentImage:
        """Decodes the base64 source of an image block.

        Args:
            path: Where the block stands.
            source: Its source.
            digests: The digests of the request's images.

        Raises:
            ApiError: 400 where the bytes are no image, or another one than the media type says.
        """
        fields = as_dict(source)
        data, media_type = as_text(fields.get("data")), as_text(fields.get("media_type"))
        place = f"{path}.image.source.base64"
        digest = digests.of(data)
        image = self._known.get(digest)
        if image is None:
            image = _decode(f"{place}.data", data, digest)
            self._known[digest] = image
            if len(self._known) > self._remember:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        if image.media_type != media_type:
            raise invalid(
                f"{place}.data",
                f"The image was specified using the {media_type} media type, but the image appears to be a "
                f"{image.media_type} image",
            )
        return image


def _decode(path: str, data: str, digest: str) -> SentImage:
    from PIL import Image, UnidentifiedImageError

    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(path, "Input should be a valid base64 string") from error
    if len(content) > MAX_IMAGE_BYTES:
        raise invalid(path, f"image exceeds 5 MB maximum: {len(content)} bytes > {MAX_IMAGE_BYTES} bytes")
    try:
        with Image.open(io.BytesIO(content), formats=list(MEDIA_TYPES)) as image:
            (width, height), media_type = image.size, MEDIA_TYPES[str(image.format)]
            if max(width, height) > MAX_SIDE:
                raise invalid(path, f"At least one of the image dimensions exceed max allowed size: {MAX_SIDE} pixels")
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise invalid(path, "Could not process image") from error
    return SentImage(width, height, media_type, digest)


def check_limits(images: Sequence[PlacedImage], tier: ImageTier) -> None:
    """Checks the sizes of all images of a request against the model's limits.

    Raises:
        ApiError: 400 where a side is too long among many images, or a toolset's image is over the model's size.
    """
    if len(images) > MANY_IMAGES:
        over = [image.path for image in images if max(image.sent.width, image.sent.height) > MAX_SIDE_OF_MANY]
        if over:
            paths: list[JsonValue] = list(over)
            raise ApiError(
                400,
                f"{over[0]}.image.source.base64.data: At least one of the image dimensions exceed max allowed size for "
                f"many-image requests: {MAX_SIDE_OF_MANY} pixels",
                details={
                    "error_code": "image_dimensions_too_large",
                    "max_side_length_pixels": MAX_SIDE_OF_MANY,
                    "paths": paths,
                },
            )
    for image in images:
        width, height = image.sent.width, image.sent.height
        if image.strict and not tier.allows(width, height):
            fit_width, fit_height = tier.fit(width, height)
            raise invalid(
                image.path,
                f"image is {width}x{height} pixels ({tier.tokens(width, height)} tokens), which exceeds the maximum "
                f"image size of this model; the largest size that fits is {fit_width}x{fit_height}",
            )
