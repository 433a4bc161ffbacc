"""Recovery of runs of every kind: continued, of several computers, taken over, in circles, on another computer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from deskhand import ClaudeComputerUseHarness, Engine, FleetHarness, MemoryBlobs, MemoryLog, RunContext
from deskhand.harness.events import (
    ActionFinished,
    ActionStarted,
    ComputerStatusChanged,
    ControlTaken,
    Event,
    ModelMessage,
    RunFinished,
    RunPaused,
    RunSteered,
    RunStuck,
    TurnFinished,
    TurnStarted,
)
from deskhand.providers import Click
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member, tool_use
from tests.harness.beginnings import beginning, events_of, intents, outcomes
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.openai_script import MODES, click
from tests.harness.test_fleet import Named
from tests.harness.test_recovery import Model
from tests.harness.test_recovery_state import DrivenAgain, up_to
from tests.harness.test_stuck import LOW, clicking


def scripted(mode: str, *turns: FakeTurn) -> Model:
    """Make a model that plays these turns, one an answer that it finds in the history."""
    model = Model(mode)
    model.turns = list(turns)
    return model


async def added(log: MemoryLog, events: Sequence[Event]) -> MemoryLog:
    """Add another run to a log."""
    log.append(events[0].run_id, await log.claim(events[0].run_id), list(events))
    return log


@pytest.mark.parametrize("mode", ["claude", *MODES])
async def test_continued_run_goes_on_with_all_that_was_said_before(mode: str) -> None:
    """Killed anywhere, a run that continues another one is continued and recovered at once: the history is the same."""

    def turns() -> list[FakeTurn]:
        click_on = member("left_click", coordinate=[3, 4]) if mode == "claude" else click(mode, 3, 4)
        return [
            FakeTurn([click_on]),
            FakeTurn("First."),
            FakeTurn([tool_use("exec", command="b")]),
            FakeTurn("Second."),
        ]

    blobs, model = MemoryBlobs(), scripted(mode, *turns())
    async with model.fake.client() as client, Engine(blobs=blobs) as engine:
        harness = model.harness(client)
        first = await engine.start(harness, computer_with_screen(), "One.")
        assert (await first.result()).output == "First."
        second = await engine.start(harness, computer_with_screen(), "Two.", history=first)
        assert (await second.result()).output == "Second."
        before, whole = await events_of(engine.log, first.id), await events_of(engine.log, second.id)
    for last in range(1, len(whole)):
        again = model if "kept" in mode else scripted(mode, *turns())
        asked = len(again.fake.requests)
        async with (
            again.fake.client() as client,
            Engine(log=await added(await beginning(before), whole[:last]), blobs=blobs) as engine,
        ):
            run: Any = await engine.recover(second.id, harness=again.harness(client), computer=computer_with_screen())
            result = await run.result()
            again.check()
            events = await events_of(engine.log, run.id)
        assert (result.outcome, result.output) == ("completed", "Second."), (last, result.error)
        assert len(intents(events)) == len(set(intents(events)))
        if "unknown" not in outcomes(events).values() and len(again.fake.requests) == asked + 1 and "kept" not in mode:
            assert again.fake.requests[-1].body == model.fake.requests[-1].body


class Fleet:
    """Two loops, each with a model of its own."""

    def __init__(self) -> None:
        self.views: dict[str, list[ModelView]] = {"a": [], "b": []}
        self.fakes = {name: FakeAnthropic(self.script(name)) for name in self.views}
        self.computers: Any = [Named("a"), Named("b")]

    def script(self, name: str) -> Any:
        """Click twice and look, then say who one is."""
        x = 1 if name == "a" else 2
        turns = [
            FakeTurn([member("left_click", coordinate=[x, 1])]),
            FakeTurn([member("left_click", coordinate=[x, 2]), member("type", text=name)]),
            FakeTurn(f"{name} is done."),
        ]

        def play(view: ModelView) -> FakeTurn:
            self.views[name].append(view)
            return turns[view.turn]

        return play

    async def harness(self, stack: AsyncExitStack) -> Any:
        """Make the fleet."""
        clients = {name: await stack.enter_async_context(fake.client()) for name, fake in self.fakes.items()}
        return FleetHarness({name: ClaudeComputerUseHarness(client=client) for name, client in clients.items()})

    async def recovered(self, events: Sequence[Event], blobs: MemoryBlobs) -> tuple[object, list[Event]]:
        """Take the run up; return its output and the whole log."""
        async with AsyncExitStack() as stack, Engine(log=await beginning(events), blobs=blobs) as engine:
            run = await engine.recover(events[0].run_id, harness=await self.harness(stack), computer=self.computers)
            result = await run.result()
            for fake in self.fakes.values():
                fake.raise_script_errors()
                assert [request.error for request in fake.requests if request.error] == []
            return result.output, await events_of(engine.log, run.id)


async def fleet_run(blobs: MemoryBlobs, say: str | None = None) -> list[Event]:
    """Return the events of a fleet's run from start to end."""
    fleet = Fleet()
    async with AsyncExitStack() as stack, Engine(blobs=blobs) as engine:
        run = await engine.start(await fleet.harness(stack), fleet.computers, "Go.")
        if say is not None:
            async for _ in run.events(types=[ActionStarted]):
                break
            await run.steer(say, computer_id="a")
        assert (await run.result()).ok
        return await events_of(engine.log, run.id)


