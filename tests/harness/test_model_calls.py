"""What a model asks for and cannot have, in each format: answered, nothing of it done, and the history stays legal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from deskhand import FleetHarness
from deskhand.harness.loops.deciding import MAX_CALLS
from deskhand.providers import Click, ComputerInfo, InputAction, Screen
from deskhand.testing.models import FakeTurn, ToolUse, tool_use
from tests.harness.driving import png, small_computer
from tests.harness.every_api import EVERY, FORMATS, Seen, refused, run
from tests.tools.recording import RecordingComputer

BROKEN = {
    "cut": '{"command": "ls',
    "no JSON": "ls -l",
    "a key twice": '{"command": "ls", "command": "rm -rf /"}',
    "a key twice, deep": '{"command": "ls", "cwd": {"a": 1, "a": 2}}',
    "not a number": '{"command": "ls", "timeout": NaN}',
    "infinite": '{"command": "ls", "timeout": Infinity}',
    "beyond all floats": '{"command": "ls", "timeout": 1e999}',
    "deep": '{"command": ' + "[" * 100 + "]" * 100 + "}",
    "very deep": '{"command": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "endless number": '{"command": "ls", "timeout": ' + "9" * 5_000 + "}",
    "half a character": '{"command": "\\ud800"}',
    "array": '["ls"]',
    "text": '"ls"',
    "null": "null",
    "large": '{"command": "' + "x" * 300_000 + '"}',
}
"""Arguments that are none."""


class Commanded(RecordingComputer):
    """Remembers its commands."""

    def __init__(self) -> None:
        super().__init__(Screen(64, 48))
        self.image = png(64, 48)
        self.ran: list[str] = []

    async def exec(self, command: str, **more: Any) -> Any:
        self.ran.append(command)
        return await super().exec(command, **more)


@EVERY
@pytest.mark.parametrize("broken", BROKEN)
async def test_broken_arguments_are_answered_and_nothing_is_done(name: str, broken: str) -> None:
    """The model is told what is wrong with them and goes on; a call beside it runs all the same."""
    script = Seen(FakeTurn([ToolUse("exec", {}, raw_input=BROKEN[broken]), tool_use("exec", command="uptime")]))
    computer, fake = Commanded(), FORMATS[name].fake(script)
    result = await run(fake, name, computer)
    assert (result.outcome, computer.ran, refused(fake)) == ("completed", ["uptime"], [])
    wrong, right = script.views[1].results
    assert "arguments" in wrong.text
    assert wrong.is_error or name != "claude"  # (the other APIs have no mark for it: the text says so)
    assert right.text == "uptime"


@EVERY
async def test_turn_with_repeated_ids_is_asked_for_again_once(name: str) -> None:
    """Two calls of one id cannot be answered: nothing of the turn runs, and the history is as it was before."""
    click = FORMATS[name].click
    twice = FakeTurn([click(1, 2, "call_1"), tool_use("exec", command="ls"), click(1, 2, "call_1")])
    script = Seen(twice, FakeTurn([click(3, 4)]))
    computer, fake = Commanded(), FORMATS[name].fake(script)
    result = await run(fake, name, computer)
    assert (result.outcome, computer.performed, computer.ran) == ("completed", [Click(3, 4)], [])
    assert (refused(fake), len(fake.requests)) == ([], 3)
    assert script.views[1].messages == script.views[0].messages


@EVERY
async def test_turn_with_an_id_of_an_earlier_one_is_asked_for_again_once(name: str) -> None:
    """An id that has been answered cannot be answered again."""
    click = FORMATS[name].click
    script = Seen(FakeTurn([click(1, 2, "call_1")]), FakeTurn([click(5, 6, "call_1")]), FakeTurn([click(3, 4)]))
    computer, fake = small_computer(), FORMATS[name].fake(script)
    result = await run(fake, name, computer)
    assert (result.outcome, computer.performed) == ("completed", [Click(1, 2), Click(3, 4)])
    assert refused(fake) == []


@EVERY
@pytest.mark.parametrize("earlier", [False, True], ids=["in one turn", "of an earlier turn"])
async def test_ids_that_repeat_twice_in_a_row_end_the_run(name: str, earlier: bool) -> None:
    """Once may be chance; the run fails, and nothing of either turn has run."""
    click = FORMATS[name].click
    begin = [FakeTurn([click(1, 2, "call_1")])] if earlier else []
    wrong = FakeTurn([click(5, 6, "call_1")] if earlier else [click(5, 6, "call_1")] * 2)
    computer, fake = small_computer(), FORMATS[name].fake(Seen(*begin, wrong, wrong))
    result = await run(fake, name, computer)
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "protocol")
    assert "ids that repeat" in result.error.message
    assert computer.performed == [Click(1, 2)] * earlier
    assert (refused(fake), len(fake.requests)) == ([], 2 + earlier)


class Crowded(RecordingComputer):
    """Takes its time over each action, and counts how many are under way at once."""

    def __init__(self, computer_id: str = "cmp_1") -> None:
        super().__init__(Screen(64, 48))
        self.image = png(64, 48)
        self.id = computer_id
        self.under_way = 0
        self.most = 0

    @property
    def info(self) -> ComputerInfo:
        return replace(super().info, id=self.id)

    async def perform(self, action: InputAction) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await checkpoint()
        await super().perform(action)
        self.under_way -= 1


@EVERY
async def test_two_hundred_calls_are_answered_and_sixty_four_run(name: str) -> None:
    """One after the other, in their order; what is beyond the cap is answered with an error in its place."""
    click = FORMATS[name].click
    calls = [click(n % 60, 1, f"call_{n}") for n in range(200)]
    script = Seen(FakeTurn(calls))
    computer, fake = Crowded(), FORMATS[name].fake(script)
    result = await run(fake, name, computer)
    assert (result.outcome, refused(fake)) == ("completed", [])
    assert computer.performed == [Click(n % 60, 1) for n in range(MAX_CALLS)]
    assert computer.most == 1
    results = script.views[1].results
    assert [seen.tool_use_id for seen in results] == [f"call_{n}" for n in range(200)]
    told = script.views[1].text if name == "responses" else results[MAX_CALLS].text
    assert f"may ask for {MAX_CALLS}" in told
    if name == "claude":
        assert [seen.is_error for seen in results] == [False] * MAX_CALLS + [True] * (200 - MAX_CALLS)


async def test_actions_of_one_computer_never_overlap_though_computers_work_at_once() -> None:
    """Two loops on two computers: each computer has one action at a time."""
    click = FORMATS["claude"].click
    fake = FORMATS["claude"].fake(
        lambda view: FakeTurn("Done.") if view.turn else FakeTurn([click(n, 1) for n in range(40)])
    )
    computers = [Crowded(f"cmp_{number}") for number in range(2)]
    async with fake.client() as client:
        harness = FleetHarness(FORMATS["claude"].harness(client=client))
        result = await harness.run(computers, "Go.")
    assert result.outcome == "completed", result.error
    assert [len(computer.performed) for computer in computers] == [40, 40]
    assert [computer.most for computer in computers] == [1, 1]


class Broken(RecordingComputer):
    """A computer whose mouse does not work."""

    async def perform(self, action: InputAction) -> None:
        await super().perform(action)
        raise OSError("no hands")


@EVERY
@pytest.mark.parametrize("computer", [RecordingComputer, Broken], ids=["unchanged screen", "failing action"])
async def test_same_action_fifty_times_ends_as_stalled(name: str, computer: type[RecordingComputer]) -> None:
    """The model is told, then the run has failed, long before the fiftieth time."""
    click = FORMATS[name].click
    script, box = Seen(*[FakeTurn([click(5, 5)])] * 50), computer(Screen(64, 48))
    box.image = png(64, 48)
    fake = FORMATS[name].fake(script)
    result = await run(fake, name, box)
    assert (result.outcome, result.reason, refused(fake)) == ("failed", "stalled", [])
    assert len(box.performed) < 25
