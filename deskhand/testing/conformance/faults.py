"""What an adapter makes of a wire that fails: it tells, repeats nothing that may have been done, stays in bounds."""

from __future__ import annotations

import base64
import functools
import gzip
import re
import struct
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, ExternalComputer, Region
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, ConformanceError, Target, expect, expect_equal, shortened
from deskhand.testing.conformance.wire import Answer, Forward, Request

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES, wire=True)

_Use = Callable[[ExternalComputer], Awaitable[object]]

_ACTS: Final[Mapping[Capability, _Use]] = {
    Capability.POINTER: lambda computer: computer.left_click(5, 5),
    Capability.KEYBOARD: lambda computer: computer.type("a"),
    Capability.EXEC: lambda computer: computer.exec("true"),
}
"""What must not happen twice."""

_READS: Final[Mapping[Capability, _Use]] = {
    Capability.SCREENSHOT: lambda computer: computer.screenshot(),
    Capability.FILES: lambda computer: computer.list_dir(),
}
"""What changes nothing."""

_SOON: Final = 6.0
"""Seconds after which a failure must have been told, repetitions included."""
_MOST_REQUESTS: Final = 12
"""Requests that one use may cost."""
_WAITS: Final = ("100000", "inf", "1e400", "-1", "Fri, 01 Jan 2100 00:00:00 GMT")
_UNPACKED: Final = 64 << 20
"""Bytes that a small packed answer unpacks to."""
_SIDE: Final = 9_000
"""Pixels of each side of a picture that no screen has sent."""
_PICTURE: Final = re.compile(rb"(?:iVBORw0KGgo|(?:\\?/)9j(?:\\?/))(?:[A-Za-z0-9+=]|\\?/|\\[rn])*")
"""A PNG or a JPEG in base64, as it stands in JSON."""
_PACKED: Final = re.compile(rb"(?:[A-Za-z0-9+]|\\?/){60,}={0,2}")
"""Anything in base64, as it stands in JSON."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def _uses(target: Target, *tables: Mapping[Capability, _Use]) -> Iterator[tuple[Capability, _Use]]:
    """Return what the computer has of these."""
    found = [(one, use) for table in tables for one, use in table.items() if one in target.computer.capabilities]
    expect(bool(found), f"nothing to try: the capabilities are {sorted(target.computer.capabilities)}")
    yield from found


async def _failing(target: Target, what: str, use: _Use) -> DeskhandError:
    """Use a computer and return the error that this must end in, soon."""
    try:
        with anyio.fail_after(_SOON):
            result = await use(target.computer)
    except DeskhandError as error:
        return error
    except Exception as error:
        if isinstance(error, TimeoutError) and error.__cause__ is None and not str(error):
            raise ConformanceError(f"{what} did not end within {_SOON:g} s") from error
        raise ConformanceError(f"{what} must raise a DeskhandError, raised {type(error).__name__}: {error}") from error
    raise ConformanceError(f"{what} must raise a DeskhandError, returned {shortened(result)}")


async def _fail(request: Request, forward: Forward) -> Answer:
    return Answer(500, b'{"error": "Internal error"}', {"content-type": "application/json"})


async def _lose(request: Request, forward: Forward) -> None:
    await forward(request)


async def _show_a_page(request: Request, forward: Forward) -> Answer:
    return Answer(200, b"<!doctype html><title>Sign in</title>", {"content-type": "text/html"})


async def _pack(request: Request, forward: Forward) -> Answer:
    answer = await forward(request)
    packed = await anyio.to_thread.run_sync(gzip.compress, answer.body + b" " * _UNPACKED, 1)
    return replace(answer, body=packed, headers={**answer.headers, "content-encoding": "gzip"})


async def _enlarge(request: Request, forward: Forward) -> Answer:
    answer = await forward(request)
    if answer.body.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return replace(answer, body=_large_picture(), headers={**answer.headers, "content-type": "image/png"})
    body = _PICTURE.sub(base64.b64encode(_large_picture()), answer.body)
    return replace(answer, body=body if body != answer.body else _PACKED.sub(_enlarged, body))


def _enlarged(packed: re.Match[bytes]) -> bytes:
    """Put a large picture in the place of one that stands behind other output, and so at any place of the base64."""
    text = packed[0].replace(b"\\/", b"/")
    try:
        before, found, _ = base64.b64decode(text + b"=" * (-len(text) % 4)).partition(_PNG)
    except ValueError:
        return packed[0]
    return base64.b64encode(before + _large_picture()) if found else packed[0]


@functools.lru_cache(maxsize=1)
def _large_picture() -> bytes:
    """Draw a grey picture: some 80 kB that unpack to 80 MB."""
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    lines = b"".join([*(packer.compress(bytes(_SIDE + 1)) for _ in range(_SIDE)), packer.flush()])
    chunks = ((b"IHDR", head), (b"IDAT", lines), (b"IEND", b""))
    framed = [struct.pack(">I", len(b)) + name + b + struct.pack(">I", zlib.crc32(name + b)) for name, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@_case()
async def wire_server_error_is_told(target: Target) -> None:
    """What the vendor answered with status 500 is an error: of what acts nobody can say whether it took effect."""
    for capability, use in _uses(target, _ACTS, _READS):
        with target.broken(_fail):
            error = await _failing(target, f"{capability} that was answered with 500", use)
        if capability in _ACTS:
            expect_equal(f"the effect of {capability} that was answered with 500", error.effect, "unknown")


@_case()
async def wire_lost_answer_is_unknown_and_not_repeated(target: Target) -> None:
    """What was done and whose answer was lost arrives once, and its outcome is unknown."""
    for capability, use in _uses(target, _ACTS):
        with target.broken(_lose) as requests:
            error = await _failing(target, f"{capability} whose answer was lost", use)
        expect_equal(f"the effect of {capability} whose answer was lost", error.effect, "unknown")
        sent = Counter((one.method, one.target, one.body) for one in requests if one.method not in {"GET", "HEAD"})
        repeated = [(key[0], key[1], count) for key, count in sent.items() if count > 1]
        expect_equal(f"what {capability} sent again after its answer was lost", repeated, [])


@_case()
async def wire_absurd_wait_is_not_waited(target: Target) -> None:
    """A vendor that asks to wait for days, for ever or for nonsense is not obeyed; the error comes soon."""
    capability, use = next(_uses(target, _READS, _ACTS))
    for wait in _WAITS:

        async def put_off(request: Request, forward: Forward, wait: str = wait) -> Answer:
            body = b'{"error": "Too many requests"}'
            return Answer(429, body, {"content-type": "application/json", "retry-after": wait})

        with target.broken(put_off) as requests:
            await _failing(target, f"{capability} that is to be repeated after {wait!r}", use)
        expect(len(requests) <= _MOST_REQUESTS, f"{capability} was asked for {len(requests)} times")


@_case()
async def wire_page_is_no_answer(target: Target) -> None:
    """A page of HTML with status 200, such as a proxy's, is not taken for the vendor's answer."""
    for capability, use in _uses(target, _ACTS, _READS):
        with target.broken(_show_a_page):
            await _failing(target, f"{capability} that was answered with a page", use)


@_case()
async def wire_redirect_is_not_followed(target: Target) -> None:
    """Neither key nor body of what acts goes to another address because an answer says so."""
    if target.wire is None:
        raise ConformanceError("this case needs a wire")
    elsewhere = target.wire.elsewhere

    async def move(request: Request, forward: Forward) -> Answer:
        return Answer(307, b"", {"location": elsewhere})

    target.wire.strays.clear()
    for capability, use in _uses(target, _ACTS):
        with target.broken(move):
            await _failing(target, f"{capability} that was redirected", use)
    expect_equal("what went elsewhere", [(one.method, one.body) for one in target.wire.strays], [])


@_case()
async def wire_packed_answer_is_bounded(target: Target) -> None:
    """An answer of some kilobytes that unpacks to more than 64 MiB is refused."""
    for capability, use in _uses(target, _READS):
        with target.broken(_pack):
            await _failing(target, f"{capability} whose answer unpacks to {_UNPACKED >> 20} MiB", use)


@_case(Capability.SCREENSHOT)
async def wire_picture_beyond_any_screen_is_refused(target: Target) -> None:
    """A picture of 81 million pixels is refused for what its header says, in whatever form it is wanted."""
    await anyio.to_thread.run_sync(_large_picture)
    wanted: dict[str, _Use] = {
        "a screenshot": lambda computer: computer.screenshot(),
        "a screenshot as jpeg": lambda computer: computer.screenshot(format="jpeg"),
    }
    if Capability.REGION in target.computer.capabilities:
        wanted["a part of the screen"] = lambda computer: computer.screenshot(region=Region(0, 0, 8, 8))
    for what, use in wanted.items():
        with target.broken(_enlarge):
            await _failing(target, f"{what} of {_SIDE}x{_SIDE} pixels", use)


@_case(Capability.EXEC)
async def wire_cancelled_wait_is_no_timeout(target: Target) -> None:
    """Whoever is cancelled while an answer is awaited is cancelled, also when the command's own time is over."""
    for timeout in (None, 0.2):
        await _cancel_exec(target, timeout)


async def _cancel_exec(target: Target, timeout: float | None) -> None:
    asked, released = anyio.Event(), anyio.Event()
    raised: Exception | None = None
    is_swallowed = False

    async def hold(request: Request, forward: Forward) -> Answer:
        asked.set()
        await released.wait()
        return await forward(request)

    async def cancel(scope: anyio.CancelScope) -> None:
        await asked.wait()
        await anyio.sleep(2 * (timeout or 0))  # until its time is over
        scope.cancel()
        released.set()

    with target.broken(hold):
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel, scope)
                try:
                    await target.computer.exec("true", timeout=timeout)
                except Exception as error:
                    raised = error
                is_swallowed = scope.cancel_called
            tasks.cancel_scope.cancel()
    expect(not is_swallowed, f"exec with timeout={timeout} made {raised!r} of a cancellation")
