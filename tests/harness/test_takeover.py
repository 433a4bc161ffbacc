"""A person takes the computers over: exclusive, recorded, told to the agent, and always given back."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from deskhand import Engine, RunContext, ToolCall, open_run
from deskhand.errors import ConflictError, InvalidInputError
from deskhand.harness import Run
from deskhand.harness.events import ActionStarted, ControlReturned, ControlTaken, EventBase
from deskhand.providers import Click, InputAction, MouseDown, MouseUp, Type
from deskhand.tools import Observation
from tests.harness.driving import Driver, computer_with_screen, png
from tests.tools.recording import RecordingComputer


class Gate:
    """A driver that types when it is told to, and keeps what came of it."""

    def __init__(self) -> None:
        self.looked = anyio.Event()
        self.go_on = anyio.Event()
        self.seen: list[Observation] = []
        self.said: list[str] = []

    async def drive(self, run: RunContext) -> str:
        await run.look()
        self.looked.set()
        await self.go_on.wait()
        self.seen.append(await run.act("type", text="agent"))
        self.said += run.inbox.take()
        self.seen.append(await run.act("type", text="again"))
        return "done"


async def all_events(run: Run[str]) -> list[EventBase]:
    return [event async for event in run.events()]


async def test_agent_waits_while_a_person_has_the_computer_and_is_told_afterwards() -> None:
    """What the person does is recorded under their name; the first action planned before is refused, not done."""
    gate, computer = Gate(), computer_with_screen()
    with anyio.fail_after(10):
        async with Driver(gate.drive).start(computer, "go") as run:
            await gate.looked.wait()
            async with await run.takeover("ann", reason="a login") as hands:
                gate.go_on.set()
                await hands.act("left_click", x=10, y=20)
                await hands.act("type", text="by hand")
                await anyio.wait_all_tasks_blocked()
                assert gate.seen == []
                computer.image = png(1280, 800, "white")
                await hands.hand_back("I signed in")
            assert (await run.result()).ok
            events = await all_events(run)
    assert computer.performed == [Click(10, 20), Type("by hand"), Type("again")]
    assert [one.outcome for one in gate.seen] == ["skipped", "ok"]
    assert "ann had the computer meanwhile" in gate.seen[0].text
    assert len(gate.said) == 1
    assert "left_click → ok; type → ok" in gate.said[0]
    assert "ann says: I signed in" in gate.said[0]
    assert gate.said[0].endswith("The screen has changed since.")
    actors = [event.data.actor for event in events if isinstance(event, ActionStarted)]
    assert actors == ["harness", "user:ann", "user:ann", "deskhand", "harness"]
    taken = next(event for event in events if isinstance(event, ControlTaken))
    returned = next(event for event in events if isinstance(event, ControlReturned))
    assert (taken.data.actor, taken.data.reason) == ("ann", "a login")
    assert (returned.data.actor, returned.data.summary, returned.data.actions) == ("ann", "I signed in", 2)
    assert returned.summary == "handed back by ann: I signed in"


async def test_takeover_waits_for_the_action_in_flight_and_stops_a_batch_between_two() -> None:
    """From the return of `takeover` on, nothing of the run's happens on the computer."""
    entered, release = anyio.Event(), anyio.Event()

    class Slow(RecordingComputer):
        async def perform(self, action: InputAction) -> None:
            if action == Type("first"):
                entered.set()
                await release.wait()
            await super().perform(action)

    computer = Slow()
    computer.image = png(64, 48)
    seen: list[Observation] = []

    async def drive(run: RunContext) -> None:
        seen.extend(await run.act_batch([ToolCall("type", {"text": "first"}), ToolCall("type", {"text": "second"})]))

    with anyio.fail_after(10):
        async with Driver(drive).start(computer, "go") as run, anyio.create_task_group() as tasks:
            await entered.wait()
            got: list[object] = []

            async def take() -> None:
                async with await run.takeover("ann") as hands:
                    got.append(hands)
                    assert computer.performed == [Type("first")]
                    await anyio.wait_all_tasks_blocked()
                    assert computer.performed == [Type("first")]

            tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            assert got == []
            release.set()
    assert [one.outcome for one in seen] == ["ok", "skipped"]


async def test_only_one_person_has_the_computer() -> None:
    """Another is told who; after the return it can be had again."""
    gate = Gate()
    with anyio.fail_after(10):
        async with Driver(gate.drive).start(computer_with_screen(), "go") as run:
            await gate.looked.wait()
            first = await run.takeover("ann")
            with pytest.raises(ConflictError, match="ann has the computer"):
                await run.takeover("bob")
            with pytest.raises(InvalidInputError, match="the summary has"):
                await run.hand_back("well, " * 20_000)
            assert not first.over
            await run.hand_back()
            assert first.over
            with pytest.raises(ConflictError, match="handed the computer back"):
                await first.act("type", text="late")
            async with await run.takeover("bob"):
                pass
            gate.go_on.set()


