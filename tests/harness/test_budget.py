"""Budgets: no cap is passed, whoever counts; what is reserved and not used comes back."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand import Allowance, Budget, BudgetExceededError, Price, RunContext, open_run
from deskhand.errors import InvalidInputError
from deskhand.harness import Engine
from deskhand.harness.budget import Metric, Purse
from deskhand.harness.events import BudgetWarned, RunFinished, RunStarted, Usage
from tests.harness.driving import Driver, computer_with_screen

PRICES = {"m": Price(input=1_000_000, output=2_000_000, cache_read=100_000, cache_write=1_250_000)}
"""A dollar for a token."""


def typing(times: int) -> Driver:
    """Type so often."""

    async def drive(run: RunContext) -> str:
        for _ in range(times):
            await run.act("type", text="x")
        return "done"

    return Driver(drive)


def thinking(*usages: Usage, reserve: Usage) -> Driver:
    """Have one model turn for each usage."""

    async def drive(run: RunContext) -> str:
        for usage in usages:
            async with run.turn(model="m", reserve=reserve) as turn:
                await turn.record("text", usage=usage)
        return "done"

    return Driver(drive)


@pytest.mark.parametrize(
    ("cap", "outcome", "done"), [(3, "completed", 3), (2, "budget_exceeded", 2), (0, "budget_exceeded", 0)]
)
async def test_actions_are_capped_before_they_are_sent(cap: int, outcome: str, done: int) -> None:
    """Exactly as many take effect as the budget has."""
    computer = computer_with_screen()
    result = await typing(3).run(computer, "go", budget=Budget(actions=cap))
    assert result.outcome == outcome
    assert result.reason == ("actions" if outcome == "budget_exceeded" else None)
    assert len(computer.performed) == done


async def test_frames_are_capped() -> None:
    """Screenshots count, whoever takes them."""
    async with open_run(computer_with_screen(), "go", budget=Budget(frames=1)) as run:
        await run.look()
        with pytest.raises(BudgetExceededError, match="1 frames"):
            await run.look()


async def test_turns_are_capped() -> None:
    """A driver's own turns count like a bundled loop's."""
    result = await thinking(*[Usage(input=1)] * 3, reserve=Usage(input=1)).run(
        computer_with_screen(), "go", budget=Budget(turns=2)
    )
    assert (result.outcome, result.reason, result.turns) == ("budget_exceeded", "turns", 2)


async def test_worst_case_of_a_request_is_reserved_before_it_is_made() -> None:
    """A cap is never passed: a request that might pass it is not made, though it would have used less."""
    turn, worst = Usage(input=10, output=10), Usage(input=10, output=90)
    result = await thinking(turn, turn, turn, reserve=worst).run(
        computer_with_screen(), "go", budget=Budget(tokens=120)
    )
    assert (result.outcome, result.reason, result.turns) == ("budget_exceeded", "tokens", 2)
    assert result.usage.total == 40
    assert result.error is not None
    assert "40 are used or reserved, up to 100 more would be needed" in result.error.message


async def test_money_counts_all_kinds_of_tokens_by_the_price_that_is_given() -> None:
    """Input, output with thinking, cache reads and writes."""
    usage = Usage(input=1, output=1, cache_read=10, cache_write=4)  # 1 + 2 + 1 + 5 dollars
    budget = Budget(money=20, prices=PRICES)
    result = await thinking(usage, usage, usage, reserve=usage).run(computer_with_screen(), "go", budget=budget)
    assert (result.outcome, result.reason, result.turns) == ("budget_exceeded", "money", 2)
    assert result.cost == pytest.approx(18)


@pytest.mark.parametrize(("policy", "outcome"), [("refuse", "budget_exceeded"), ("ignore", "completed")])
async def test_model_without_a_known_price_is_not_asked_unless_that_is_wanted(policy: str, outcome: str) -> None:
    """An unknown price is never taken for zero unasked."""
    budget = Budget(money=1, unknown_price=policy)  # type: ignore[arg-type]
    result = await thinking(Usage(input=5), reserve=Usage(input=5)).run(computer_with_screen(), "go", budget=budget)
    assert result.outcome == outcome
    if outcome == "budget_exceeded":
        assert result.error is not None
        assert "no price is known for m" in result.error.message
        assert "prices=" in str(result.error.hint)


async def test_time_is_capped_and_stands_still_while_the_run_is_paused() -> None:
    """Seconds in which a run waits for a person do not count."""

    async def drive(run: RunContext) -> str:
        await run.act("type", text="a")
        await run.act("type", text="b")
        return "done"

    computer = computer_with_screen()
    async with Driver(drive).start(computer, "go", budget=Budget(time=0.5)) as run:
        await run.pause()
        await anyio.sleep(0.7)
        await run.resume()
        assert (await run.result()).outcome == "completed"
    result = await Driver(drive).run(computer, "go", budget=Budget(time=0))
    assert (result.outcome, result.reason) == ("budget_exceeded", "time")


async def test_allowance_is_shared_by_all_runs_that_have_it() -> None:
    """Of a user, say: one after the other, and at once."""
    allowance = Allowance(Budget(actions=5), "user ann")
    first = await typing(3).run(computer_with_screen(), "go", budget=allowance)
    second = await typing(3).run(computer_with_screen(), "go", budget=[Budget(actions=100), allowance])
    assert (first.outcome, second.outcome, allowance.used("actions")) == ("completed", "budget_exceeded", 5)
    assert second.error is not None
    assert "user ann" in second.error.message


async def test_engines_budget_counts_for_all_its_runs_beside_their_own() -> None:
    """The narrowest cap of all is the one that is told at the start."""
    async with Engine(budget=Allowance(Budget(actions=2), "engine")) as engine:
        runs = [await engine.start(typing(2), computer_with_screen(), "go", budget=Budget(actions=9)) for _ in range(2)]
        outcomes = sorted([(await run.result()).outcome for run in runs])
        started = [event async for event in runs[0].events(types=[RunStarted])]
    assert "budget_exceeded" in outcomes
    assert isinstance(started[0], RunStarted)
    assert started[0].data.budget == {"actions": 2}


async def test_cap_that_is_nearly_reached_is_told_once() -> None:
    """At four fifths."""
    async with typing(10).start(computer_with_screen(), "go", budget=Budget(actions=10)) as run:
        events = [event async for event in run.events()]
    warned = [event for event in events if isinstance(event, BudgetWarned)]
    assert [(one.data.metric, one.data.limit, one.data.used) for one in warned] == [("actions", 10, 8)]
    assert warned[0].summary == "budget of the run: 8 of 10 actions used"
    assert isinstance(events[-1], RunFinished)


async def test_what_was_reserved_and_not_used_comes_back() -> None:
    """Also where a model call fails."""
    allowance = Allowance(Budget(tokens=100))

    async def drive(run: RunContext) -> None:
        async def broken() -> None:
            async with run.turn(reserve=Usage(output=90)):
                assert allowance.left("tokens") == 10
                raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await broken()
        assert allowance.left("tokens") == 100

    assert (await Driver(drive).run(computer_with_screen(), "go", budget=allowance)).ok


@pytest.mark.parametrize("cap", [-1, float("nan"), float("inf"), True, "3"])
def test_cap_that_is_none_is_refused(cap: float) -> None:
    """A budget is a number from 0 up."""
    with pytest.raises(InvalidInputError, match="money"):
        Budget(money=cap)


def test_word_for_an_unknown_price_that_is_none_is_refused() -> None:
    """It would let a model through whose price nobody knows."""
    with pytest.raises(InvalidInputError, match="'refuse' or 'ignore'"):
        Budget(money=1, unknown_price="Refuse")  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=40), st.integers(0, 200))
@settings(max_examples=200, deadline=None)
def test_no_cap_is_ever_passed(requests: list[tuple[int, float]], cap: int) -> None:
    """Whatever is reserved and whatever part of it is used, by two that share an allowance."""
    shared = Allowance(Budget(tokens=cap))
    purses = [Purse([shared]), Purse([shared])]
    metric: Metric = "tokens"
    open_ones = []
    for index, (worst, share) in enumerate(requests):
        purse = purses[index % 2]
        try:
            open_ones.append((purse, purse.reserve({metric: worst}), worst * share))
        except BudgetExceededError:
            continue
        if index % 3 == 0:
            settled, reservation, used = open_ones.pop(0)
            settled.settle(reservation, {metric: used})
        left = shared.left("tokens")
        assert left is not None
        assert left >= 0
        assert shared.used("tokens") <= cap
    for purse, reservation, used in open_ones:
        purse.settle(reservation, {metric: used})
    assert shared.used("tokens") <= cap + 1e-9
