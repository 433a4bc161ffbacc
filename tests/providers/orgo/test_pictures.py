"""Screenshots: in each of the vendor's shapes, in both formats, and those that are none."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from io import BytesIO
from typing import Literal

import pytest
from PIL import Image

from deskhand import open_run
from deskhand.errors import (
    DeskhandError,
    InvalidInputError,
    PayloadTooLargeError,
    ProtocolError,
    ProviderError,
    UnsafeContentError,
    UnsupportedError,
)
from deskhand.harness import Seeing
from deskhand.providers import Region, Screen
from deskhand.testing.simulators import OrgoDialect
from tests.providers.orgo.parts import Orgo, orgo

Shape = Literal["base64", "path", "absolute", "dataurl", "direct"]
SHAPES: tuple[Shape, ...] = ("base64", "path", "absolute", "dataurl", "direct")


def picture(form: str = "PNG", size: tuple[int, int] = (64, 48), colour: str = "teal") -> bytes:
    """Return an image."""
    packed = BytesIO()
    Image.new("RGB", size, colour).save(packed, form)
    return packed.getvalue()


def claiming(width: int, height: int) -> bytes:
    """Return a small PNG that claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def answering(hosted: Orgo, image: bytes | str, **more: object) -> None:
    """Let the next screenshot be this."""
    text = image if isinstance(image, str) else base64.b64encode(image).decode()
    body = json.dumps({"success": True, "image": text, **more}).encode()
    hosted.simulator.respond(body, route="screenshot", content_type="application/json")


@pytest.mark.parametrize("shape", SHAPES)
async def test_screenshot_is_read_in_every_shape(shape: Shape) -> None:
    """The key goes to the vendor's own host alone: the simulator refuses it at a signed address elsewhere."""
    async with orgo(dialect=OrgoDialect(screenshot=shape)) as hosted:
        computer = await hosted.create()
        data = await computer.screenshot()
        assert Image.open(BytesIO(data)).size == computer.info.screen
        fetched = hosted.simulator.asked("storage") + hosted.simulator.asked("signed_storage")
        assert len(fetched) == (shape in {"path", "absolute"})
        assert ["authorization" in request.headers for request in fetched] == [shape == "path"] * len(fetched)


@pytest.mark.parametrize("more", [{}, {"mime_type": "image/jpeg"}], ids=["untold", "told"])
async def test_jpeg_is_no_path(more: dict[str, object]) -> None:
    """Its base64 begins with a slash. It is given as what was asked for, and the screen has its size from then on."""
    async with orgo() as hosted:
        computer = await hosted.create()
        for form, begins in (("auto", b"\xff\xd8"), ("jpeg", b"\xff\xd8"), ("png", b"\x89PNG")):
            answering(hosted, picture("JPEG"), **more)
            assert (await computer.screenshot(format=form)).startswith(begins)
        assert computer.info.screen == Screen(64, 48)


async def test_region_is_cut_out_here() -> None:
    """It equals its part of the whole; one that is no part of the screen is refused before anything is asked."""
    async with orgo() as hosted:
        computer = await hosted.create()
        region = Region(10, 20, 110, 70)
        whole = Image.open(BytesIO(await computer.screenshot())).convert("RGB")
        part = Image.open(BytesIO(await computer.screenshot(region=region))).convert("RGB")
        assert part.tobytes() == whole.crop((10, 20, 110, 70)).tobytes()
        before = len(hosted.simulator.requests)
        for wrong in (Region(0, 0, 5000, 10), Region(10, 10, 10, 20), Region(-1, 0, 5, 5)):
            with pytest.raises(InvalidInputError, match="no part"):
                await computer.screenshot(region=wrong)
        with pytest.raises(InvalidInputError, match="format"):
            await computer.screenshot(format="gif")
        with pytest.raises(UnsupportedError, match="pointer"):
            await computer.screenshot(cursor=False)
        assert len(hosted.simulator.requests) == before


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("", ProtocolError),
        ("not base64 at all!", ProtocolError),
        (b"GIF89a" + bytes(100), ProtocolError),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ProtocolError),
        (claiming(0, 0), UnsafeContentError),
        (claiming(12_000, 12_000), UnsafeContentError),
        (claiming(100_000, 1), UnsafeContentError),
        (picture()[:-20], UnsafeContentError),
        (picture("JPEG")[:200], UnsafeContentError),
        ("/api/storage/not-there", DeskhandError),
        ("http://127.0.0.1:9/nobody.png", DeskhandError),
        ("file:///etc/passwd", ProtocolError),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_screenshot_that_is_none_is_refused(image: bytes | str, kind: type[DeskhandError]) -> None:
    """Nothing is shown in its place, and the screen keeps its size."""
    async with orgo() as hosted:
        computer = await hosted.create()
        screen = computer.info.screen
        answering(hosted, image)
        with pytest.raises(kind) as caught:
            await computer.screenshot()
        assert caught.value.provider == "orgo"
        assert caught.value.hint
        assert computer.info.screen == screen


async def test_picture_that_breaks_when_it_is_unpacked_is_refused() -> None:
    """Its head is good, its body is not."""
    data = bytearray(picture(size=(640, 480)))
    at = data.index(b"IDAT") + 8
    data[at : at + 40] = bytes(40)
    async with orgo() as hosted:
        computer = await hosted.create()
        answering(hosted, bytes(data))
        with pytest.raises(UnsafeContentError, match="decoded"):
            await computer.screenshot(format="jpeg")


async def test_screenshot_that_fails_tells_whose_fault_it_is() -> None:
    """A desktop that fails, an answer without end and one that is no answer: typed, with the request's id."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(500, route="screenshot", upstream_status=500, times=3)
        with pytest.raises(ProviderError) as caught:
            await computer.screenshot()
        assert caught.value.request_id
        hosted.simulator.respond(b" " * (65 << 20), route="screenshot")
        with pytest.raises(PayloadTooLargeError):
            await computer.screenshot()
        hosted.simulator.respond(route="screenshot")
        with pytest.raises(ProtocolError, match="web page"):
            await computer.screenshot()


async def test_look_after_an_action_costs_two_requests_and_three_at_most() -> None:
    """Nobody tells when a hosted screen is at rest; a look without an action before it costs one."""
    async with orgo() as hosted:
        computer = await hosted.create()

        def looks() -> int:
            return sum("screenshot" in request.path for request in hosted.simulator.requests)

        async with open_run(computer, "go", seeing=Seeing(quiet=0.01)) as run:
            before = looks()
            await run.look()
            assert looks() == before + 1
            await run.act("left_click", x=20, y=20)
            await run.look()
            assert looks() == before + 3
            await run.look()
            assert looks() == before + 4
