"""Capture, settling and resizing, held against independent pictures of the same screen."""

from __future__ import annotations

import io
import subprocess
import time
import zlib
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
import xcffib
import xcffib.xproto as x
from PIL import Image, ImageChops

from deskhand.errors import InvalidInputError, UnsupportedError
from deskhand.providers.actions import Move, Type
from deskhand.providers.contract import Region, Screen
from deskhand.providers.local import encode
from deskhand.providers.local.display import Display
from deskhand.providers.local.encode import FrameEncoder
from tests.providers.local.screens import SCREEN, a_display, a_logger, client_environment

pytestmark = pytest.mark.needs_x

WINDOW_MASK = x.CW.BackPixel | x.CW.OverrideRedirect


def decoded(data: bytes) -> Image.Image:
    """Decode an image whole."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


async def independent(display: Display, tmp_path: Path) -> Image.Image:
    """Capture the screen with another program."""
    target = tmp_path / "other.png"
    await anyio.run_process(["scrot", "-o", str(target)], env=client_environment(display))
    return Image.open(target).convert("RGB")


async def paint(display: Display, box: tuple[int, int, int, int], color: int) -> None:
    """Put a coloured window on the screen."""
    c = display._connection
    window = c.new_id()
    c.core.CreateWindow(
        *(24, window, c.root, *box, 0, x.WindowClass.InputOutput, 0),
        *(WINDOW_MASK, [color, 1]),
    )
    c.core.MapWindow(window)
    await c.sync()


async def colourful(display: Display) -> None:
    """Paint a few windows, one over the screen's edge."""
    for step in range(40):
        await paint(display, (step * 23, step * 16, 90, 60), (step * 6) << 16 | (255 - step * 6) << 8 | step * 37 % 256)
    await paint(display, (SCREEN.width - 10, SCREEN.height - 10, 50, 50), 0x123456)


async def test_capture_equals_an_independent_capture(tmp_path: Path) -> None:
    """Every pixel of a capture without the pointer is what another program sees."""
    async with a_display() as display:
        await colourful(display)
        ours = decoded(await display.capture(cursor=False))
        theirs = await independent(display, tmp_path)
    assert (ours.mode, ours.size, theirs.size) == ("RGB", SCREEN, SCREEN)
    assert ImageChops.difference(ours, theirs).getbbox() is None


async def test_capture_of_a_region_is_that_part_of_the_whole() -> None:
    """Regions of all sizes, the pointer in them or not, equal the crop of the whole screen."""
    async with a_display() as display:
        await colourful(display)
        await display.perform(Move(203, 154))
        whole = decoded(await display.capture())
        for region in (
            Region(0, 0, 1, 1),
            Region(199, 150, 207, 160),
            Region(333, 1, 1000, 700),
            Region(0, 0, 1000, 700),
        ):
            part = decoded(await display.capture(region=region))
            assert ImageChops.difference(part, whole.crop(region)).getbbox() is None


async def test_capture_draws_the_pointer_only_where_asked() -> None:
    """With the pointer, only the pixels around it differ."""
    async with a_display() as display:
        await display.perform(Move(400, 300))
        without = decoded(await display.capture(cursor=False))
        with_it = decoded(await display.capture(cursor=True))
        box = ImageChops.difference(without, with_it).getbbox()
    assert box is not None
    assert 380 < box[0] <= 400 <= box[2] < 440
    assert 280 < box[1] <= 300 <= box[3] < 340


@pytest.mark.parametrize(
    "region", [(0, 0, 0, 10), (-1, 0, 10, 10), (0, 0, 1001, 10), (0, 0, 10, 701), (50, 50, 40, 60)], ids=str
)
async def test_capture_refuses_a_region_that_is_not_on_the_screen(region: tuple[int, int, int, int]) -> None:
    """Such a region is refused with the screen's size."""
    async with a_display() as display:
        with pytest.raises(InvalidInputError, match="1000x700"):
            await display.capture(region=Region(*region))


