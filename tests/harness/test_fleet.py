"""Several computers in one run: a loop each, all at once, with one stream of events, one budget and one switch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from deskhand import (
    Budget,
    ClaudeComputerUseHarness,
    Engine,
    FleetError,
    FleetHarness,
    OpenAIComputerUseHarness,
    RunContext,
    ToolCall,
)
from deskhand.errors import BudgetExceededError, ConfigError, ConflictError, InvalidInputError, ProtocolError
from deskhand.harness.events import ActionFinished, ActionStarted, EventBase, ModelMessage, RunFinished, TurnStarted
from deskhand.providers import Click, ComputerInfo, InputAction
from deskhand.testing.models import FakeAnthropic, FakeOpenAI, FakeTurn, ModelView, action, computer_call, member
from tests.harness.driving import Driver, png
from tests.tools.recording import RecordingComputer


class Named(RecordingComputer):
    """A recording computer with an id of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.image = png(1280, 800)
        self.name = name

    @property
    def info(self) -> ComputerInfo:
        return replace(super().info, id=self.name)


class Slow(Named):
    """Clicks only when another computer is about to click too."""

    def __init__(self, name: str, inside: list[str], both: anyio.Event) -> None:
        super().__init__(name)
        self.inside = inside
        self.both = both

    async def perform(self, action: InputAction) -> None:
        self.inside.append(self.name)
        if len(self.inside) == 2:
            self.both.set()
        await self.both.wait()


def named(*names: str) -> list[Named]:
    """Make computers with these ids."""
    return [Named(name) for name in names]


async def test_each_computer_gets_its_own_loop_and_the_outputs_go_by_its_id() -> None:
    """Both act on their own computer, and neither sees the other."""

    async def drive(run: RunContext) -> str:
        [own] = run.computers
        await run.act("left_click", x=1 if own == "a" else 2, y=1, check=True)
        return f"{own}: {run.goal.splitlines()[0]}"

    one, other = named("a", "b")
    result = await FleetHarness(Driver(drive)).run([one, other], "Go.")
    assert result.output == {"a": "a: Go.", "b": "b: Go."}
    assert (one.performed, other.performed) == ([Click(1, 1)], [Click(2, 1)])
    assert result.actions == 2


async def test_loops_run_at_once() -> None:
    """Each waits for the other: one after the other they would wait for ever."""
    here = {"a": anyio.Event(), "b": anyio.Event()}

    async def drive(run: RunContext) -> str:
        [own] = run.computers
        await run.act("exec", command="true")
        here[own].set()
        await here["b" if own == "a" else "a"].wait()
        return own

    with anyio.fail_after(10):
        result = await FleetHarness(Driver(drive)).run(named("a", "b"), "Go.")
    assert result.ok


async def test_actions_on_different_computers_are_in_flight_at_once() -> None:
    """One lock a computer: an action waits for another on its own computer alone."""
    inside: list[str] = []
    both = anyio.Event()

    computers = [Slow(name, inside, both) for name in ("a", "b")]

    async def drive(run: RunContext) -> str:
        calls = [ToolCall("left_click", {"x": 1, "y": 1}, computer_id=key) for key in run.computers]
        assert all(seen.ok for seen in await run.act_batch(calls))
        return "done"

    with anyio.fail_after(10):
        assert (await Driver(drive).run(computers, "Go.")).ok
    assert sorted(inside) == ["a", "b"]


async def test_one_stream_tells_of_all_loops_and_whose_each_event_is() -> None:
    """Numbers have no hole, turns and calls have ids of their own, and there is one end."""
    fake, other = FakeAnthropic(_clicks_once), FakeOpenAI(_clicks_once_there)
    async with fake.client() as client, other.client() as second, Engine() as engine:
        harness = FleetHarness(
            {"a": ClaudeComputerUseHarness(client=client), "b": OpenAIComputerUseHarness(client=second)}
        )
        run = await engine.start(harness, named("a", "b"), "Click.")
        result = await run.result()
        assert result.output == {"a": "Clicked.", "b": "Clicked there."}
        events = await engine.log.read(run.id, limit=1000)
    for one in (fake, other):
        one.raise_script_errors()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], RunFinished)
    assert result.turns == 4
    for kind in (TurnStarted, ModelMessage):
        assert _owners(events, kind) == {"a": 2, "b": 2}
    calls = [event.data.call_id for event in events if isinstance(event, ActionFinished)]
    assert len(set(calls)) == len(calls)
    turns = {event.data.index: event.computer_id for event in events if isinstance(event, TurnStarted)}
    assert sorted(turns) == [1, 2, 3, 4]
    for event in events:
        if isinstance(event, ActionStarted) and event.turn is not None:
            assert turns[event.turn] == event.computer_id