DONE = {"a": "a is done.", "b": "b is done."}


async def test_fleet_that_died_anywhere_goes_on_on_each_of_its_computers() -> None:
    """Each loop from where it was: nothing is done twice on any computer, and no two turns have one number."""
    blobs = MemoryBlobs()
    whole = await fleet_run(blobs)
    for last in range(1, len(whole), 2):
        fleet, known = Fleet(), whole[:last]
        output, events = await fleet.recovered(known, blobs)
        assert output == DONE, last
        assert len(intents(events)) == len(set(intents(events)))
        turns = [event.data.index for event in events if isinstance(event, TurnStarted)]
        assert len(turns) == len(set(turns))
        begun = {call_id for call_id in intents(known) if call_id not in outcomes(known)}
        assert {call_id for call_id, outcome in outcomes(events).items() if outcome == "unknown"} == begun
        done = [event.data for event in known if isinstance(event, ActionStarted) and event.data.name == "left_click"]
        clicks = sum(len([one for one in computer.performed if isinstance(one, Click)]) for computer in fleet.computers)
        if not begun:
            assert clicks == 4 - len(done)


async def test_word_to_one_loop_of_a_fleet_is_heard_by_that_one_again() -> None:
    """And by no other: after the recovery each conversation is as it was."""
    blobs = MemoryBlobs()
    whole = await fleet_run(blobs, "take care")
    fleet = Fleet()
    ends = {index for index, event in enumerate(whole) if isinstance(event, TurnStarted)}
    output, _ = await fleet.recovered(whole[: min(max(ends), len(whole) - 1)], blobs)
    assert output == DONE
    assert "take care" not in str([view.messages for view in fleet.views["b"]])
    if fleet.views["a"]:
        assert str(fleet.views["a"][-1].messages).count("take care") == 1


async def test_only_the_loop_whose_computer_was_replaced_is_told() -> None:
    """The other one has the computer that it had, and goes on there as if nothing had been."""
    blobs = MemoryBlobs()
    first = Fleet()
    first.computers = {"a": Named("one"), "b": Named("two")}
    async with AsyncExitStack() as stack, Engine(blobs=blobs) as engine:
        run = await engine.start(await first.harness(stack), first.computers, "Go.")
        assert (await run.result()).ok
        whole = await events_of(engine.log, run.id)
    known = up_to(whole, TurnStarted, 4)
    again = Fleet()
    again.computers = {"a": Named("one"), "b": Named("three")}
    output, events = await again.recovered(known, blobs)
    assert output == DONE
    told = [event for event in events if isinstance(event, RunSteered)]
    assert [event.computer_id for event in told] == ["b"]
    assert "The computer b is another one from here on" in told[0].data.text
    assert "is another one" in str([view.messages for view in again.views["b"]])
    assert "another" not in str([view.messages for view in again.views["a"]])


