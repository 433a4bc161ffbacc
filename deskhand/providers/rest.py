"""A screen that nobody tells about: it is at rest when two pictures of it in a row are the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio

if TYPE_CHECKING:
    from deskhand.providers.contract import ExternalComputer

__all__ = ["Rest", "picture_at_rest"]

_LOOKS: Final = 3
"""Pictures at most: each is a request to somebody's service, and some screens never keep still."""


class Rest(NamedTuple):
    """The last picture that was taken, and the seconds until it was."""

    image: bytes
    waited: float


async def picture_at_rest(computer: ExternalComputer, *, quiet: float, limit: float) -> Rest:
    """Take pictures ``quiet`` seconds apart until two in a row are the same; at most three, and for ``limit`` seconds.

    Args:
        computer: Whose screen.
        quiet: Seconds before each picture.
        limit: Seconds, after which no further picture is begun.
    """
    began = time.monotonic()
    before: bytes | None = None
    for _ in range(_LOOKS):
        left = limit - (time.monotonic() - began)
        if left <= 0 and before is not None:
            break
        await anyio.sleep(min(quiet, max(0.0, left)))
        image = await computer.screenshot(format="auto")
        if image == before:
            break
        before = image
    return Rest(before or b"", time.monotonic() - began)
