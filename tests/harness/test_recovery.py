"""A run of a bundled loop whose process died goes on from its log, wherever that ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from deskhand import ClaudeComputerUseHarness, Engine, MemoryBlobs, RunResult
from deskhand.harness.events import ActionStarted, Event, RunFinished, RunRecovered, TurnStarted
from deskhand.harness.models.transport import Patience
from deskhand.providers import ExecResult
from deskhand.testing.models import (
    FakeAnthropic,
    FakeOpenAI,
    FakeTurn,
    ModelView,
    action,
    computer_call,
    member,
    text,
    thinking,
    tool_use,
)
from tests.harness.beginnings import beginning, events_of, intents, outcomes
from tests.harness.driving import computer_with_screen
from tests.harness.openai_script import MODES, made
from tests.tools.recording import RecordingComputer

LONG = "x" * 40_000
CLAUDE: list[FakeTurn] = [
    FakeTurn([thinking("hm"), text("I click."), member("left_click", coordinate=[10, 20]), member("type", text="a")]),
    FakeTurn([tool_use("exec", command="long"), member("key", text="ctrl+s"), member("screenshot")]),
    FakeTurn([member("zoom", region=[0, 0, 100, 50]), tool_use("exec", command="b")]),
    FakeTurn("Done."),
]


def openai_turns(mode: str) -> list[FakeTurn]:
    """The same for the loops of the other vendor."""
    if mode in {"computer", "kept"}:
        click = computer_call(action("click", x=10, y=20), action("type", text="a"))
        return [FakeTurn([click]), FakeTurn([tool_use("exec", command="long")]), FakeTurn("Done.")]
    calls = [tool_use("left_click", x=10, y=20), tool_use("type", text="a")]
    return [FakeTurn(calls), FakeTurn([tool_use("exec", command="long")]), FakeTurn("Done.")]


class Model:
    """A scripted model that knows by the history how far the run is, as a live one does."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.turns = CLAUDE if mode == "claude" else openai_turns(mode)
        self.views: list[ModelView] = []
        self.fake: Any = FakeAnthropic(self.play) if mode == "claude" else FakeOpenAI(self.play)

    def play(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        return self.turns[view.turn]

    def harness(self, client: Any) -> Any:
        if self.mode == "claude":
            return ClaudeComputerUseHarness(client=client, patience=Patience(base=0))
        return made(self.mode, client)

    def check(self) -> None:
        """Hold every request to the vendor's rules."""
        self.fake.raise_script_errors()
        assert [request.error for request in self.fake.requests if request.error] == []


def computer() -> RecordingComputer:
    """A computer with a screen, and a command whose output is longer than an event keeps."""
    made_up = computer_with_screen()
    made_up.commands["long"] = ExecResult(LONG, LONG, "", 0)
    return made_up


def asked(events: Sequence[Event]) -> list[tuple[str, object]]:
    """Return what was asked for of what may change something, in order."""
    started = [event.data for event in events if isinstance(event, ActionStarted)]
    return [(data.name, data.arguments) for data in started if data.effect != "pure"]


async def whole_run(model: Model, blobs: MemoryBlobs) -> list[Event]:
    """Run from start to end, and return the log."""
    async with model.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(model.harness(client), computer(), "Go.")
        assert (await run.result()).outcome == "completed"
        model.check()
        return await events_of(engine.log, run.id)


async def recovered(
    model: Model, blobs: MemoryBlobs, events: Sequence[Event], on: RecordingComputer | None = None
) -> tuple[RunResult[Any], list[Event]]:
    """Take up a run of which the log holds these events; return its end and the whole log."""
    log = await beginning(events)
    async with model.fake.client() as client, Engine(log=log, blobs=blobs) as engine:
        run: Any = await engine.recover(events[0].run_id, harness=model.harness(client), computer=on or computer())
        result = await run.result()
        model.check()
        return result, await events_of(log, run.id)


@pytest.mark.parametrize("mode", ["claude", *MODES])
async def test_run_that_died_anywhere_goes_on_to_the_same_end(mode: str) -> None:
    """After every event: nothing is done again that may have been done, all else is, and each request is legal."""
    blobs = MemoryBlobs()
    model = Model(mode)
    whole = await whole_run(model, blobs)
    for last in range(1, len(whole)):
        known = whole[:last]
        again = model if "kept" in mode else Model(mode)  # (what the vendor keeps does not die with our process)
        result, events = await recovered(again, blobs, known)
        assert (result.outcome, result.output) == ("completed", "Done."), (last, result.error)
        # One log, numbered on, its beginning untouched, with one end and each action's one outcome.
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[:last] == known
        assert [type(event) for event in events].count(RunFinished) == 1
        ended = outcomes(events)
        assert set(ended) >= {event.data.call_id for event in events if isinstance(event, ActionStarted)}
        # What may have been done is not done again: each intent stands there once.
        assert len(intents(events)) == len(set(intents(events)))
        begun = [call_id for call_id in intents(known) if call_id not in outcomes(known)]
        assert [call_id for call_id, outcome in ended.items() if outcome == "unknown"] == begun
        if not begun:
            assert asked(events) == asked(whole)
            assert result.turns == len(model.turns)


async def test_history_is_the_same_as_before_the_crash() -> None:
    """What the model is shown next is byte for byte what it would have been shown."""
    blobs = MemoryBlobs()
    model = Model("claude")
    whole = await whole_run(model, blobs)
    last_turn = max(index for index, event in enumerate(whole) if isinstance(event, TurnStarted))
    again = Model("claude")
    await recovered(again, blobs, whole[:last_turn])
    assert len(again.views) == 1
    assert again.fake.requests[0].body == model.fake.requests[-1].body
    assert LONG in str(again.views[0].messages)


async def test_unknown_action_is_told_and_the_screen_shown() -> None:
    """Where nobody knows whether a click was done, the model is told so, and sees the screen as it is now."""
    blobs = MemoryBlobs()
    whole = await whole_run(Model("claude"), blobs)
    click = next(
        index
        for index, event in enumerate(whole)
        if isinstance(event, ActionStarted) and event.data.name == "left_click"
    )
    again, used = Model("claude"), computer()
    result, events = await recovered(again, blobs, whole[: click + 1], used)
    assert result.outcome == "completed"
    first = again.views[0]
    assert [seen.name for seen in first.results] == ["left_click", "type"]
    assert "not known whether this was done" in (first.results[0].text or "")
    assert first.results[1].text == "Not executed: an earlier computer action in this turn failed."
    assert "Find out before you repeat it" in str(first.messages[-1])
    assert "'type': 'image'" in str(first.messages[-1])
    [recovery] = [event for event in events if isinstance(event, RunRecovered)]
    assert (recovery.data.recoveries, len(recovery.data.unsettled)) == (1, 1)


async def test_run_is_recovered_again_and_again_and_then_quarantined() -> None:
    """A run that dies behind each of its recoveries goes on ten times; then it ends, and touches nothing."""
    blobs = MemoryBlobs()
    whole = await whole_run(Model("claude"), blobs)
    events: Sequence[Event] = whole[:8]
    for number in range(1, 11):
        result, longer = await recovered(Model("claude"), blobs, events)
        assert result.outcome == "completed"
        recoveries = [index for index, event in enumerate(longer) if isinstance(event, RunRecovered)]
        assert len(recoveries) == number
        events = longer[: recoveries[-1] + 2]
    used = computer()
    result, longer = await recovered(Model("claude"), blobs, events, used)
    assert (result.outcome, result.reason) == ("quarantined", "recoveries")
    assert used.performed == []
    assert len(longer) == len(events) + 1
