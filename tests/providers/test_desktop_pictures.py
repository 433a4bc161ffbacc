"""Screenshots of MIOSA, bare, and of Cua, within JSON, that are none: refused, and no bomb is unpacked."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable, Mapping
from io import BytesIO

import pytest
from PIL import Image

from deskhand.errors import DeskhandError, ProtocolError, UnsafeContentError
from deskhand.providers import Region
from tests.providers.orgo.test_pictures import claiming, picture
from tests.providers.vendors import VENDORS, Vendor


def raw(simulator: Vendor, image: bytes) -> None:
    """Let MIOSA's next screenshot be this."""
    simulator.respond(image, route="screenshot", content_type="image/png")


def as_event(simulator: Vendor, image: bytes) -> None:
    """Let the next screenshot of Cua's server be this."""
    told = {"success": True, "image_data": base64.b64encode(image).decode()}
    simulator.respond(f"data: {json.dumps(told)}\n\n".encode(), route="cmd", content_type="text/plain")


ANSWERS: Mapping[str, Callable[[Vendor, bytes], None]] = {"miosa": raw, "cua": as_event}


def broken_inside() -> bytes:
    """Return a picture whose head is good, and whose body is not."""
    data = bytearray(picture(size=(640, 480)))
    at = data.index(b"IDAT") + 8
    data[at : at + 40] = bytes(40)
    return bytes(data)


NONE: Mapping[str, tuple[bytes, type[DeskhandError]]] = {
    "nothing": (b"", ProtocolError),
    "a page": (b"<!doctype html><html>Sign in</html>", ProtocolError),
    "a GIF": (b"GIF89a" + bytes(100), ProtocolError),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ProtocolError),
    "a head alone": (picture()[:20], ProtocolError),
    "no size": (claiming(0, 0), UnsafeContentError),
    "a bomb": (claiming(12_000, 12_000), UnsafeContentError),
    "a line": (claiming(100_000, 1), UnsafeContentError),
    "cut off": (picture()[:-20], UnsafeContentError),
    "a JPEG that is cut off": (picture("JPEG")[:200], UnsafeContentError),
}


@pytest.mark.parametrize("vendor", ANSWERS)
async def test_screenshot_that_is_none_is_refused(vendor: str) -> None:
    """Nothing is shown in its place, the screen keeps its size, and the next picture is one."""
    async with VENDORS[vendor]() as served:
        screen = served.computer.info.screen
        for what, (image, kind) in NONE.items():
            ANSWERS[vendor](served.simulator, image)
            tracemalloc.start()
            try:
                with pytest.raises(kind) as caught:
                    await served.computer.screenshot()
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert most < 8 << 20, what
            assert (caught.value.provider, bool(caught.value.hint)) == (vendor, True), what
            assert served.computer.info.screen == screen, what
            assert served.simulator.pending_faults == 0, what
        assert (await served.computer.screenshot()).startswith(b"\x89PNG")


@pytest.mark.parametrize("vendor", ANSWERS)
async def test_picture_that_breaks_when_it_is_unpacked_is_refused(vendor: str) -> None:
    """Whatever it is unpacked for: another format, a part of it, the pointer in it."""
    async with VENDORS[vendor]() as served:
        ANSWERS[vendor](served.simulator, broken_inside())
        with pytest.raises(UnsafeContentError, match="decoded"):
            await served.computer.screenshot(format="jpeg")
        assert (await served.computer.screenshot(format="jpeg")).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("vendor", ANSWERS)
async def test_jpeg_is_a_picture_too(vendor: str) -> None:
    """What a vendor says that it is does not count, what it is does; whoever wants a PNG gets one."""
    async with VENDORS[vendor]() as served:
        ANSWERS[vendor](served.simulator, picture("JPEG"))
        with Image.open(BytesIO(await served.computer.screenshot())) as shown:
            assert (shown.format, shown.size) == ("PNG", (64, 48))
        screen = served.computer.info.screen
        assert screen is not None
        assert (screen.width, screen.height) == (64, 48)  # as small as it was last seen


async def test_part_of_a_screen_of_another_size_is_refused() -> None:
    """MIOSA cuts parts out itself: one that is not what was asked for is shown to nobody."""
    async with VENDORS["miosa"]() as served:
        served.simulator.respond(picture(), route="screenshot_region", content_type="image/png")
        with pytest.raises(ProtocolError, match="64x48") as caught:
            await served.computer.screenshot(region=Region(0, 0, 10, 10))
        assert caught.value.effect == "no"
        with Image.open(BytesIO(await served.computer.screenshot(region=Region(0, 0, 10, 10)))) as shown:
            assert shown.size == (10, 10)
