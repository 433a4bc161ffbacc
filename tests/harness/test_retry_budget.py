"""How often many runs ask again when their model's API fails: spread, within a budget, until it answers or for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from deskhand import Engine, Harness, RunResult
from deskhand.errors import DeskhandError, OverloadedError
from deskhand.harness.models.retry_budget import MOST, RATE, SHARE, RetryBudget, budget_at, budget_of
from deskhand.harness.models.transport import Deadlines, Patience, Retry, persist
from deskhand.testing.models.wire import WireAnswer, WireRequest
from tests.harness.driving import small_computer
from tests.harness.every_api import EVERY, FORMATS, Timed, click_once
from tests.harness.virtual_time import VirtualTime

RUNS = 100
STORM = 30.0
BIN = 2.0
"""Seconds in which a wave would be seen."""


def stormy(name: str, time: VirtualTime, until: float) -> tuple[Any, list[float]]:
    """Make a fake that has too much to do until then; return it, and the list of when it was asked."""
    asked: list[float] = []

    class Storm(FORMATS[name].fake):  # type: ignore[misc]
        async def handle(self, request: WireRequest) -> WireAnswer:
            if time.now < until:
                self.fail(FORMATS[name].overloaded)
            asked.append(time.now)
            answer: WireAnswer = await super().handle(request)
            return answer

    return Storm(click_once(name), keep_requests=1), asked


async def all_at_once(make: Callable[[], Harness[str]], runs: int) -> list[RunResult[str]]:
    """Start so many runs, and return what came of them."""
    results: list[RunResult[str]] = []

    async def one(engine: Engine) -> None:
        started = await engine.start(make(), small_computer(), "Go.")
        results.append(await started.result())

    async with Engine() as engine, anyio.create_task_group() as group:
        for _ in range(runs):
            group.start_soon(one, engine)
    return results


@pytest.mark.slow
@EVERY
async def test_hundred_runs_outlast_a_storm_within_the_budget(name: str) -> None:
    """They ask again spread over its length, a few times in all instead of some five times each, and all are done."""
    time = VirtualTime()
    fake, asked = stormy(name, time, STORM)
    async with fake.client() as client, time.running():
        results = await all_at_once(lambda: Timed(name, client, time.clock), RUNS)
    assert [result.error for result in results if result.error] == []
    assert Counter(result.outcome for result in results) == {"completed": RUNS}
    assert asked[:RUNS] == [0.0] * RUNS
    stormed = [at for at in asked[RUNS:] if at < STORM]
    assert RATE * STORM / 2 < len(stormed) <= MOST + RATE * STORM + SHARE * RUNS
    bins = Counter(int(at // BIN) for at in stormed)
    assert max(bins.values()) <= 3 * len(stormed) / (STORM / BIN), bins
    assert time.now < 2 * STORM


@pytest.mark.slow
@EVERY
async def test_storm_without_end_ends_runs_as_overloaded(name: str) -> None:
    """Whoever gets no room to ask again is told so within the cap; nobody asks for ever."""
    time = VirtualTime()
    fake, asked = stormy(name, time, float("inf"))
    async with fake.client() as client, time.running():
        results = await all_at_once(lambda: Timed(name, client, time.clock), RUNS)
    assert Counter(result.outcome for result in results) == {"failed": RUNS}
    assert {result.error.code for result in results if result.error} == {"overloaded"}
    held = [result for result in results if result.error and "no room" in result.error.message]
    assert len(held) > RUNS / 2
    assert len(asked) - RUNS <= MOST + SHARE * RUNS + RATE * time.now


async def asked_until(
    budget: RetryBudget, time: VirtualTime, ask: Callable[[], Awaitable[str]], **more: Any
) -> list[Retry]:
    told: list[Retry] = []
    afforded: list[float] = []
    given: dict[str, Any] = {"patience": Patience(), "deadlines": Deadlines(), **more}
    await persist(ask, clock=time.clock, budget=budget, afford=afforded.append, on_retry=told.append, **given)
    assert afforded == time.slept[-len(afforded) :]
    return told


def failing(times: int) -> Callable[[], Awaitable[str]]:
    """Make a model that fails so often, then answers."""
    left = [times]

    async def ask() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise OverloadedError("full", request_id="req_1")
        return "answer"

    return ask


async def test_run_alone_is_never_held_back() -> None:
    """The budget holds what one run repeats in a row, and an answer gives back what it took."""
    time, budget = VirtualTime(), RetryBudget()
    async with time.running():
        for _ in range(20):
            told = await asked_until(budget, time, failing(5))
            assert time.slept[-5:] == [retry.delay for retry in told]


async def test_room_comes_with_time_with_requests_and_with_answers() -> None:
    """A second brings one repetition, five requests bring one, and one that is answered brings the next."""
    budget = RetryBudget()
    assert [budget.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [budget.take(at) for at in (0.5, 1.0, 1.5, 2.0)] == [False, True, False, True]
    for _ in range(5):
        budget.count()
    assert [budget.take(2.0) for _ in range(2)] == [True, False]
    budget.give_back()
    assert [budget.take(2.0) for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.count()
        budget.give_back()
    assert [budget.take(9000.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(("total", "longest"), [(1800.0, 60.0), (10.0, 10.0)], ids=["cap", "deadline"])
async def test_wait_for_room_is_bounded(total: float, longest: float) -> None:
    """By the cap, and by the turn's deadline; the error says what had gone wrong, and which request that was."""

    class Full(RetryBudget):
        def take(self, now: float) -> bool:
            return False

    time = VirtualTime()
    async with time.running():
        with pytest.raises(OverloadedError, match="full Too many requests of this client") as caught:
            await asked_until(Full(), time, failing(9), deadlines=Deadlines(total=total))
    assert longest - 2 <= time.now <= longest + 0.5
    assert isinstance(caught.value.__cause__, DeskhandError)
    assert caught.value.request_id == "req_1"


async def test_budget_is_that_of_a_client() -> None:
    """Runs of one client share it, those of another have their own; clients made here share that of their address."""
    client, other = FORMATS["claude"].fake([]).client(), FORMATS["claude"].fake([]).client()
    async with client, other:
        assert budget_of(client) is budget_of(client)
        assert budget_of(client) is not budget_of(other)
    assert budget_at("https://a.test") is budget_at("https://a.test")
    assert budget_at("https://a.test") is not budget_at("https://b.test")