async def test_lease_runs_out_where_a_person_does_nothing() -> None:
    """The computers go back by themselves, and the agent goes on."""
    gate = Gate()
    with anyio.fail_after(10):
        async with Driver(gate.drive).start(computer_with_screen(), "go") as run:
            await gate.looked.wait()
            hands = await run.takeover("ann", lease=0.05)
            gate.go_on.set()
            assert (await run.result()).ok
            assert hands.over
    assert "nothing was done for 0.05 s" in gate.said[0]
    assert gate.said[0].endswith("The screen is as it was.")


@pytest.mark.parametrize("lease", [0, -1, float("nan")])
async def test_lease_that_is_no_time_is_refused(lease: float) -> None:
    """Nobody has the computer then."""
    async with open_run(computer_with_screen(), "go") as run:
        with pytest.raises(InvalidInputError, match="lease"):
            await run.takeover("ann", lease=lease)
        assert (await run.act("type", text="x")).ok


async def test_button_that_a_person_holds_is_released_when_they_leave() -> None:
    """Whatever way the block is left."""
    gate, computer = Gate(), computer_with_screen()
    with anyio.fail_after(10):
        async with Driver(gate.drive).start(computer, "go") as run:
            await gate.looked.wait()

            async def leave_with_the_button_down() -> None:
                async with await run.takeover("ann") as hands:
                    await hands.act("left_mouse_down")
                    raise ValueError("oops")

            with pytest.raises(ValueError, match="oops"):
                await leave_with_the_button_down()
            gate.go_on.set()
    assert [type(action) for action in computer.performed[:2]] == [MouseDown, MouseUp]


async def test_run_that_is_stopped_while_a_person_has_the_computer_ends_with_it_handed_back() -> None:
    """One ending; the return is written before it, and nothing can be done after it."""
    gate = Gate()
    with anyio.fail_after(10):
        async with Driver(gate.drive).start(computer_with_screen(), "go") as run:
            await gate.looked.wait()
            hands = await run.takeover("ann")
            gate.go_on.set()
            await run.stop()
            assert (await run.result()).outcome == "stopped"
            types = [event.type for event in await all_events(run)]
            with pytest.raises(ConflictError):
                await hands.act("type", text="late")
    assert types[-2:] == ["control.returned", "run.finished"]
    assert types.count("run.finished") == 1


async def test_person_who_waits_for_an_action_gets_nothing_of_a_run_that_ends_meanwhile() -> None:
    """They are told so, and what was written is whole."""
    entered, refused = anyio.Event(), anyio.Event()

    class Stuck(RecordingComputer):
        async def perform(self, action: InputAction) -> None:
            entered.set()
            await anyio.sleep_forever()

    async def drive(run: RunContext) -> None:
        await run.act("type", text="x")

    async def take(run: Run[str]) -> None:
        with pytest.raises(ConflictError, match="is ending"):
            await run.takeover("ann")
        refused.set()

    with anyio.fail_after(10):
        async with Engine() as engine, anyio.create_task_group() as tasks:
            run = await engine.start(Driver(drive), Stuck(), "go")
            await entered.wait()
            tasks.start_soon(take, run)
            await anyio.wait_all_tasks_blocked()
            await run.stop(now=True)
            types = [event.type async for event in run.events(types=["control.*", "run.finished"])]
            await refused.wait()
    assert types == ["control.taken", "control.returned", "run.finished"]


@pytest.mark.parametrize("summary", [None, "x" * 65_500])
async def test_return_to_an_agent_that_does_not_listen_harms_nobody(summary: str | None) -> None:
    """A hundred messages wait for it already, or there is too much to be said: this run and the others go on."""
    finish = anyio.Event()

    async def drive(run: RunContext) -> str:
        await finish.wait()
        return "done"

    with anyio.fail_after(10):
        async with Engine() as engine:
            runs = [await engine.start(Driver(drive), computer_with_screen(), "go") for _ in range(2)]
            for number in range(100):
                await runs[0].steer(f"word {number}")
            hands = await runs[0].takeover("ann", lease=60.0 if summary else 0.01)
            if summary:
                await hands.hand_back(summary)
            async for _ in runs[0].events(types=[ControlReturned]):
                break
            finish.set()
            assert [(await run.result()).output for run in runs] == ["done", "done"]


async def test_persons_bad_call_is_an_observation() -> None:
    """A person at the panel makes mistakes too."""
    gate = Gate()
    with anyio.fail_after(10):
        async with Driver(gate.drive).start(computer_with_screen(), "go") as run:
            await gate.looked.wait()
            async with await run.takeover("ann") as hands:
                assert (await hands.act("left_click", x=5000, y=1)).outcome == "error"
                frame = await hands.look()
                assert frame is not None
            gate.go_on.set()
