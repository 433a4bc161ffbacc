"""What acts, against every way in which its request can go wrong, at every vendor: typed, told truly, sent once."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from deskhand.errors import (
    AuthError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    OutcomeUnknownError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitedError,
)
from tests.providers.vendors import ACTS, VENDORS, Act, Served

REFUSALS: dict[int, type[DeskhandError]] = {
    400: InvalidInputError,
    401: AuthError,
    402: QuotaError,
    403: PermissionDeniedError,
    409: ConflictError,
    422: InvalidInputError,
    429: RateLimitedError,
}
DOUBTS: dict[int, type[DeskhandError]] = {
    500: ProviderError,
    502: OutcomeUnknownError,
    503: OverloadedError,
    504: OutcomeUnknownError,
}
NO_ANSWERS = (b"<html>Sign in</html>", b"", b'{"success": tr', b"[]", b"null", b'"done"', b"\xff\xfe{}")


WAITS = {
    "-5": False,
    "soon": False,
    "nan": False,
    "1e999": False,
    "9" * 40: False,
    "": False,
    "Wed, 01 Jan 2020 00:00:00 GMT": True,
    "0": True,
    "0.3": True,
    "7": True,
}
"""What a vendor asks to wait, and whether it is a time; the longest comes last, as all requests heed it."""


async def failure(act: Act, served: Served) -> DeskhandError:
    """Act, and return the error that it ends in: after one request, with what to do, without the key."""
    before = len(act.sent(served.simulator))
    with pytest.raises(DeskhandError) as caught:
        await act.use(served.computer)
    error = caught.value
    assert len(act.sent(served.simulator)) == before + 1
    assert (error.provider, bool(error.hint)) == (act.vendor.partition(" ")[0], True)
    assert served.simulator.key not in f"{error}{error!r}"
    assert served.simulator.pending_faults == 0
    return error


@pytest.mark.parametrize("name", ACTS)
async def test_act_tells_truly_what_went_wrong(name: str) -> None:
    """A refusal had no effect; an error of the server's, a broken answer or none leaves a doubt; each has its class."""
    act = ACTS[name]
    async with VENDORS[act.vendor]() as served:
        for status, kind in REFUSALS.items():
            served.simulator.fail(status, route=act.route, message="no")
            error = await failure(act, served)
            assert (type(error), error.effect) == (kind, "no"), status
        for status, kind in DOUBTS.items():
            for is_done in (False, True):
                served.simulator.fail(status, route=act.route, message="no", after_effect=is_done)
                error = await failure(act, served)
                assert (type(error), error.effect) == (kind, "unknown"), status
        for body in NO_ANSWERS:
            served.simulator.respond(body, route=act.route)
            error = await failure(act, served)
            assert (type(error), error.effect) == (ProtocolError, "unknown"), body
        if not act.is_streamed:  # of what is no event, nothing is read
            served.simulator.respond(b" " * (33 << 20), route=act.route)
            error = await failure(act, served)
            assert (type(error), error.effect) == (PayloadTooLargeError, "unknown")
        for is_done in (False, True):
            served.simulator.drop(route=act.route, after_effect=is_done)
            assert type(await failure(act, served)) is OutcomeUnknownError


@pytest.mark.parametrize("vendor", VENDORS)
async def test_odd_wait_is_no_wait(vendor: str) -> None:
    """Until when to wait is told where what the vendor asks for makes sense; nonsense counts for nothing."""
    act = next(act for act in ACTS.values() if act.vendor == vendor)
    async with VENDORS[vendor]() as served:
        for asked, is_time in WAITS.items():
            served.simulator.fail(429, route=act.route, retry_after=asked)
            error = await failure(act, served)
            assert (type(error), error.effect, error.retryable) == (RateLimitedError, "no", True)
            assert (error.retry_at is not None) is is_time, asked


@pytest.mark.parametrize("vendor", sorted({act.vendor for act in ACTS.values() if not act.is_streamed}))
async def test_silence_ends_at_its_deadline(vendor: str) -> None:
    """An answer that never begins, one that stops in the middle and one that trickles: the outcome is unknown, soon."""
    act = next(act for act in ACTS.values() if act.vendor == vendor and not act.is_streamed)
    async with VENDORS[vendor](timeout=1.0) as served:
        arrangements: list[Callable[[], None]] = [
            lambda: served.simulator.stall(route=act.route),
            lambda: served.simulator.stall(after=5, route=act.route),
            lambda: served.simulator.slow(trickle=30, route=act.route),
        ]
        for arrange in arrangements:
            arrange()
            with anyio.fail_after(10):
                error = await failure(act, served)
            assert (type(error), error.effect) == (OutcomeUnknownError, "unknown")
