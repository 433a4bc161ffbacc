"""What acts, against every status: typed, told truly, sent once, without the key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
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
from deskhand.providers.daytona import DaytonaComputer
from deskhand.testing.simulators import DaytonaSimulator
from tests.providers.daytona.parts import daytona

Use = Callable[[DaytonaComputer], Awaitable[object]]
USES: dict[str, Use] = {
    "click": lambda computer: computer.left_click(3, 4),
    "drag": lambda computer: computer.drag((1, 1), (2, 2)),
    "scroll": lambda computer: computer.scroll(1, 1, dy=1),
    "type": lambda computer: computer.type("text"),
    "key": lambda computer: computer.key("enter"),
    "mouse_down": lambda computer: computer.mouse_down(),
    "execute": lambda computer: computer.exec("echo hi"),
    "create_session": lambda computer: computer.exec_stream("echo hi").__aenter__(),
}
"""What acts, by the route that it uses."""

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


async def failure(computer: DaytonaComputer, simulator: DaytonaSimulator, route: str) -> DeskhandError:
    """Use a computer, and return the error that it ends in: after one request, with what to do, without the key."""
    before = len(simulator.asked(route))
    with pytest.raises(DeskhandError) as caught:
        await USES[route](computer)
    error = caught.value
    assert len(simulator.asked(route)) == before + 1
    assert (error.provider, bool(error.hint)) == ("daytona", True)
    assert simulator.key not in f"{error}{error!r}"
    assert simulator.pending_faults == 0
    return error


@pytest.mark.parametrize("route", sorted(USES))
async def test_operation_tells_truly_what_went_wrong(route: str) -> None:
    """A refusal had no effect; an error of the server's, a broken answer or none leaves a doubt; each has its class."""
    async with daytona() as hosted:
        computer, simulator = await hosted.create(), hosted.simulator
        for status, kind in REFUSALS.items():
            simulator.fail(status, route=route, message="no")
            error = await failure(computer, simulator, route)
            assert (type(error), error.effect) == (kind, "no"), status
        for status, kind in DOUBTS.items():
            simulator.fail(status, route=route, message="no")
            error = await failure(computer, simulator, route)
            assert (type(error), error.effect) == (kind, "unknown"), status
        if route != "create_session":  # whose answer nobody reads
            for body in (b"<html>Sign in</html>", b"", b'{"result": tr', b"[]"):
                simulator.respond(body, route=route)
                error = await failure(computer, simulator, route)
                assert (type(error), error.effect) == (ProtocolError, "unknown"), body
        simulator.respond(b" " * (33 << 20), route=route)
        assert type(await failure(computer, simulator, route)) is PayloadTooLargeError
        simulator.drop(route=route)
        assert type(await failure(computer, simulator, route)) is OutcomeUnknownError
        simulator.fail(410, route=route)
        assert type(await failure(computer, simulator, route)) is ComputerGoneError


async def test_servers_own_time_for_a_command_is_told_as_such() -> None:
    """It ran, and was ended there."""
    async with daytona() as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(408, route="execute", extra={"code": "PROCESS_EXECUTION_TIMEOUT"})
        error = await failure(computer, hosted.simulator, "execute")
        assert (error.code, error.effect, error.retryable) == ("deadline", "yes", False)


async def test_screenshot_that_is_none_is_refused() -> None:
    """No base64, no picture, or one of another size than was asked for."""
    from deskhand.providers import Region

    async with daytona() as hosted:
        computer = await hosted.create()
        for body in (b"{}", b'{"screenshot": "%%%"}', b'{"screenshot": "aGVsbG8="}'):
            hosted.simulator.respond(body, route="screenshot", content_type="application/json")
            with pytest.raises(ProtocolError):
                await computer.screenshot()
        whole = await computer.screenshot()
        import base64

        wrong = b'{"screenshot": "%s"}' % base64.b64encode(whole)
        hosted.simulator.respond(wrong, route="region", content_type="application/json")
        with pytest.raises(ProtocolError, match="another size"):
            await computer.screenshot(region=Region(0, 0, 8, 8))