def _owners(events: Any, kind: type[EventBase]) -> dict[str | None, int]:
    found: dict[str | None, int] = {}
    for event in events:
        if isinstance(event, kind):
            found[event.computer_id] = found.get(event.computer_id, 0) + 1
    return found


def _clicks_once(view: ModelView) -> FakeTurn:
    return FakeTurn([member("left_click", coordinate=[3, 4])]) if view.turn == 0 else FakeTurn("Clicked.")


def _clicks_once_there(view: ModelView) -> FakeTurn:
    return FakeTurn([computer_call(action("click", x=5, y=6))]) if view.turn == 0 else FakeTurn("Clicked there.")


async def test_loop_that_fails_ends_alone_and_is_named_in_the_end() -> None:
    """The other goes on to its end; the run is failed, with the output that there is."""
    failed = anyio.Event()

    async def drive(run: RunContext) -> str:
        [own] = run.computers
        if own == "a":
            failed.set()
            raise ProtocolError("nonsense", effect="no")
        await failed.wait()
        await run.act("left_click", x=1, y=1, check=True)
        return "made it"

    one, other = named("a", "b")
    with anyio.fail_after(10):
        result = await FleetHarness(Driver(drive)).run([one, other], "Go.")
    assert (result.outcome, result.output) == ("failed", {"b": "made it"})
    assert result.error is not None
    assert result.error.code == "protocol" or "a: nonsense" in result.error.message
    assert other.performed == [Click(1, 1)]


async def test_errors_of_one_kind_give_the_run_their_outcome() -> None:
    """Of others than ours too; a mixture is a failure."""

    def failing(errors: dict[str, Exception]) -> FleetHarness:
        async def drive(run: RunContext) -> str:
            raise errors[next(iter(run.computers))]

        return FleetHarness(Driver(drive))

    turns = BudgetExceededError("much", reason="turns")
    result = await failing({"a": turns, "b": turns}).run(named("a", "b"), "Go.")
    assert (result.outcome, result.reason) == ("budget_exceeded", "turns")
    mixed = await failing({"a": turns, "b": ZeroDivisionError("oh")}).run(named("a", "b"), "Go.")
    assert mixed.outcome == "failed"
    assert mixed.error is not None
    assert "ZeroDivisionError: oh" in mixed.error.message
    assert FleetError({"a": turns}, {}).errors == {"a": turns}


async def test_stop_ends_all_loops() -> None:
    """With one outcome; a loop that was told to stop is no failure."""
    waiting = {"a": anyio.Event(), "b": anyio.Event()}

    async def drive(run: RunContext) -> str:
        waiting[next(iter(run.computers))].set()
        while True:
            await run.act("exec", command="true")

    async with Engine() as engine:
        run = await engine.start(FleetHarness(Driver(drive)), named("a", "b"), "Go.")
        with anyio.fail_after(10):
            for one in waiting.values():
                await one.wait()
            await run.stop()
            assert (await run.result()).outcome == "stopped"


async def test_budget_is_shared() -> None:
    """Four actions for both, whoever does them."""

    async def drive(run: RunContext) -> str:
        for _ in range(4):
            await run.act("left_click", x=1, y=1)
        return "done"

    one, other = named("a", "b")
    result = await FleetHarness(Driver(drive)).run([one, other], "Go.", budget=Budget(actions=4))
    assert result.outcome == "budget_exceeded"
    assert len(one.performed) + len(other.performed) == 4


async def test_what_people_say_is_heard_by_all_or_by_the_one_that_is_meant() -> None:
    """Each loop has an inbox of its own."""
    ready = {"a": anyio.Event(), "b": anyio.Event()}

    async def drive(run: RunContext) -> str:
        [own] = run.computers
        ready[own].set()
        heard: list[str] = []
        while "end" not in heard:
            heard += await run.inbox.wait()
        return ",".join(heard)

    async with Engine() as engine:
        run = await engine.start(FleetHarness(Driver(drive)), named("a", "b"), "Go.")
        with anyio.fail_after(10):
            for one in ready.values():
                await one.wait()
            await run.steer("for a", computer_id="a")
            with pytest.raises(InvalidInputError):
                await run.steer("for nobody", computer_id="c")
            await run.steer("end")
            assert (await run.result()).output == {"a": "for a,end", "b": "end"}


