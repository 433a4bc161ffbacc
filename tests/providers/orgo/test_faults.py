"""Every operation that acts, against every way in which a request can go wrong: typed, told truly, sent once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest

from deskhand import ClaudeComputerUseHarness
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
from deskhand.providers.orgo import OrgoComputer, OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member
from deskhand.testing.simulators import OrgoSimulator
from tests.providers.orgo.parts import orgo, simulated

Use = Callable[[OrgoComputer], Awaitable[object]]
USES: dict[str, Use] = {
    "click": lambda computer: computer.left_click(3, 4),
    "drag": lambda computer: computer.drag((1, 1), (2, 2)),
    "scroll": lambda computer: computer.scroll(1, 1, dy=1),
    "type": lambda computer: computer.type("text"),
    "key": lambda computer: computer.key("enter"),
    "bash": lambda computer: computer.exec("echo hi"),
    "exec": lambda computer: computer.python("1"),
    "chat": lambda computer: computer.prompt("Go."),
    "restart": lambda computer: computer.restart(),
    "clone": lambda computer: computer.clone("twin"),
}
"""What acts, by the route that it uses."""

REFUSALS: dict[int, type[DeskhandError]] = {
    400: ConflictError,
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


async def failure(computer: OrgoComputer, simulator: OrgoSimulator, route: str) -> DeskhandError:
    """Use a computer, and return the error that it ends in: after one request, with what to do, without the key."""
    before = len(simulator.asked(route))
    with pytest.raises(DeskhandError) as caught:
        await USES[route](computer)
    error = caught.value
    assert len(simulator.asked(route)) == before + 1
    assert error.provider == "orgo"
    assert error.hint
    assert simulator.key not in f"{error}{error!r}"
    assert simulator.pending_faults == 0
    return error


@pytest.mark.parametrize("route", sorted(USES.keys() - {"clone"}))
async def test_operation_tells_truly_what_went_wrong(route: str) -> None:
    """A refusal had no effect; an error of the server's, a broken answer or none leaves a doubt; each has its class."""
    async with FakeComputer() as machine, orgo(lambda: machine) as hosted:
        computer, simulator = await hosted.create(), hosted.simulator
        for status, kind in REFUSALS.items():
            simulator.fail(status, route=route)
            error = await failure(computer, simulator, route)
            assert (type(error), error.effect, bool(error.request_id)) == (kind, "no", True), status
        for status, kind in DOUBTS.items():
            simulator.fail(status, route=route, after_effect=status == 503)
            error = await failure(computer, simulator, route)
            assert (type(error), error.effect, bool(error.request_id)) == (kind, "unknown", True), status
        for body in (b"<html>Sign in</html>", b"", b'{"success": tr', b"[]"):
            simulator.respond(body, route=route)
            error = await failure(computer, simulator, route)
            assert (type(error), error.effect) == (ProtocolError, "unknown"), body
        simulator.respond(b" " * (33 << 20), route=route)
        error = await failure(computer, simulator, route)
        assert (type(error), error.effect) == (PayloadTooLargeError, "unknown")
        simulator.drop(route=route)
        assert type(await failure(computer, simulator, route)) is OutcomeUnknownError
        simulator.fail(404, route=route)
        assert type(await failure(computer, simulator, route)) is ComputerGoneError
        assert machine.performed[1:] == []  # the one that was performed before its 503


async def test_clone_that_is_refused_is_told_and_leaves_nothing() -> None:
    """Like whatever else acts; that a doubt is resolved is told elsewhere."""
    async with orgo() as hosted:
        computer = await hosted.create()
        for status, kind in REFUSALS.items():
            hosted.simulator.fail(status, route="clone")
            error = await failure(computer, hosted.simulator, "clone")
            assert (type(error), error.effect) == (kind, "no"), status
        assert len(hosted.simulator.computers) == 1


async def test_rate_limit_tells_until_when() -> None:
    """A question waits for it; what acts is told, and waits itself."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(429, route="click", retry_after=7)
        error = await failure(computer, hosted.simulator, "click")
        assert error.retryable
        assert error.retry_at is not None
        hosted.simulator.fail(429, route="screenshot", retry_after=0.1)
        assert await computer.screenshot()
        hosted.simulator.fail(429, route="screenshot", retry_after=86_400)
        with anyio.fail_after(5), pytest.raises(RateLimitedError, match="longer"):
            await computer.screenshot()


@pytest.mark.parametrize("route", ["click", "bash", "screenshot"])
async def test_answer_that_trickles_ends_at_its_deadline(route: str) -> None:
    """Bytes that come one by one put off nothing."""
    async with orgo(timeout=1.0) as hosted:
        computer = await hosted.create()
        hosted.simulator.slow(trickle=30, route=route)
        uses: dict[str, Callable[[], Awaitable[object]]] = {
            "screenshot": computer.screenshot,
            "bash": computer.list_dir,
            "click": partial(USES["click"], computer),
        }
        with anyio.fail_after(10), pytest.raises(DeskhandError) as caught:
            await uses[route]()
        assert caught.value.effect == ("unknown" if route == "click" else "no")


async def test_server_that_is_not_there_is_told_as_such() -> None:
    """Nothing happened; the address is named without what is secret in it."""
    async with simulated() as simulator:
        address, key = simulator.base_url, simulator.key
    async with OrgoProvider(api_key=key, base_url=address) as provider:
        with pytest.raises(DeskhandError) as caught:
            await provider.create(name="box", workspace_id="w")
    assert (caught.value.code, caught.value.effect) == ("connection_lost", "no")
    assert key not in str(caught.value)


async def test_redirect_is_not_followed_with_the_key() -> None:
    """Orgo's bare domain redirects: the error names where to."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(b"", status=308, route="click")
        with pytest.raises(DeskhandError, match="redirects") as caught:
            await computer.left_click(1, 1)
        assert caught.value.hint is not None
        assert "base_url" in caught.value.hint


async def test_logs_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor the terminal's token, whoever writes the line."""
    caplog.set_level(logging.DEBUG)
    async with orgo() as hosted:
        computer = await hosted.create()
        await computer.left_click(1, 1)
        async with computer.terminal():
            password = hosted.simulator.computers[computer.info.id].vnc_password
        key = hosted.simulator.key
        assert "/click" in caplog.text
        ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn"))
        assert key not in ours
        assert password not in ours
        assert key not in f"{hosted.provider!r}{computer!r}{vars(hosted.provider)}"


FAULTS: dict[str, Callable[[OrgoSimulator], None]] = {
    "500": lambda simulator: simulator.fail(500, route="click"),
    "502": lambda simulator: simulator.fail(502, route="click", after_effect=True),
    "cut": lambda simulator: simulator.drop(route="click", after_effect=True),
    "a page": lambda simulator: simulator.respond(route="click"),
    "429": lambda simulator: simulator.fail(429, route="click"),
    "gone": lambda simulator: simulator.fail(404, route="click"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_model_is_told_that_its_click_failed(fault: str) -> None:
    """A failed action is an error for the model, whatever the fault; it is sent once, and the run goes on."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        return FakeTurn([member("left_click", coordinate=[3, 4])]) if len(views) == 1 else FakeTurn("It failed.")

    fake = FakeAnthropic(play)
    async with orgo() as hosted, fake.client() as client:
        computer = await hosted.create()
        FAULTS[fault](hosted.simulator)
        result = await ClaudeComputerUseHarness(client=client).run(computer, "Click.")
        assert (result.outcome, result.output) == ("completed", "It failed.")
        [seen] = views[1].results
        assert seen.is_error
        assert "clicked" not in seen.text
        assert len(hosted.simulator.asked("click")) == 1