async def test_capture_encodes_jpeg_and_refuses_what_it_does_not_know() -> None:
    """JPEG is close to the PNG; an unknown format is refused."""
    async with a_display() as display:
        await colourful(display)
        jpeg = decoded(await display.capture(cursor=False, format="jpeg"))
        png = decoded(await display.capture(cursor=False, format="auto"))
        assert (jpeg.format, png.format) == ("JPEG", "PNG")
        histogram = ImageChops.difference(jpeg.resize((100, 70)), png.resize((100, 70))).convert("L").histogram()
        assert sum(histogram[48:]) < 70
        with pytest.raises(InvalidInputError, match="png, jpeg, auto"):
            await display.capture(format="webp")


@pytest.mark.parametrize("fast", [True, False], ids=["numpy-isal", "stdlib"])
def test_encoder_gives_back_every_pixel(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without the fast libraries a PNG decodes to the same pixels; photo-like frames become JPEG by auto."""
    if not fast:
        monkeypatch.setattr(encode, "_numpy", lambda: None)
        monkeypatch.setattr(encode, "_deflate", lambda: (zlib.compress, zlib.crc32))
    encoder = FrameEncoder(640, 480)
    noise = Image.effect_noise((640, 480), 90)
    picture = Image.merge("RGB", (noise, noise.rotate(90).resize((640, 480)), noise.rotate(180)))
    for size in ((640, 480), (1, 1), (37, 11)):
        part = picture.crop((0, 0, *size))
        frame = memoryview(part.tobytes("raw", "BGRX"))
        assert decoded(encoder.encode(frame, *size, None, "png")).tobytes() == part.tobytes()
    whole = memoryview(picture.tobytes("raw", "BGRX"))
    assert decoded(encoder.encode(whole, 640, 480, None, "auto")).format == "JPEG"


async def test_settle_waits_for_drawing_to_end() -> None:
    """Settling returns once drawing has stopped, not in its midst."""
    async with a_display() as display, anyio.create_task_group() as tasks:

        async def draw() -> None:
            for step in range(10):
                await paint(display, (step * 50, 10, 40, 200), step << 16)
                await anyio.sleep(0.05)

        await display.settle()
        tasks.start_soon(draw)
        await anyio.sleep(0.06)
        waited = await display.settle(quiet=0.15, limit=2.0)
        assert 0.4 < waited < 1.5
        assert await display.settle(quiet=0.15) == pytest.approx(0, abs=0.05)


async def test_settle_gives_up_at_its_limit_and_counts_from_the_last_input() -> None:
    """A screen that never rests costs the limit; after an input there is always time for its effect."""
    async with a_display() as display:
        async with anyio.create_task_group() as tasks:

            async def draw() -> None:
                while True:
                    await paint(display, (10, 10, 300, 300), time.monotonic_ns() & 0xFFFFFF)
                    await anyio.sleep(0.03)

            tasks.start_soon(draw)
            assert await display.settle(limit=0.6) == pytest.approx(0.6, abs=0.2)
            tasks.cancel_scope.cancel()
        await display.settle()
        await display.perform(Move(5, 5))
        assert await display.settle(quiet=0.15) >= 0.1


@pytest.mark.parametrize(("width", "height"), [(2, 20), (9, 18)], ids=["bar", "block"])
async def test_settle_ignores_a_blinking_caret(width: int, height: int) -> None:
    """A caret that blinks for ever does not keep the screen from settling."""
    async with a_display() as display, anyio.create_task_group() as tasks:

        async def blink() -> None:
            while True:
                await paint(display, (300, 300, width, height), time.monotonic_ns() & 0xFFFFFF)
                await anyio.sleep(0.3)

        tasks.start_soon(blink)
        await anyio.sleep(0.8)
        assert await display.settle(quiet=0.5, limit=3.0) < 1.0
        tasks.cancel_scope.cancel()


async def test_resize_changes_screen_capture_and_pointer_range(tmp_path: Path) -> None:
    """After resizing up and down, captures have the new size and are exact, and its corner can be reached."""
    async with a_display() as display:
        if display.server != "Xvnc":
            with pytest.raises(UnsupportedError):
                await display.resize(800, 600)
            return
        for width, height in ((1366, 768), (800, 600), (801, 601), (1280, 1024)):
            await display.resize(width, height)
            await colourful(display)
            assert display.screen == Screen(width, height)
            ours = decoded(await display.capture(cursor=False))
            assert ImageChops.difference(ours, await independent(display, tmp_path)).getbbox() is None
            await display.perform(Move(width - 1, height - 1))
            assert await display.cursor_position() == (width - 1, height - 1)
        with pytest.raises(InvalidInputError):
            await display.resize(10, 10)


async def test_captures_at_once_do_not_mix() -> None:
    """Captures asked for at the same time, while typing goes on, are each whole."""
    async with a_display() as display, a_logger(display):
        await colourful(display)
        await display.perform(Move(999, 699))
        whole = decoded(await display.capture(cursor=False))
        done = 0

        async def check(region: Region) -> None:
            nonlocal done
            for _ in range(10):
                part = decoded(await display.capture(region=region, cursor=False))
                assert ImageChops.difference(part, whole.crop(region)).getbbox() is None
                done += 1

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(check, Region(number * 10, 0, 500 + number * 50, 600))
            for _ in range(10):
                await display.perform(Type("abc def\n"))
        assert done == 60


async def test_no_client_without_the_cookie_is_let_in() -> None:
    """The socket is no way in without the cookie, and there is no other socket."""
    async with a_display() as display:
        environment = client_environment(display) | {"XAUTHORITY": "/dev/null"}
        refused = await anyio.to_thread.run_sync(
            lambda: subprocess.run(["scrot", "-o", "/dev/null"], env=environment, capture_output=True, check=False)
        )
        assert refused.returncode != 0
        sockets = Path("/proc/net/unix").read_text()  # noqa: ASYNC240 - in memory
        assert f"@{display.socket}" not in sockets
        assert display.xauthority.stat().st_mode & 0o777 == 0o600
        if display.vnc_socket is not None:
            assert display.vnc_socket.stat().st_mode & 0o777 == 0o600


def test_xcffib_still_offers_what_the_connection_builds_on() -> None:
    """The parts of the library that are not documented are still there."""
    assert hasattr(xcffib.Connection, "_init_x")
    assert hasattr(xcffib.Connection, "_process_error")
    assert hasattr(xcffib.lib, "xcb_poll_for_reply")


async def test_what_was_drawn_is_told_by_place_and_time() -> None:
    """A caret is nothing; what was drawn before the time that is asked about, or elsewhere, is nothing either."""
    async with a_display() as display:
        await display.settle()
        await anyio.sleep(0.05)
        began = time.monotonic()
        await paint(display, (100, 100, 200, 100), 0xFF0000)
        await display.settle()
        await paint(display, (600, 400, 2, 20), 0x00FF00)
        await anyio.sleep(0.1)
        within = time.monotonic() - began
        assert display.changed(Region(150, 150, 160, 160), within=within)
        assert not display.changed(Region(590, 390, 620, 430), within=within)
        assert not display.changed(Region(300, 100, 310, 110), within=within)
        assert not display.changed(Region(150, 150, 160, 160), within=0.05)


async def test_what_was_drawn_in_too_many_places_was_drawn_anywhere() -> None:
    """The memory is bounded; what it has lost counts as a change."""
    async with a_display() as display:
        await display.settle()
        began = time.monotonic()
        for step in range(70):
            await paint(display, (10 + step, 10 + step, 60 + step, 60), step << 16)
            await anyio.sleep(0.02)
        await display.settle()
        assert display.changed(Region(700, 500, 710, 510), within=time.monotonic() - began)