async def test_goal_of_each_loop_says_which_computer_it_has_unless_it_has_a_goal_of_its_own() -> None:
    """A model must know which part is its own."""

    async def drive(run: RunContext) -> str:
        return run.goal

    fleet = FleetHarness(Driver(drive), goals={"b": "Only this."})
    result = await fleet.run(named("a", "b"), "Go.")
    assert result.output is not None
    assert result.output["b"] == "Only this."
    assert str(result.output["a"]).startswith("Go.\n\nYou have the computer a.")


@pytest.mark.parametrize("given", ["missing", "unknown", "goal"])
async def test_harnesses_and_goals_fit_to_the_computers(given: str) -> None:
    """What is for no computer is a mistake, and so is a computer without a loop."""
    driver = Driver(lambda run: anyio.sleep_forever())
    harnesses = {"a": driver} if given == "missing" else {"a": driver, "b": driver, "c": driver}
    fleet = FleetHarness(driver, goals={"c": "x"}) if given == "goal" else FleetHarness(harnesses)
    with anyio.fail_after(10):
        result = await fleet.run(named("a", "b"), "Go.")
    assert result.error is not None
    assert result.error.code == "config"
    with pytest.raises(ConfigError):
        FleetHarness({})


async def test_fleet_is_continued_each_loop_with_its_own_conversation() -> None:
    """What one model saw, the other's history does not hold."""
    views: dict[str, list[ModelView]] = {"a": [], "b": []}

    def script(own: str) -> Callable[[ModelView], FakeTurn]:
        def play(view: ModelView) -> FakeTurn:
            views[own].append(view)
            return FakeTurn(f"{own} done {len(views[own])}.")

        return play

    one, other = FakeAnthropic(script("a")), FakeAnthropic(script("b"))
    async with one.client() as first, other.client() as second, Engine() as engine:
        fleet = FleetHarness(
            {"a": ClaudeComputerUseHarness(client=first), "b": ClaudeComputerUseHarness(client=second)}
        )
        run = await engine.start(fleet, named("a", "b"), "First.")
        assert (await run.result()).ok
        again = await engine.start(fleet, named("a", "b"), "Second.", history=run)
        assert (await again.result()).output == {"a": "a done 2.", "b": "b done 2."}
    for fake, own, foreign in ((one, "a", "b done"), (other, "b", "a done")):
        fake.raise_script_errors()
        body = json.dumps(list(fake.requests)[-1].body)
        assert f"{own} done 1." in body
        assert foreign not in body


async def test_two_computers_of_one_id_are_refused() -> None:
    """Nobody could say which is meant."""
    with pytest.raises(InvalidInputError, match="same id"):
        await FleetHarness(Driver(lambda run: anyio.sleep_forever())).run(named("a", "a"), "Go.")


async def test_driver_names_the_computer_and_its_frames_are_that_computers_own() -> None:
    """Coordinates are those of the newest frame of the computer that is meant."""
    left, right = named("a", "b")
    right.image = png(640, 400)

    async def drive(run: RunContext) -> str:
        frames = [await run.on(key).look() for key in run.computers]
        assert [frame.computer_id for frame in frames] == ["a", "b"]
        await run.on("a").act("left_click", x=1000, y=700, check=True)
        refused = await run.on("b").act("left_click", x=1000, y=700)
        assert refused.error is not None
        assert refused.error.code == "invalid_input"
        with pytest.raises(InvalidInputError):
            run.on("c")
        return "done"

    assert (await Driver(drive).run([left, right], "Go.")).output == "done"
    assert left.performed == [Click(1000, 700)]
    assert right.performed == []


async def test_part_of_a_run_is_lent_once_and_given_back() -> None:
    """A driver of one's own lends a computer to another harness, and has it again afterwards."""

    async def inner(run: RunContext) -> str:
        assert list(run.computers) == ["b"]
        await run.act("left_click", x=1, y=1, check=True)
        return "inner"

    async def drive(run: RunContext) -> str:
        harness = Driver(inner)
        with run.part("b", harness, goal="Only this.") as part:
            assert part.goal == "Only this."
            with pytest.raises(ConflictError), run.part("b", harness):
                pass
            said = await harness.drive(part)
        with run.part("b", harness):
            pass
        await run.on("b").act("left_click", x=2, y=2, check=True)
        return f"{said}, {list(run.computers)}"

    one, other = named("a", "b")
    result = await Driver(drive).run([one, other], "Go.")
    assert result.output == "inner, ['a', 'b']"
    assert other.performed == [Click(1, 1), Click(2, 2)]
