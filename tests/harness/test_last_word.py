"""Once a run was told to pause or to stop, none of its actions starts any more, whatever it was waiting for."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeAlias, get_args

import anyio
import pytest

from deskhand import ExternalComputer, MemoryLog, Run, RunContext, ToolCall
from deskhand.harness import Engine, PolicyRequest
from deskhand.harness.events import ActionStarted
from deskhand.harness.seeing import Seeing
from deskhand.providers import Region
from tests.harness.driving import Driver, png
from tests.tools.recording import RecordingComputer

Moment: TypeAlias = Literal["policy", "changed", "settle"]


class Holding(RecordingComputer):
    """Lets whoever asks at one moment of an action wait, and tells when somebody does.

    Args:
        moment: What is asked then.
    """

    def __init__(self, moment: Moment) -> None:
        super().__init__()
        self.image = png(1280, 800)
        self.armed = False
        self.asked, self.answer = anyio.Event(), anyio.Event()
        self._moment = moment

    async def _asked(self, moment: Moment) -> None:
        if self.armed and moment == self._moment:
            self.asked.set()
            await self.answer.wait()

    async def changed(self, region: Region, *, within: float) -> bool | None:
        await self._asked("changed")
        return False

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        await self._asked("settle")
        return 0.0

    async def allow(self, request: PolicyRequest) -> Literal["allow"]:
        await self._asked("policy")
        return "allow"


async def act(run: RunContext, computer: Holding, moment: Moment) -> str:
    """Act until the moment has come, and then once more; return how that ended."""
    await run.act("type", text="before")
    if moment != "settle":
        await run.look()
    computer.armed = True
    call = ToolCall("screenshot") if moment == "settle" else ToolCall("left_click", {"x": 5, "y": 6})
    return (await run.act(call)).outcome


async def intents(log: MemoryLog, run: Run[str]) -> list[str]:
    """Return the names of the calls that a run has begun to act on."""
    events = await log.read(run.id, types=["action.started"])
    return [event.data.name for event in events if isinstance(event, ActionStarted)]


@pytest.mark.parametrize("word", ["pause", "stop"])
@pytest.mark.parametrize("moment", get_args(Moment))
async def test_no_action_starts_once_the_run_was_told(moment: Moment, word: str) -> None:
    """An action that waits has not started: told meanwhile, it does not; when the run goes on, it does."""
    computer = Holding(moment)
    with anyio.fail_after(10):
        async with MemoryLog() as log, Engine(log=log, policy=computer.allow) as engine:
            run = await engine.start(Driver(partial(act, computer=computer, moment=moment)), computer, "act")
            await computer.asked.wait()
            before = await intents(log, run)
            await (run.pause() if word == "pause" else run.stop())
            computer.answer.set()
            await anyio.wait_all_tasks_blocked()
            assert await intents(log, run) == before
            if word == "pause":
                await run.resume()
            result = await run.result()
            after = (await intents(log, run))[len(before) :]
    if word == "stop":
        assert (result.outcome, after) == ("stopped", [])
    else:
        assert (result.output, after) == ("ok", ["screenshot" if moment == "settle" else "left_click"])


async def test_person_gets_the_computer_before_an_action_that_still_waits() -> None:
    """It lets go of the computer for them, and starts when they have handed it back."""
    computer = Holding("settle")

    async def answer() -> None:
        await anyio.wait_all_tasks_blocked()
        computer.armed = False
        computer.answer.set()

    with anyio.fail_after(10):
        async with MemoryLog() as log, Engine(log=log) as engine:
            run = await engine.start(Driver(partial(act, computer=computer, moment="settle")), computer, "act")
            await computer.asked.wait()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                async with await run.takeover("ann"):
                    assert await intents(log, run) == ["type"]
            assert (await run.result()).output == "ok"
            assert (await intents(log, run))[-1] == "screenshot"


async def test_look_that_was_held_shows_the_screen_of_afterwards() -> None:
    """What was captured while it waited for rest is out of date by then."""
    before, after = png(1280, 800, "navy"), png(1280, 800, "gold")
    looked, answer = anyio.Event(), anyio.Event()

    class Watched(RecordingComputer):
        """Cannot tell that its screen is at rest, so that it is looked at for that."""

        settle = ExternalComputer.settle

        async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
            looked.set()
            await answer.wait()
            return self.image

    computer = Watched()
    computer.image = before

    async def look(run: RunContext) -> str:
        await run.act("left_click", x=5, y=6)
        return "after" if await run.image(await run.look()) == after else "before"

    with anyio.fail_after(10):
        async with Engine(seeing=Seeing(quiet=0)) as engine:
            run = await engine.start(Driver(look), computer, "look")
            await looked.wait()
            await run.pause()
            answer.set()
            await anyio.wait_all_tasks_blocked()
            computer.image = after
            await run.resume()
            assert (await run.result()).output == "after"
