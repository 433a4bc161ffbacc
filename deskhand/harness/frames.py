"""Screenshots on their way to a model: checked by their header, sized within the model's limits, kept as blobs."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from deskhand.errors import NotFoundError, PayloadTooLargeError, UnsafeContentError
from deskhand.harness.picture_ends import end_of
from deskhand.providers.contract import Screen

if TYPE_CHECKING:
    from PIL.Image import Image

    from deskhand.harness.blobs import BlobStore
    from deskhand.tools.calls import Frame

__all__ = ["FrameLimits", "PreparedFrame", "crop_around", "prepare_frame"]

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGE_PIXELS = 16_000_000
_MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}
_PNG = ("PNG", {"compress_level": 1})
_CROP = Screen(400, 240)
"""Pixels around its target that are shown to whoever decides about a call."""

_JPEG = tuple(("JPEG", {"quality": quality}) for quality in (85, 70, 50, 25))


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """How large an image a model takes.

    Attributes:
        max_edge: The longest side in pixels.
        max_tokens: The most image tokens, counted as patches.
        patch: A patch's side in pixels.
        max_bytes: Bytes of the encoded image; what is larger is sent as JPEG.
    """

    max_edge: int | None = None
    max_tokens: int | None = None
    patch: int = 28
    max_bytes: int | None = None

    def allows(self, width: int, height: int) -> bool:
        """Whether an image of that size is within the limits."""
        if self.max_edge is not None and max(width, height) > self.max_edge:
            return False
        tokens = math.ceil(width / self.patch) * math.ceil(height / self.patch)
        return self.max_tokens is None or tokens <= self.max_tokens

    def fit(self, width: int, height: int) -> Screen:
        """Return the largest size of the same aspect within the limits, never larger than given."""
        if self.allows(width, height):
            return Screen(width, height)
        low, high = 1, width
        while low < high:  # the largest width that still fits
            middle = (low + high + 1) // 2
            if self.allows(middle, max(1, round(middle * height / width))):
                low = middle
            else:
                high = middle - 1
        return Screen(low, max(1, round(low * height / width)))


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """An image ready to be sent: its bytes, type and size, and the size that it had."""

    data: bytes
    mime: str
    size: Screen
    original: Screen


def _open(data: bytes) -> Image:
    """Read an image's header and refuse what would be dangerous or useless to decode."""
    from PIL import Image, UnidentifiedImageError

    if len(data) > MAX_IMAGE_BYTES:
        raise PayloadTooLargeError(f"the screenshot has {len(data)} bytes; allowed are {MAX_IMAGE_BYTES}", effect="yes")
    end = end_of(data)
    if end is None:
        raise UnsafeContentError("the screenshot is no PNG or JPEG image, or one that is cut off")
    if data[end:].strip(b"\0\t\n\r "):
        raise UnsafeContentError("the screenshot has something behind its end")
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(_MIME))
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnsafeContentError("the screenshot is not a PNG or JPEG image of sensible size") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UnsafeContentError(f"the screenshot's header is broken: {error}") from error
    width, height = image.size
    if width < 1 or height < 1 or width * height > MAX_IMAGE_PIXELS:
        raise UnsafeContentError(f"the screenshot claims {width}x{height} pixels; allowed are 1 to {MAX_IMAGE_PIXELS}")
    if getattr(image, "n_frames", 1) != 1:
        raise UnsafeContentError("the screenshot is an animation")
    return image


def _redraw(image: Image, size: Screen, max_bytes: int | None) -> tuple[bytes, str]:
    """Encode an image anew: in another size, and as JPEG of falling quality where it would have too many bytes."""
    from PIL import Image

    try:
        redrawn = image.convert("RGB")
        if size != redrawn.size:
            redrawn = redrawn.resize(size, Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError) as error:
        raise UnsafeContentError(f"the screenshot cannot be decoded: {error}") from error
    for kind, options in _JPEG if image.format == "JPEG" else (_PNG, *_JPEG):
        buffer = io.BytesIO()
        redrawn.save(buffer, kind, **options)
        if max_bytes is None or buffer.tell() <= max_bytes:
            return buffer.getvalue(), _MIME[kind]
    raise PayloadTooLargeError(f"the screenshot has more than {max_bytes} bytes however it is encoded", effect="yes")


async def prepare_frame(
    data: bytes, limits: FrameLimits, limiter: anyio.CapacityLimiter, *, fill: Screen | None = None
) -> PreparedFrame:
    """Check an image and bring it within a model's limits.

    Args:
        data: The image, PNG or JPEG.
        limits: What the model takes.
        limiter: Bounds the threads that encode.
        fill: A size to which a smaller image is enlarged (a zoomed region is shown as large as a screenshot).

    Raises:
        UnsafeContentError: If it is no sound image of sensible size.
        PayloadTooLargeError: If it has too many bytes.
    """
    image = _open(data)
    original = Screen(*image.size)
    target = original
    if fill is not None:
        factor = min(fill.width / original.width, fill.height / original.height)
        target = Screen(max(1, round(original.width * factor)), max(1, round(original.height * factor)))
    target = limits.fit(*target)
    if target == original and (limits.max_bytes is None or len(data) <= limits.max_bytes):
        return PreparedFrame(data, _MIME[str(image.format)], original, original)
    redrawn, mime = await anyio.to_thread.run_sync(_redraw, image, target, limits.max_bytes, limiter=limiter)
    return PreparedFrame(redrawn, mime, target, original)


async def crop_around(
    blobs: BlobStore, frame: Frame, point: tuple[int, int], limiter: anyio.CapacityLimiter
) -> str | None:
    """Keep what a frame shows around a point, which is marked; return the blob's key.

    Args:
        blobs: Where frames are kept.
        frame: The frame.
        point: A pixel of it.
        limiter: Bounds the threads that decode.

    Returns:
        The key, or ``None`` where the frame is no longer kept or the point is off it.
    """
    try:
        data = await blobs.get(frame.sha256)
    except NotFoundError:
        return None
    if not (0 <= point[0] < frame.width and 0 <= point[1] < frame.height):
        return None
    return await blobs.put(await anyio.to_thread.run_sync(_crop, data, point, limiter=limiter))


def _crop(data: bytes, point: tuple[int, int]) -> bytes:
    from PIL import ImageDraw

    image = _open(data).convert("RGB")
    left = min(max(0, point[0] - _CROP.width // 2), max(0, image.width - _CROP.width))
    top = min(max(0, point[1] - _CROP.height // 2), max(0, image.height - _CROP.height))
    cut = image.crop((left, top, min(image.width, left + _CROP.width), min(image.height, top + _CROP.height)))
    x, y = point[0] - left, point[1] - top
    ImageDraw.Draw(cut).ellipse((x - 12, y - 12, x + 12, y + 12), outline=(255, 0, 64), width=2)
    buffer = io.BytesIO()
    cut.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