async def test_run_that_a_person_had_taken_over_comes_back_paused() -> None:
    """The person may be at it still: nothing is done until somebody lets the run go on; then its agent is told."""
    said: list[str] = []
    go_on = anyio.Event()

    async def drive(run: RunContext) -> str:
        await run.look()
        await go_on.wait()
        first = await run.act("left_click", x=1, y=1)
        run.hear_again()
        said.extend(run.inbox.take())
        return first.outcome

    async with Engine() as engine:
        run = await engine.start(DrivenAgain(drive), computer_with_screen(), "Go.")
        async for _ in run.events(types=[ActionFinished]):
            break
        async with await run.takeover("ann") as hands:
            await hands.act("type", text="secret")
            go_on.set()
        await run.result()
        events = await events_of(engine.log, run.id)
    known = up_to(events, ControlTaken)
    used = computer_with_screen()
    async with Engine(log=await beginning(known)) as engine:
        run = await engine.recover(events[0].run_id, harness=DrivenAgain(drive), computer=used)
        assert run.paused
        [paused] = [event for event in await events_of(engine.log, run.id) if isinstance(event, RunPaused)]
        assert (paused.data.actor, paused.data.reason) == ("deskhand", "ann had the computer")
        async with await run.takeover("ann") as hands:  # ... who can take it over again
            await hands.act("type", text="secret")
        assert run.paused
        assert [type(action).__name__ for action in used.performed] == ["Type"]
        await run.resume()
        result = await run.result()
    assert result.output == "skipped"  # what was planned on what the screen showed before is not done
    assert any("ann had the computer when the program was restarted" in text for text in said)


async def test_model_is_told_that_it_has_another_computer() -> None:
    """What it had planned on the lost one is not done on the new one; it is told, and sees the new screen."""
    blobs = MemoryBlobs()
    turns = (FakeTurn([member("left_click", coordinate=[10, 20])]), FakeTurn("Done."))
    model = scripted("claude", *turns)
    async with model.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(model.harness(client), Named("lost"), "Go.")
        await run.result()
        events = up_to(await events_of(engine.log, run.id), ModelMessage)
    again, used = scripted("claude", *turns), Named("other")
    async with again.fake.client() as client, Engine(log=await beginning(events), blobs=blobs) as engine:
        run = await engine.recover(events[0].run_id, harness=again.harness(client), computer=used)
        assert (await run.result()).output == "Done."
        again.check()
        whole = await events_of(engine.log, run.id)
    assert used.performed == []
    [view] = again.views
    assert "You have another computer from here on" in view.text
    places = [event.data.computer_id for event in whole if isinstance(event, ComputerStatusChanged)]
    assert places == ["lost", "other"]


@pytest.mark.parametrize("until", [ModelMessage, TurnFinished, ActionStarted])
@pytest.mark.parametrize("name", [None, "desk"], ids=["by its id", "by a name"])
async def test_plan_for_a_lost_computer_is_not_carried_out_on_another(name: str | None, until: type[Event]) -> None:
    """No command of it, which no frame binds to a screen, and no click where the run calls both by one name."""

    def used_as(computer: Named) -> Any:
        return computer if name is None else {name: computer}

    blobs = MemoryBlobs()
    calls = [
        tool_use("write_file", path="a", content="b"),
        tool_use("exec", command="c"),
        tool_use("left_click", x=1, y=2),
    ]
    turns = (FakeTurn(calls), FakeTurn("Done."))
    model = scripted("functions", *turns)
    async with model.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(model.harness(client), used_as(Named("lost")), "Go.")
        await run.result()
        whole = await events_of(engine.log, run.id)
    first = next(index for index, event in enumerate(whole) if isinstance(event, ModelMessage))
    last = next(index for index, event in enumerate(whole) if index >= first and isinstance(event, until))
    again, used = scripted("functions", *turns), Named("other")
    async with again.fake.client() as client, Engine(log=await beginning(whole[: last + 1]), blobs=blobs) as engine:
        taken_up = await engine.recover(whole[0].run_id, harness=again.harness(client), computer=used_as(used))
        assert (await taken_up.result()).output == "Done."
        again.check()
        ends = outcomes(await events_of(engine.log, taken_up.id))
    assert used.performed == []
    assert used.files == {}
    written = "unknown" if until is ActionStarted else "skipped"
    assert [ends[f"{whole[0].run_id}/1/{number}"] for number in (1, 2, 3)] == [written, "skipped", "skipped"]
    assert "You have another computer from here on" in again.views[-1].text


