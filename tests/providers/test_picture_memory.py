"""How much memory a screenshot takes while it arrives: no copy of it is made that its encoding does not need."""

from __future__ import annotations

import base64
import json
import random
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import httpx2
import pytest

from deskhand.providers import provider
from deskhand.testing.simulators import (
    CuaSimulator,
    DaytonaSimulator,
    E2BSimulator,
    MiosaSimulator,
    OpenComputersSimulator,
    OrgoSimulator,
    Simulator,
)

PIECE = 1 << 16
PICTURE = b"".join(
    (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        struct.pack(">IIBBBBB", 1280, 800, 8, 2, 0, 0, 0),
        random.Random(1).randbytes(4 << 20),
        b"\0\0\0\0IEND\xaeB`\x82",
    )
)
"""What passes for a picture, as nobody decodes it."""
PACKED = base64.b64encode(PICTURE).decode()

Answer = tuple[str, bytes]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _message(value: object, flags: int = 0) -> bytes:
    data = _json(value)
    return struct.pack(">BI", flags, len(data)) + data


def _e2b() -> Iterator[bytes]:
    printed = b"picture of %d\n" % len(PICTURE) + PICTURE
    yield _message({"event": {"start": {"pid": 7}}})
    for start in range(0, len(printed), PIECE):
        yield _message({"event": {"data": {"stdout": base64.b64encode(printed[start : start + PIECE]).decode()}}})
    yield _message({"event": {"end": {"exited": True, "status": "exit status 0"}}}) + _message({}, 2)


def _opencomputers() -> Iterator[bytes]:
    printed = f"picture of {len(PICTURE)}\n{PACKED}"
    for start in range(0, len(printed), PIECE):
        data = {"stream": "stdout", "data": printed[start : start + PIECE]}
        yield b"event: exec_chunk\ndata: %b\n\n" % _json(data)
    yield b'event: exec_result\ndata: {"exit_code": 0}\n\n'


ROUTES: dict[str, tuple[type[Simulator], str, Callable[[], Answer], float]] = {
    "miosa": (MiosaSimulator, "/desktop/screenshot", lambda: ("image/png", PICTURE), 1.1),
    "orgo": (
        OrgoSimulator,
        "/screenshot",
        lambda: ("application/json", _json({"image": PACKED, "mime_type": "image/png"})),
        2.75,
    ),
    "daytona": (
        DaytonaSimulator,
        "/computeruse/screenshot",
        lambda: ("application/json", _json({"screenshot": PACKED})),
        2.75,
    ),
    "cua": (
        CuaSimulator,
        "/cmd",
        lambda: ("text/plain", b"data: " + _json({"success": True, "image_data": PACKED}) + b"\n\n"),
        2.75,
    ),
    "e2b": (
        E2BSimulator,
        "/process.Process/Start",
        lambda: ("application/connect+json", b"".join(_e2b())),
        2.4,
    ),
    "opencomputers": (
        OpenComputersSimulator,
        "/exec",
        lambda: ("text/event-stream", b"".join(_opencomputers())),
        2.7,
    ),
}
"""By vendor: its simulator, how the path ends at which a picture is asked for, the answer, and how many times its size
a picture may need. Raw bytes need it once; JSON the body and the text in it, each a third larger; what comes in events,
all that was printed and what is read of it."""


class _Pieces(httpx2.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class _Enlarged(httpx2.AsyncHTTPTransport):
    """Answers in the vendor's place where a picture is asked for, once it is armed."""

    def __init__(self, end: str, answer: Answer) -> None:
        super().__init__()
        self.is_armed = False
        self._end = end
        self._kind, body = answer
        self._pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not (self.is_armed and request.url.path.endswith(self._end)):
            return await super().handle_async_request(request)
        return httpx2.Response(200, headers={"content-type": self._kind}, stream=_Pieces(self._pieces))


@pytest.mark.needs_x
@pytest.mark.parametrize("name", ROUTES)
async def test_screenshot_is_copied_no_more_than_its_encoding_needs(name: str) -> None:
    """What was allocated at once, beyond what was there before, is bounded in pictures."""
    simulator, end, answer, most = ROUTES[name]
    transport = _Enlarged(end, answer())
    async with (
        simulator() as vendor,
        httpx2.AsyncClient(transport=transport, timeout=None) as client,
        provider(name, http_client=client, **vendor.options()) as entered,
    ):
        computer = await entered.create(name="box")
        transport.is_armed = True
        await computer.screenshot(cursor=name != "cua")  # what is imported and kept for later is there now
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            picture = await computer.screenshot(cursor=name != "cua")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            transport.is_armed = False
    assert picture == PICTURE
    assert (peak - before) / len(PICTURE) <= most
