"""Going on from a recorded run: its conversation is rebuilt from the log, and the vendors' fakes take it as legal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from deskhand import DirectoryBlobs, Engine, MemoryBlobs, MemoryLog, RunContext, SqliteLog
from deskhand.errors import ConflictError, NotFoundError
from deskhand.harness.log import Committed
from deskhand.harness.loops.retelling import differences
from deskhand.harness.steps import Acted
from deskhand.providers import ExecResult
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member, text, thinking, tool_use
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.openai_script import MODES
from tests.harness.playing import Play

VENDORS = pytest.mark.parametrize("mode", ["claude", *MODES])


@VENDORS
async def test_finished_run_is_continued_with_the_next_message(mode: str) -> None:
    """The model sees all that was said, its own words as they came, and the new goal behind them."""
    play = Play(mode)
    play.turns = (
        FakeTurn([thinking("hm"), text("I click."), play.click(10, 20), tool_use("exec", command="echo hi")]),
        FakeTurn("First done."),
        FakeTurn([play.click(30, 40)]),
        FakeTurn("Second done."),
        FakeTurn("Third done."),
    )
    log, blobs = MemoryLog(), MemoryBlobs()
    async with play.harness() as harness, Engine(log=log, blobs=blobs) as engine:
        first = await engine.start(harness, computer_with_screen(), "First.")
        assert (await first.result()).output == "First done."
        second = await engine.start(harness, computer_with_screen(), "Second.", history=first)
        assert (await second.result()).output == "Second done."
        third = await engine.start(harness, computer_with_screen(), "Third.", history=second.id)
        assert (await third.result()).output == "Third done."
        record = await third.record()
    assert [len(view.results) for view in play.views[:2]] == [0, 2]
    assert "Second." in play.views[2].text
    assert "Third." in play.views[4].text
    assert record.before is not None
    assert record.before.before is not None
    assert record.before.before.run_id == first.id
    bodies: list[Any] = [request.body for request in play.fake.requests]
    key = "messages" if "messages" in bodies[0] else "input"
    if "kept" not in mode:
        shared = len(bodies[1][key])
        assert _plain(bodies[2][key][:shared]) == _plain(bodies[1][key])


def _plain(value: Any) -> Any:
    """Leave cache marks out: they move on."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if name != "cache_control"}
    return value


@VENDORS
async def test_recorded_answers_are_decided_about_as_they_were(mode: str) -> None:
    """What the log holds leads to the same calls with the same arguments."""
    play = Play(mode)
    play.turns = (
        FakeTurn([play.click(10, 20), tool_use("exec", command="echo hi")]),
        FakeTurn([tool_use("no_such_tool", a=1)]),
        FakeTurn("Done."),
    )
    found: list[str] = []
    async with play.harness() as harness, Engine() as engine:
        run = await engine.start(harness, computer_with_screen(), "Go.")
        assert (await run.result()).ok
        history = await run.record()

        async def drive(again: RunContext) -> None:
            async with harness.adapter(again) as codec:
                found.extend(await differences(history, codec))

        more = harness.own_tools
        assert (await (await engine.start(Driver(drive), computer_with_screen(), "check", tools=more)).result()).ok
    assert found == []


@VENDORS
async def test_stopped_run_is_continued_with_its_open_calls_answered(mode: str) -> None:
    """What was not run is said not to have been: the history stays legal."""
    play = Play(mode)
    play.turns = (
        FakeTurn([play.click(10, 20), tool_use("exec", command="echo hi")]),
        FakeTurn("Done."),
    )
    async with play.harness() as harness, Engine() as engine:
        run = await engine.start(harness, computer_with_screen(), "First.")
        with anyio.fail_after(10):
            async for event in run.events():
                if event.type == "model.message":
                    await run.stop(now=True)
        assert (await run.result()).outcome == "stopped"
        again = await engine.start(harness, computer_with_screen(), "Second.", history=run)
        assert (await again.result()).output == "Done."


@VENDORS
async def test_run_is_continued_from_a_log_on_disk(mode: str, tmp_path: Path) -> None:
    """By another process, as far as that can be told: nothing but the files is shared."""
    play = Play(mode)
    play.turns = (FakeTurn([play.click(1, 2)]), FakeTurn("First done."), FakeTurn("Second done."))
    async with play.harness() as harness:
        async with SqliteLog(tmp_path / "log.db") as log:
            blobs = DirectoryBlobs(tmp_path / "blobs")
            first = await harness.run(computer_with_screen(), "First.", log=log, blobs=blobs)
        async with SqliteLog(tmp_path / "log.db") as log:
            blobs = DirectoryBlobs(tmp_path / "blobs")
            more = {"log": log, "blobs": blobs, "history": first.run_id}
            assert (await harness.run(computer_with_screen(), "Second.", **more)).output == "Second done."