async def test_word_that_could_not_wait_keeps_the_rest_from_being_done_after_a_crash_too() -> None:
    """It was said while the first of two commands was carried out, and then the process died."""
    blobs, turns = MemoryBlobs(), (FakeTurn([tool_use("exec", command=name) for name in "ab"]), FakeTurn("Done."))
    model = scripted("functions", *turns)
    async with model.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(model.harness(client), computer_with_screen(), "Go.")
        await run.result()
        whole = await events_of(engine.log, run.id)
    first = next(event for event in whole if isinstance(event, ActionStarted) and event.data.name == "exec")
    word = {"source": first.source, "run_id": run.id, "data": {"actor": "ann", "text": "Not b!", "when": "now"}}
    events = [*whole[: whole.index(first) + 1], RunSteered.model_validate(word)]
    again = scripted("functions", *turns)
    async with again.fake.client() as client, Engine(log=await beginning(events), blobs=blobs) as engine:
        taken_up = await engine.recover(run.id, harness=again.harness(client), computer=computer_with_screen())
        assert (await taken_up.result()).output == "Done."
        ends = outcomes(await events_of(engine.log, run.id))
    assert [ends[f"{run.id}/1/{number}"] for number in (1, 2)] == ["unknown", "skipped"]
    assert "Not b!" in again.views[-1].text


async def circles(events: Sequence[Event] | None = None) -> tuple[list[Event], int]:
    """Click and look for ever, or go on with that; return the whole log and how often it was clicked."""
    used = computer_with_screen()
    async with Engine(log=None if events is None else await beginning(events), stuck=LOW) as engine:
        if events is None:
            run = await engine.start(DrivenAgain(clicking), used, "Go.")
        else:
            run = await engine.recover(events[0].run_id, harness=DrivenAgain(clicking), computer=used)
        await run.result()
        return await events_of(engine.log, run.id), len(used.performed)


async def test_run_in_circles_is_still_in_circles_after_its_recovery() -> None:
    """What was counted before the crash counts: it is told once, and ends after as many rounds as without a crash."""
    whole, clicks = await circles()
    steps = [event.data.step for event in whole if isinstance(event, RunStuck)]
    assert steps == ["nudged", "stalled"]
    places = [index for index, event in enumerate(whole) if isinstance(event, ActionStarted)]
    for last in places[2::3]:
        known = whole[:last]
        events, more = await circles(known)
        assert [event.data.step for event in events if isinstance(event, RunStuck)] == steps, last
        assert len(intents(known)) + more == clicks
        [finished] = [event for event in events if isinstance(event, RunFinished)]
        assert finished.data.reason == "stalled"


async def test_watch_of_the_harness_counts_in_a_recovered_run_too() -> None:
    """A bundled loop that goes in circles ends as stalled, recovered or not; what it was told stands in its history."""
    blobs = MemoryBlobs()

    class Circles(Model):
        def play(self, view: ModelView) -> FakeTurn:
            self.views.append(view)
            return FakeTurn([member("left_click", coordinate=[1, 1]), member("screenshot")])

    model = Circles("claude")
    async with model.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(model.harness(client), computer_with_screen(), "Go.")
        assert (await run.result()).reason == "stalled"
        whole = await events_of(engine.log, run.id)
    turn = [index for index, event in enumerate(whole) if isinstance(event, TurnStarted)][-1]
    again = Circles("claude")
    async with again.fake.client() as client, Engine(log=await beginning(whole[:turn]), blobs=blobs) as engine:
        run = await engine.recover(whole[0].run_id, harness=again.harness(client), computer=computer_with_screen())
        assert (await run.result()).reason == "stalled"
    assert again.fake.requests[0].body == model.fake.requests[-1].body
    assert "This leads nowhere" in str(again.views[0].messages)


async def test_turns_of_a_fleet_are_numbered_on_from_the_last() -> None:
    """Also where an earlier turn was broken off and a later one was not: no two turns have one number."""
    done = anyio.Event()

    async def drive(run: RunContext) -> str:
        async with run.turn() as turn:
            await turn.record("I think.")
            if "a" in run.computers:
                await done.wait()
        done.set()
        return str(turn.index)

    async with Engine() as engine:
        run = await engine.start(FleetHarness(Driver(drive)), [Named("a"), Named("b")], "Go.")
        assert (await run.result()).output == {"a": "1", "b": "2"}
        known = up_to(await events_of(engine.log, run.id), TurnFinished)
    async with Engine(log=await beginning(known)) as engine:
        again = await engine.recover(run.id, harness=FleetHarness(Driver(drive)), computer=[Named("a"), Named("b")])
        assert (await again.result()).output == {"a": "3", "b": "4"}
