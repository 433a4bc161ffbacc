"""Screenshots of E2B and Daytona that are none: told as what they are, in bounds, with nothing made up in place."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pydantic_core import to_json

from deskhand.errors import DeskhandError, PayloadTooLargeError, ProtocolError, UnsafeContentError
from deskhand.providers import ExternalComputer
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b
from tests.providers.e2b.test_streams import STARTED, envelope, output
from tests.providers.orgo.test_pictures import claiming, picture

ENDED_WELL = envelope({"event": {"end": {"exited": True, "status": "exit status 0"}}})
NONE: dict[str, tuple[bytes, type[DeskhandError]]] = {
    "nothing": (b"", ProtocolError),
    "a page": (b"<!doctype html><title>Sign in</title>", ProtocolError),
    "a GIF": (picture("GIF"), ProtocolError),
    "a head alone": (picture()[:20], ProtocolError),
    "cut off": (picture()[:-30], UnsafeContentError),
    "a JPEG that is cut off": (picture("JPEG")[:-30], UnsafeContentError),
    "of no size": (claiming(0, 768), UnsafeContentError),
    "larger than any screen": (claiming(12_000, 12_000), UnsafeContentError),
    "of negative size": (claiming(0xFFFF_FFFF, 1), UnsafeContentError),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A computer with a screen, and what lets its next picture be another one."""

    computer: ExternalComputer
    show: Callable[[bytes], None]


@asynccontextmanager
async def seen(vendor: str) -> AsyncIterator[Seen]:
    """Open a sandbox: of E2B a picture is a command's output, of Daytona it is text in an answer."""
    if vendor == "e2b":
        async with e2b(None) as hosted:
            simulator = hosted.simulator

            def stream(data: bytes) -> None:
                body = STARTED + output(stdout=b"picture of %d\n" % len(data) + data) + ENDED_WELL
                simulator.respond(body, route="start", content_type="application/connect+json")

            yield Seen(await hosted.create(), stream)
        return
    async with daytona() as served:
        other = served.simulator

        def show(data: bytes) -> None:
            body = to_json({"screenshot": base64.b64encode(data).decode()})
            other.respond(body, route="screenshot", content_type="application/json")

        yield Seen(await served.create(), show)


VENDORS = [
    pytest.param(
        "e2b",
        marks=pytest.mark.needs_x,
    ),
    "daytona",
]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_picture_that_is_none_is_told(vendor: str) -> None:
    """In whichever format it is wanted; the screen is as large as before, and the next picture is one."""
    async with seen(vendor) as sandbox:
        before = sandbox.computer.info.screen
        for what, (data, kind) in NONE.items():
            for form in ("png", "jpeg", "auto"):
                sandbox.show(data)
                with pytest.raises(DeskhandError) as caught:
                    await sandbox.computer.screenshot(format=form)
                assert type(caught.value) is kind, (what, form)
                assert sandbox.computer.info.screen == before, what
        assert (await sandbox.computer.screenshot()).startswith(b"\x89PNG")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_picture_of_another_format_is_given_as_what_was_asked_for(vendor: str) -> None:
    """Whatever type the answer claims."""
    async with seen(vendor) as sandbox:
        for form, begins in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("auto", b"\xff\xd8")):
            sandbox.show(picture("JPEG"))
            assert (await sandbox.computer.screenshot(format=form)).startswith(begins)


async def test_picture_of_fifty_megabytes_is_bounded() -> None:
    """What passes the limit is not held."""
    async with seen("daytona") as sandbox:
        sandbox.show(b"\xff\xd8\xff" + b"x" * (50 << 20))
        with pytest.raises(PayloadTooLargeError):
            await sandbox.computer.screenshot()