async def test_what_people_said_is_part_of_the_record() -> None:
    """Beside the results and behind the last word, as the model heard it."""
    play = Play("claude")
    steered = anyio.Event()

    async def script(view: ModelView) -> FakeTurn:
        play.views.append(view)
        if len(play.views) == 1:
            await steered.wait()
            return FakeTurn([member("left_click", coordinate=[1, 1])])
        return FakeTurn("Done.")

    play.fake = FakeAnthropic(script)
    async with play.harness() as harness, Engine() as engine:
        run = await engine.start(harness, computer_with_screen(), "First.")
        with anyio.fail_after(10):
            async for event in run.events():
                if event.type == "turn.started" and event.turn == 1:
                    await run.steer("the other door")
                    await run.steer("and the window", when="idle")
                    steered.set()
        again = await engine.start(harness, computer_with_screen(), "Second.", history=run)
        assert (await again.result()).ok
    older, newer = (_plain(request.body["messages"]) for request in list(play.fake.requests)[-2:])
    assert newer[: len(older)] == older
    assert "the other door" in str(newer)
    assert "and the window" in str(newer)


async def test_run_of_another_harness_is_not_continued() -> None:
    """One vendor's items are nothing to another."""
    claude, openai = Play("claude", FakeTurn("Done.")), Play("functions")
    async with claude.harness() as one, openai.harness() as other, Engine() as engine:
        run = await engine.start(one, computer_with_screen(), "First.")
        await run.result()
        result = await (await engine.start(other, computer_with_screen(), "Second.", history=run)).result()
    assert result.outcome == "failed"
    assert result.error is not None
    assert result.error.code == "invalid_input"
    assert openai.views == []


async def test_run_that_is_not_there_or_has_not_ended_is_not_continued() -> None:
    """The caller is told before anything begins."""
    claimed: list[str] = []

    class Watched(MemoryLog):
        async def claim(self, run_id: str, listener: Committed | None = None) -> int:
            claimed.append(run_id)
            return await super().claim(run_id, listener)

    async with Watched() as log, Engine(log=log) as engine:
        driver = Driver(lambda run: anyio.sleep_forever())
        with pytest.raises(NotFoundError):
            await engine.start(driver, computer_with_screen(), "go", history="run_nowhere")
        live = await engine.start(driver, computer_with_screen(), "go")
        with pytest.raises(ConflictError):
            await engine.start(driver, computer_with_screen(), "go", history=live)
        assert claimed == [live.id]


async def test_driver_of_ones_own_gets_the_record() -> None:
    """With what was done, and what came of it."""

    async def first(run: RunContext) -> str:
        await run.act("exec", command="echo hi")
        return "one"

    async def second(run: RunContext) -> str:
        assert run.history is not None
        [acted] = [step for step in run.history.steps if isinstance(step, Acted)]
        assert acted.finished is not None
        return f"{run.history.goal} {acted.finished.data.text}"

    async with Engine() as engine:
        run = await engine.start(Driver(first), computer_with_screen(), "First.")
        await run.result()
        again = await engine.start(Driver(second), computer_with_screen(), "Second.", history=run)
        assert (await again.result()).output == "First. echo hi"


@VENDORS
async def test_long_results_are_rebuilt_whole_and_gone_images_are_left_out(mode: str) -> None:
    """What an event holds in short is a blob; what is no longer kept stands as words."""
    play = Play(mode)
    play.turns = (
        FakeTurn([play.click(1, 2), tool_use("exec", command="long")]),
        FakeTurn("First done."),
        FakeTurn("Second done."),
    )
    computer = computer_with_screen()
    text_of_it = "".join(f"line {number}\n" for number in range(4000))
    computer.commands["long"] = ExecResult(text_of_it, text_of_it, "", 0)

    class Forgetful(MemoryBlobs):
        """Loses images once it is told to."""

        lost = False

        async def get(self, key: str) -> bytes:
            data = await super().get(key)
            if self.lost and data.startswith(b"\x89PNG"):
                raise NotFoundError("it is gone")
            return data

    blobs = Forgetful()
    async with play.harness() as harness, Engine(blobs=blobs) as engine:
        first = await engine.start(harness, computer, "First.")
        assert (await first.result()).ok
        blobs.lost = True
        second = await engine.start(harness, computer_with_screen(), "Second.", history=first)
        result = await second.result()
        assert result.output == "Second done.", result.error
    assert "line 3999" in str(list(play.fake.requests)[-1].body)
