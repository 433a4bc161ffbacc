"""How long a run waits when a model's API says how long: in each format, within the cap and the run's own deadline."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import anyio
import pytest

from deskhand import Budget, Engine
from deskhand.harness import Run
from deskhand.harness.events import CustomEvent
from deskhand.harness.models.transport import Deadlines
from tests.harness.driving import small_computer
from tests.harness.every_api import EVERY, FORMATS, Timed, click_once, run
from tests.harness.virtual_time import NOW, VirtualTime

UNNAMED = (0.25, 0.5)
"""The seconds within which a first wait is that nobody named."""

NAMED: dict[str, tuple[str, tuple[float, float]]] = {
    "seconds": ("7", (7.0, 7.7)),
    "half seconds": ("1.5", (1.5, 1.65)),
    "the cap": ("60", (60.0, 60.0)),
    "date": (formatdate(NOW + 30, usegmt=True), (30.0, 33.0)),
    "date that has passed": (formatdate(NOW - 30, usegmt=True), (0.0, 0.0)),
    "zero": ("0", (0.0, 0.0)),
    "negative": ("-5", UNNAMED),
    "not a number": ("NaN", UNNAMED),
    "infinite": ("inf", UNNAMED),
    "beyond all floats": ("1e400", UNNAMED),
    "garbage": ("next Tuesday", UNNAMED),
    "empty": ("", UNNAMED),
}
"""What an API asks for, and the seconds that are waited for it at least and at most."""

TOO_LONG: dict[str, tuple[str, float]] = {
    "a second more": ("61", 61.0),
    "a day": ("100000", 100_000.0),
    "a date in a year's time": (formatdate(NOW + 31_536_000, usegmt=True), 31_536_000.0),
}


async def retries(started: Run[str]) -> list[Any]:
    """Return what the events of a run tell of what was asked again."""
    told = [event.data async for event in started.events() if isinstance(event, CustomEvent)]
    return [data.value for data in told if data.name == "model.retry"]


@EVERY
@pytest.mark.parametrize("asked", NAMED)
async def test_named_wait_is_kept_and_nonsense_is_none(name: str, asked: str) -> None:
    """Never shorter than asked for, never longer than the cap; each attempt is told before its wait."""
    header, (least, most) = NAMED[asked]
    time, fake = VirtualTime(), FORMATS[name].fake(click_once(name))
    fake.fail(429, retry_after=header)
    async with fake.client() as client, Engine() as engine, time.running():
        started = await engine.start(Timed(name, client, time.clock), small_computer(), "Go.")
        assert (await started.result()).outcome == "completed"
        told = await retries(started)
    (waited,) = time.slept
    assert least <= waited <= most
    assert [(retry["attempt"], retry["code"]) for retry in told] == [(1, "rate_limited")]
    assert told[0]["delay"] == pytest.approx(waited, abs=0.001)
    assert len(fake.requests) == 3


@EVERY
@pytest.mark.parametrize("asked", TOO_LONG)
async def test_wait_beyond_the_cap_ends_the_run_at_once(name: str, asked: str) -> None:
    """Nobody sleeps until tomorrow; the error says when to come back."""
    header, seconds = TOO_LONG[asked]
    time, fake = VirtualTime(), FORMATS[name].fake(click_once(name))
    fake.fail(429, retry_after=header)
    async with fake.client() as client, time.running():
        result = await Timed(name, client, time.clock).run(small_computer(), "Go.")
    assert result.error is not None
    assert (result.outcome, result.error.code, result.error.retry_at) == ("failed", "rate_limited", NOW + seconds)
    assert (time.slept, len(fake.requests)) == ([], 1)


@EVERY
async def test_wait_is_not_begun_that_would_outlast_the_turn(name: str) -> None:
    """The turn's deadline holds for its waits too, one by one and all together."""
    time, fake = VirtualTime(), FORMATS[name].fake(click_once(name))
    fake.fail(429, retry_after=20, times=9)
    async with fake.client() as client, time.running():
        driver = Timed(name, client, time.clock).within(Deadlines(total=50.0))
        result = await driver.run(small_computer(), "Go.")
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "rate_limited")
    assert (sum(time.slept) < 50.0, len(fake.requests)) == (True, 3)


@EVERY
async def test_wait_is_not_begun_for_which_the_run_has_no_time(name: str) -> None:
    """A budget of time that would be used up by a wait ends the run before it."""
    fake = FORMATS[name].fake(click_once(name))
    fake.fail(429, retry_after=50)
    with anyio.fail_after(20):
        result = await run(fake, name, budget=Budget(time=15.0))
    assert (result.outcome, result.reason, len(fake.requests)) == ("budget_exceeded", "time", 1)


@EVERY
async def test_each_attempt_is_an_event(name: str) -> None:
    """With its number, why, after how long, and which request of the vendor's it was."""
    time, fake = VirtualTime(), FORMATS[name].fake(click_once(name))
    fake.fail(429, retry_after=3)
    fake.fail(FORMATS[name].overloaded)
    fake.drop()
    async with fake.client() as client, Engine() as engine, time.running():
        started = await engine.start(Timed(name, client, time.clock), small_computer(), "Go.")
        assert (await started.result()).outcome == "completed"
        told = await retries(started)
    assert [retry["attempt"] for retry in told] == [1, 2, 3]
    assert [retry["code"] for retry in told] == ["rate_limited", "overloaded", "connection_lost"]
    assert [retry["request_id"] for retry in told] == ["req_fake00000001", "req_fake00000002", None]
    assert [retry["delay"] for retry in told] == [pytest.approx(one, abs=0.001) for one in time.slept]
