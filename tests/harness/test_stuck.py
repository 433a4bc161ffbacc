"""A run that goes in circles is told so, then a person is asked, then it has failed as stalled."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, cycle, islice

import pytest

from deskhand import ClaudeComputerUseHarness, RunContext, open_run
from deskhand.errors import StalledError
from deskhand.harness import ApprovalRequest, Engine, Stuck
from deskhand.harness.events import RunFinished, RunStuck
from deskhand.harness.stuck import Finding, Step, Watch
from deskhand.providers import InputAction
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member
from tests.harness.driving import Driver, computer_with_screen, png
from tests.tools.recording import RecordingComputer

LOW = Stuck(repeats=3, looks=5, ping_pong=3, no_effect=6, errors=3, ask_after=2, fail_after=2)


def did(call: str, then: str) -> list[Step]:
    """Return the steps of an input and the look at what it showed."""
    return [Step("input", call), Step("look", "shot", then)]


def told(steps: Iterator[Step]) -> list[Finding]:
    """Return what a watch says of steps."""
    watch = Watch(LOW)
    return [found for step in steps if (found := watch.take(step)) is not None]


def rounds(*pairs: tuple[str, str], times: int = 1) -> Iterator[Step]:
    """Return the steps of rounds, several times over."""
    return chain.from_iterable(did(*pair) for pair in islice(cycle(pairs), len(pairs) * times))


def mixed(*found: Iterator[Step] | list[Step]) -> Iterator[Step]:
    return chain.from_iterable(found)


START = [Step("look", "shot", "a")]

STUCK = {
    "the same click on the same screen": (mixed(START, rounds(("click", "a"), times=3)), "repeats"),
    "two screens in turn": (mixed(START, rounds(("open", "b"), ("close", "a"), times=4)), "ping_pong"),
    "three screens in turn": (mixed(START, rounds(("x", "b"), ("y", "c"), ("z", "a"), times=4)), "ping_pong"),
    "whatever is done": (mixed(START, rounds(*((str(n), "a") for n in range(6)))), "no_effect"),
    "nothing but looking": (mixed(START, [Step("look", "shot", "a")] * 5), "repeats"),
    "a command that says the same": (iter([Step("other", "ls", "empty")] * 5), "repeats"),
    "errors": (iter([Step("input", str(n), failed=True) for n in range(3)]), "errors"),
    "errors with looks between": (
        mixed(*([Step("input", str(n), failed=True), Step("look", "shot", str(n))] for n in range(3))),
        "errors",
    ),
}


@pytest.mark.parametrize("name", STUCK)
def test_circle_is_found_once(name: str) -> None:
    """Each pattern, told when its threshold is reached, and not again while it goes on."""
    steps, pattern = STUCK[name]
    assert [found.pattern for found in told(steps)] == [pattern]


FINE = {
    "the same click on another screen each time": mixed(START, rounds(("n", "b"), ("n", "c"), ("n", "d"), ("n", "e"))),
    "one key many times without a look": mixed(START, [Step("input", "tab")] * 30, [Step("look", "shot", "b")]),
    "a form filled with other words": mixed(
        START, *(mixed(did("field", "b"), did(f"type {n}", "c"), did("save", "a")) for n in range(9))
    ),
    "twice, then something else": mixed(START, rounds(("x", "a"), ("x", "a"), ("y", "b"), ("x", "a"), ("x", "a"))),
    "commands that say something else": iter([Step("other", "ls", str(n)) for n in range(30)]),
    "errors between successes": iter([Step("input", "x", failed=n % 3 > 0) for n in range(30)]),
}


@pytest.mark.parametrize("name", FINE)
def test_work_that_resembles_a_circle_is_none(name: str) -> None:
    """Repetition is how much work is done."""
    assert told(FINE[name]) == []


def test_switched_off_it_finds_nothing() -> None:
    """Thresholds are data; 0 is never."""
    watch = Watch(Stuck.off())
    assert [watch.take(step) for step in mixed(START, rounds(("x", "a"), times=50))] == [None] * 101
    failures = [Step("input", "x", failed=True)] * 50
    assert not any(watch.take(step) for step in failures)


async def clicking(run: RunContext) -> str:
    """Click and look for ever."""
    await run.look()
    for _ in range(100):
        await run.act("left_click", x=5, y=5)
        await run.look()
    return "done"


async def events_of(harness: Driver, computer: RecordingComputer, **more: object) -> list[RunStuck | RunFinished]:
    async with harness.start(computer, "go", stuck=LOW, **more) as run:  # type: ignore[arg-type]
        return [event async for event in run.events(types=[RunStuck, RunFinished])]  # type: ignore[misc]


async def test_run_in_circles_ends_as_stalled() -> None:
    """The model is told, nobody is there to be asked, and a few rounds later it has failed."""
    computer = computer_with_screen()
    stuck, finished = await events_of(Driver(clicking), computer), None
    finished = stuck.pop()
    assert isinstance(finished, RunFinished)
    assert (finished.data.outcome, finished.data.reason) == ("failed", "stalled")
    assert finished.data.error is not None
    assert finished.data.error.code == "stalled"
    assert [event.data.step for event in stuck if isinstance(event, RunStuck)] == ["nudged", "stalled"]
    assert len(computer.performed) == LOW.repeats + LOW.ask_after + LOW.fail_after
    assert stuck[0].summary == "stuck (nudged): The same was done 3 times on the same screen, or with the same result."


@pytest.mark.parametrize("answers", [[True, True], [False], [True, False]])
async def test_person_is_asked_before_a_run_ends_as_stalled(answers: list[bool]) -> None:
    """A yes lets it begin anew, a no is told to the model; what goes on regardless has failed."""
    computer, given = computer_with_screen(), list(answers)
    asked: list[ApprovalRequest] = []

    async def on_approval(request: ApprovalRequest) -> bool:
        asked.append(request)
        return given.pop(0) if given else False

    *stuck, finished = await events_of(Driver(clicking), computer, on_approval=on_approval)
    assert isinstance(finished, RunFinished)
    assert finished.data.reason == "stalled"
    steps = [event.data.step for event in stuck if isinstance(event, RunStuck)]
    yes = sum(answers)
    assert steps == ["nudged", "asked"] * (yes + 1) + ["stalled"]
    assert len(asked) == yes + 1
    assert asked[0].reason.startswith("the run seems to be stuck: The same was done")


async def test_run_that_heeds_the_word_is_forgiven() -> None:
    """What it does otherwise clears it."""

    async def drive(run: RunContext) -> str:
        await run.look()
        heard: list[str] = []
        for number in range(60):
            heard = heard or run.inbox.take()
            computer.image = png(1280, 800, f"#{number:02x}0000") if heard else computer.image
            await run.act("left_click", x=5, y=5)
            await run.look()
        return heard[0]

    computer = computer_with_screen()
    result = await Driver(drive).run(computer, "go", stuck=LOW)
    assert result.ok
    assert result.output is not None
    assert result.output.endswith("do something else, or say what is in the way.")


async def test_loop_of_ones_own_is_watched_only_if_it_says_so() -> None:
    """It may not read its inbox; asked to, a block is told by an exception."""
    computer = computer_with_screen()
    async with open_run(computer, "go") as run:
        await clicking(run)
    with pytest.raises(StalledError):
        async with open_run(computer, "go", stuck=LOW) as run:
            await clicking(run)
    result = await run.result()
    assert (result.outcome, result.reason) == ("failed", "stalled")


async def test_person_at_the_computer_lets_the_run_begin_anew() -> None:
    """A takeover changes what leads nowhere."""

    async def drive(run: RunContext) -> str:
        await run.look()
        for number in range(12):
            if number % 3 == 2:
                async with await held[0].takeover("ann"):
                    pass
                await run.look()
            await run.act("left_click", x=5, y=5)
            await run.look()
        return "done"

    held = []
    async with Engine(stuck=LOW) as engine, engine.open(computer_with_screen(), "go") as run:
        held.append(run)
        await drive(run)
        run.finish("done")
    assert (await run.result()).ok


async def test_claude_is_told_in_its_next_turn_and_stopped_in_the_end() -> None:
    """By default; the history that it is told in is one that the API takes."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        return FakeTurn([member("left_click", coordinate=[1, 1])])

    fake = FakeAnthropic(play)
    result = await ClaudeComputerUseHarness(client=fake.client()).run(computer_with_screen(), "Go.")
    assert (result.outcome, result.reason) == ("failed", "stalled")
    assert [request.error for request in fake.requests if request.error] == []
    limits = Stuck()
    assert "leads nowhere" not in str(fake.requests[limits.repeats - 1].body)
    assert "leads nowhere" in str(fake.requests[limits.repeats].body)
    assert len(views) == limits.repeats + limits.ask_after + limits.fail_after + 1


async def test_errors_of_what_is_no_call_count_too() -> None:
    """A model that keeps calling a tool wrongly is told, and in the end the run has failed."""

    class Broken(RecordingComputer):
        async def perform(self, action: InputAction) -> None:
            raise OSError("no hands")

    computer = Broken()
    computer.image = png(64, 48)

    async def drive(run: RunContext) -> str:
        for number in range(50):
            await run.act("type", text=str(number)) if number % 2 else await run.act("typo")
        return "done"

    result = await Driver(drive).run(computer, "go", stuck=LOW)
    assert (result.outcome, result.reason) == ("failed", "stalled")
