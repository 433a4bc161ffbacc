"""What can be seen: screenshots, regions of them, the pointer, the size."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import anyio.to_thread
from PIL import Image, ImageChops, UnidentifiedImageError

from deskhand.errors import InvalidInputError, UnsupportedError
from deskhand.providers import Capability, ExternalComputer, Region, Screen
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, ConformanceError, Target, expect, expect_equal, refuses

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES)

_TRIES: Final = 5
_POINTER_SIZE: Final = 64
_FORMATS: Final = {"png": ("PNG",), "jpeg": ("JPEG",), "auto": ("PNG", "JPEG")}


def _decode(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (UnidentifiedImageError, OSError) as error:
        raise ConformanceError(f"a screenshot cannot be decoded: {error}") from error
    return image


async def _picture(computer: ExternalComputer, region: Region | None = None, *, cursor: bool = True) -> Image.Image:
    data = await computer.screenshot(region=region, cursor=cursor)
    return (await anyio.to_thread.run_sync(_decode, data)).convert("RGB")


async def _still(
    computer: ExternalComputer, take: Callable[[], Awaitable[Image.Image]], *, cursor: bool = True
) -> tuple[Image.Image, Image.Image]:
    """Take a picture while nothing moves (a clock, a caret); return it behind one of the whole."""
    for _ in range(_TRIES):
        await computer.settle()
        before = await _picture(computer, cursor=cursor)
        taken = await take()
        if ImageChops.difference(before, await _picture(computer, cursor=cursor)).getbbox() is None:
            return before, taken
    raise ConformanceError(f"the screen did not stand still in {_TRIES} tries")


@_case(Capability.SCREENSHOT)
async def screenshot_is_an_image_of_the_whole_screen(target: Target) -> None:
    """A screenshot decodes, in the format asked for, and has the size that ``info.screen`` tells."""
    for form, allowed in _FORMATS.items():
        image = await anyio.to_thread.run_sync(_decode, await target.computer.screenshot(format=form))
        expect(image.format in allowed, f"a screenshot as {form} is {image.format}")
        expect_equal(f"the size of a screenshot as {form}", image.size, tuple(target.screen))
    with refuses(InvalidInputError, "a screenshot in a format that does not exist"):
        await target.computer.screenshot(format="nonsense")


@_case(Capability.SCREENSHOT, Capability.REGION)
async def screenshot_of_a_region_equals_its_part_of_the_whole(target: Target) -> None:
    """A region's pixels are those of the whole screen at that place, at every edge."""
    width, height = target.screen
    regions = (
        Region(0, 0, width, height),
        Region(0, 0, 1, 1),
        Region(width - 1, height - 1, width, height),
        Region(7, 11, width // 2 + 1, height // 3),
        Region(width // 3, 0, width // 3 + 37, height),
    )
    for region in regions:
        whole, part = await _still(target.computer, partial(_picture, target.computer, region))
        expect_equal(f"the size of {region}", part.size, (region.right - region.left, region.bottom - region.top))
        same = ImageChops.difference(part, whole.crop(region)).getbbox() is None
        expect(same, f"{region} differs from the same part of the whole screen")


@_case(Capability.SCREENSHOT, Capability.REGION)
async def screenshot_of_a_region_off_the_screen_is_refused(target: Target) -> None:
    """A region that is empty or not within the screen is refused."""
    width, height = target.screen
    for region in (
        Region(0, 0, width + 1, 10),
        Region(-1, 0, 10, 10),
        Region(0, 0, 10, height + 1),
        Region(10, 10, 10, 20),
        Region(20, 20, 10, 30),
    ):
        with refuses(InvalidInputError, f"a screenshot of {region}"):
            await target.computer.screenshot(region=region)


@_case(Capability.SCREENSHOT, Capability.MOVE)
async def screenshot_shows_the_pointer_where_it_is(target: Target) -> None:
    """The pointer is in the picture, there and nowhere else, and left out on request, or the request is refused."""
    width, height = target.screen
    x, y = width // 2, height // 2
    await target.computer.move(x, y)
    try:
        await target.computer.screenshot(cursor=False)
    except UnsupportedError:
        return
    bare, shown = await _still(target.computer, partial(_picture, target.computer), cursor=False)
    box = ImageChops.difference(bare, shown).getbbox()
    if box is None:
        raise ConformanceError("a screenshot with the pointer looks like one without")
    near = (x - _POINTER_SIZE, y - _POINTER_SIZE, x + _POINTER_SIZE, y + _POINTER_SIZE)
    is_near = box[0] >= near[0] and box[1] >= near[1] and box[2] <= near[2] and box[3] <= near[3]
    expect(is_near, f"the pointer is at {x},{y}, but the picture changes in {box}")


@_case(Capability.CURSOR, Capability.MOVE)
async def cursor_position_follows_the_pointer(target: Target) -> None:
    """The pointer is exactly where it was moved, in every corner."""
    width, height = target.screen
    for point in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (width // 3, height // 5)):
        await target.computer.move(*point)
        expect_equal("the pointer's position", await target.computer.cursor_position(), point)


@_case(Capability.SCREENSHOT)
async def settle_is_bounded(target: Target) -> None:
    """Waiting for the screen to come to rest ends by its limit and tells how long it took."""
    began = anyio.current_time()
    waited = await target.computer.settle(limit=1.0)
    took = anyio.current_time() - began
    expect(0 <= waited <= took + 0.05, f"settle says {waited} s and took {took:.3f} s")
    expect(took < 2.0, f"settle with a limit of 1 s took {took:.1f} s")


@_case(Capability.RESIZE, Capability.SCREENSHOT)
async def resize_changes_what_is_seen(target: Target) -> None:
    """After a change of size, ``info`` and screenshots have the new one; sizes that cannot be are refused."""
    before = target.screen
    for size in (Screen(1024, 768), Screen(1366, 820), before):
        await target.computer.resize(*size)
        expect_equal("info.screen", target.computer.info.screen, size)
        expect_equal("the screenshot's size", (await _picture(target.computer)).size, tuple(size))
    for size in (Screen(0, 600), Screen(800, -1), Screen(1_000_000, 1_000_000)):
        with refuses(InvalidInputError, f"resize to {size}"):
            await target.computer.resize(*size)
    expect_equal("info.screen after refusals", target.computer.info.screen, before)
