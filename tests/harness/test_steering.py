"""What people say to a run while it goes: at once, before the next turn, or when it would be done."""

from __future__ import annotations

import json

import anyio
import pytest

from deskhand import ClaudeComputerUseHarness, Engine, RunContext, ToolCall
from deskhand.errors import ConflictError, InvalidInputError
from deskhand.harness.events import RunSteered
from deskhand.providers import InputAction
from deskhand.testing import FakeAnthropic, FakeComputer, FakeTurn, ModelView, member
from deskhand.tools import Observation
from tests.harness.driving import Driver, computer_with_screen
from tests.tools.recording import RecordingComputer


def said(view: ModelView) -> str:
    """Return the whole conversation as text."""
    return json.dumps(view.messages)


async def test_driver_takes_what_was_said_when_it_suits_it() -> None:
    """Oldest first, once; what is for the end comes at the end."""
    begun, go_on = anyio.Event(), anyio.Event()
    taken: list[list[str]] = []

    async def drive(run: RunContext) -> None:
        begun.set()
        await go_on.wait()
        taken.append(run.inbox.take())
        taken.append(run.inbox.take())
        taken.append(run.inbox.take(idle=True))

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), "go") as run:
            await begun.wait()
            await run.steer("one", actor="ann")
            await run.steer("later", when="idle")
            await run.steer("two")
            go_on.set()
            events = [event async for event in run.events(types=[RunSteered])]
    assert taken == [["one", "two"], [], ["later"]]
    assert [event.summary for event in events] == ["ann says: one", "user says: later", "user says: two"]


async def test_all_who_wait_for_a_word_are_woken_by_one() -> None:
    """One of them gets it; the others wait for the next."""
    taken: list[str] = []

    async def drive(run: RunContext) -> None:
        async def hear() -> None:
            taken.extend(await run.inbox.wait())

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(hear)

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), "go") as run:
            for word in ("one", "two"):
                await anyio.wait_all_tasks_blocked()
                await run.steer(word)
            await run.result()
    assert taken == ["one", "two"]


async def test_urgent_word_keeps_the_rest_of_a_batch_from_running() -> None:
    """The action in flight ends; what follows is answered, not done."""
    entered, release = anyio.Event(), anyio.Event()
    seen: list[Observation] = []

    class Slow(RecordingComputer):
        async def perform(self, action: InputAction) -> None:
            entered.set()
            await release.wait()
            await super().perform(action)

    computer = Slow()

    async def drive(run: RunContext) -> None:
        seen.extend(await run.act_batch([ToolCall("type", {"text": str(n)}) for n in range(3)]))
        seen.append(await run.act("type", text=run.inbox.take()[0]))

    with anyio.fail_after(10):
        async with Driver(drive).start(computer, "go") as run:
            await entered.wait()
            await run.steer("stop that", when="now")
            release.set()
            await run.result()
    assert [one.outcome for one in seen] == ["ok", "skipped", "skipped", "ok"]
    assert seen[1].text == "Not executed: a person said something first."
    assert len(computer.performed) == 2


@pytest.mark.parametrize("person", ["pauses", "takes over"])
async def test_urgent_word_keeps_what_is_held_from_being_done(person: str) -> None:
    """Whoever stops an agent to tell it otherwise does not see it done after all; what comes next is."""
    computer = computer_with_screen()
    seen: list[Observation] = []

    async def drive(run: RunContext) -> None:
        seen.extend(await run.act_batch([ToolCall("exec", {"command": str(n)}) for n in range(2)]))
        seen.append(await run.act("exec", command=run.inbox.take()[0]))

    with anyio.fail_after(10):
        async with Engine() as engine:
            run = await engine.start(Driver(drive), computer, "go")
            if person == "pauses":
                await run.pause()
            else:
                await run.takeover("ann")
            await anyio.wait_all_tasks_blocked()
            await run.steer("not that", when="now")
            await run.hand_back()
            await run.resume()
            await run.result()
    assert [one.outcome for one in seen] == ["skipped", "skipped", "ok"]
    assert seen[0].text == "Not executed: a person said something first."


@pytest.mark.parametrize("text", ["", "  \n", "x" * 70_000])
async def test_message_that_says_nothing_or_too_much_is_refused(text: str) -> None:
    """Nothing is written of it."""
    begun = anyio.Event()

    async def drive(run: RunContext) -> None:
        begun.set()
        await run.inbox.wait()

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), "go") as run:
            await begun.wait()
            with pytest.raises(InvalidInputError, match="the message"):
                await run.steer(text)
            await run.steer("end")
            assert len([event async for event in run.events(types=[RunSteered])]) == 1
        with pytest.raises(ConflictError, match="has ended"):
            await run.steer("more")


@pytest.mark.slow
async def test_model_hears_it_before_its_next_turn() -> None:
    """Beside the results of what it asked for; the history stays legal."""
    heard: list[bool] = []
    steered = anyio.Event()

    async def script(view: ModelView) -> FakeTurn:
        heard.append("use the other door" in said(view))
        if view.turn == 0:
            return FakeTurn([member("left_click", coordinate=[1, 1])])
        if view.turn == 1:
            await steered.wait()
            return FakeTurn([member("left_click", coordinate=[2, 2])])
        return FakeTurn("Done.")

    harness = ClaudeComputerUseHarness(model="claude-sonnet-5-5", client=FakeAnthropic(script).client())
    with anyio.fail_after(30):
        async with FakeComputer() as computer, harness.start(computer, "go") as run:
            async for event in run.events():
                if event.type == "turn.started" and event.turn == 2:
                    await run.steer("use the other door")
                    steered.set()
            assert (await run.result()).ok
    assert heard == [False, False, True]


@pytest.mark.slow
async def test_urgent_word_breaks_off_an_answer_that_is_coming() -> None:
    """The model is asked anew, with what was said; what the lost answer asked for is not done."""
    asked = anyio.Event()

    async def script(view: ModelView) -> FakeTurn:
        if "forget it" in said(view):
            return FakeTurn("Forgotten.")
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    harness = ClaudeComputerUseHarness(model="claude-sonnet-5-5", client=FakeAnthropic(script).client())
    with anyio.fail_after(30):
        async with FakeComputer() as computer, harness.start(computer, "go") as run:
            await asked.wait()
            await run.steer("forget it", when="now")
            result = await run.result()
    assert (result.outcome, result.output) == ("completed", "Forgotten.")
    assert computer.performed == []


@pytest.mark.slow
async def test_run_that_would_be_done_goes_on_with_what_was_said_for_then() -> None:
    """Not before: the model hears it in answer to its last word."""
    texts: list[str] = []
    first = anyio.Event()
    steered = anyio.Event()

    async def script(view: ModelView) -> FakeTurn:
        texts.append(said(view))
        if view.turn == 0:
            first.set()
            await steered.wait()
            return FakeTurn("First done.")
        return FakeTurn("Second done.")

    harness = ClaudeComputerUseHarness(model="claude-sonnet-5-5", client=FakeAnthropic(script).client())
    with anyio.fail_after(30):
        async with FakeComputer() as computer, harness.start(computer, "go") as run:
            await first.wait()
            await run.steer("then the other", when="idle")
            steered.set()
            result = await run.result()
    assert result.output == "Second done."
    assert ["then the other" in text for text in texts] == [False, True]
