"""Several computers under one model loop: each call reaches its own, at once with those of the others, in one run."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from typing import Any

import anyio
import pytest
from PIL import Image

from deskhand import Engine, OpenAIComputerUseHarness, Policy, Rule, RunContext, ToolRegistry, open_run
from deskhand.errors import ConfigError, InvalidInputError
from deskhand.harness import ApprovalRequest, Stuck
from deskhand.harness.events import (
    ActionStarted,
    ApprovalRequested,
    ComputerStatusChanged,
    FrameCaptured,
    ModelMessage,
    RunFinished,
    RunSteered,
    RunStuck,
)
from deskhand.harness.models.toolbox import Toolbox
from deskhand.providers import Capability, Click, ComputerInfo, InputAction, Region, Screen, Type
from deskhand.testing.models import FakeTurn, ModelView, tool_use
from deskhand.tools import ToolCall
from deskhand.tools.computer import computer_tools
from tests.harness.beginnings import beginning
from tests.harness.driving import Driver, png
from tests.harness.playing import Play
from tests.tools.recording import RecordingComputer

EVERY = pytest.mark.parametrize("mode", ["claude", "functions", "functions-kept", "chat"])
"""Every way in which a model gets functions."""


class Telling(RecordingComputer):
    """A computer of one colour that is told whether something was drawn."""

    def __init__(self, colour: str = "navy", **more: Any) -> None:
        super().__init__(**more)
        self.image = png(1280, 800, colour)
        self.drawn = False

    async def changed(self, region: Region, *, within: float) -> bool | None:
        return self.drawn


def pair() -> dict[str, Telling]:
    return {"left": Telling("navy"), "right": Telling("white")}


def click(computer: str, x: int, y: int = 1) -> Any:
    return tool_use(f"{computer}__left_click", x=x, y=y)


def colours(body: str) -> list[tuple[int, ...]]:
    """Return the colours of all images in a request."""
    found = []
    for data in re.findall(r"(?:base64,|\"data\": \")([A-Za-z0-9+/=]{60,})", body):
        pixel = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").getpixel((0, 0))
        assert isinstance(pixel, tuple)
        found.append(pixel)
    return found


@EVERY
async def test_calls_reach_the_computer_that_their_names_bear(mode: str) -> None:
    """One model sees all screens and has the tools of all computers; results are in the order of the calls."""
    play = Play(
        mode,
        FakeTurn([click("left", 1), click("right", 2), tool_use("left__exec", command="ls"), click("right", 3)]),
        FakeTurn("Done."),
    )
    computers = pair()
    async with play.harness() as harness:
        result = await harness.run(computers, "Click everywhere.")
    assert (result.outcome, result.output, result.turns) == ("completed", "Done.", 2), result.error
    assert computers["left"].performed == [Click(1, 1)]
    assert computers["right"].performed == [Click(2, 1), Click(3, 1)]
    first, second = play.views
    assert {"left__left_click", "right__left_click", "left__exec", "right__read_file"} <= set(first.tools)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in first.tools)
    assert "You have 2 computers: left, right." in first.text
    assert first.text.index("The screen of left:") < first.text.index("The screen of right:")
    assert [seen.text for seen in second.results][2] == "ls"
    assert len(second.results) == 4


@EVERY
async def test_what_acts_on_several_screens_is_followed_by_a_look_at_each(mode: str) -> None:
    """In the last result of what was done on it; a screen on which nothing was done is not sent again."""
    play = Play(
        mode,
        FakeTurn([click("left", 1), click("right", 1), click("right", 2)]),
        FakeTurn([click("right", 1)]),
        FakeTurn("Done."),
    )
    computers = pair()
    async with play.harness() as harness:
        assert (await harness.run(computers, "Go.")).ok
    assert (len(computers["left"].regions), len(computers["right"].regions)) == (2, 3)
    if mode != "chat":
        assert [seen.image is not None for seen in play.views[1].results] == [True, False, True]
        assert [seen.image is not None for seen in play.views[2].results] == [True]
    else:
        assert "The screenshot of left__left_click:" in play.views[1].text
        assert "The screenshot of right__left_click:" in play.views[1].text


class Meeting(Telling):
    """Clicks only when another computer is about to click too; remembers the order of what is begun and ended."""

    def __init__(self, name: str, inside: list[str], both: anyio.Event) -> None:
        super().__init__()
        self.name, self.inside, self.both = name, inside, both

    async def perform(self, action: InputAction) -> None:
        assert isinstance(action, Click)
        self.inside.append(f"{self.name}{action.x} begins")
        if {one[0] for one in self.inside} == {"l", "r"}:
            self.both.set()
        await self.both.wait()
        self.inside.append(f"{self.name}{action.x} ends")


@EVERY
async def test_calls_of_different_computers_are_done_at_once_and_those_of_one_in_order(mode: str) -> None:
    """One after the other they would wait for ever."""
    inside: list[str] = []
    both = anyio.Event()
    play = Play(
        mode, FakeTurn([click("left", 1), click("left", 2), click("right", 1), click("right", 2)]), FakeTurn("D.")
    )
    computers = {name: Meeting(name[0], inside, both) for name in ("left", "right")}
    with anyio.fail_after(20):
        async with play.harness() as harness:
            assert (await harness.run(computers, "Go.")).ok
    for name in "lr":
        own = [one for one in inside if one[0] == name]
        assert own == [f"{name}1 begins", f"{name}1 ends", f"{name}2 begins", f"{name}2 ends"]
    assert {one[0] for one in inside[:2]} == {"l", "r"}


@EVERY
async def test_one_stream_tells_which_computer_each_event_is_of(mode: str) -> None:
    """By the name that the run gives it; what the model says is the run's own."""
    play = Play(mode, FakeTurn([click("left", 1), click("right", 2)]), FakeTurn("Done."))
    async with play.harness() as harness, Engine() as engine:
        run = await engine.start(harness, pair(), "Go.")
        result = await run.result()
        events = await engine.log.read(run.id, limit=1000)
    assert result.ok
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], RunFinished)
    done = [event for event in events if isinstance(event, ActionStarted) and event.data.name == "left_click"]
    clicks = {event.computer_id: event.data.arguments["x"] for event in done}
    assert clicks == {"left": 1, "right": 2}
    frames = [event.computer_id for event in events if isinstance(event, FrameCaptured)]
    assert sorted(str(one) for one in frames) == ["left", "left", "right", "right"]
    messages = [event for event in events if isinstance(event, ModelMessage)]
    assert [call.name for call in messages[0].data.calls] == ["left__left_click", "right__left_click"]
    assert messages[0].computer_id is None
    known = [event for event in events if isinstance(event, ComputerStatusChanged)]
    assert [(one.computer_id, one.data.own_id) for one in known] == [("left", "cmp_1"), ("right", "cmp_1")]
    assert known[0].summary == "left is recording:cmp_1, running"


@EVERY
async def test_call_on_a_changed_screen_is_answered_with_a_fresh_frame_of_that_computer_alone(mode: str) -> None:
    """The other computer's click is done; the refused one's answer shows its screen."""
    computers = pair()

    play = Play(
        mode,
        FakeTurn([click("left", 1), click("right", 2), tool_use("right__type", text="x")]),
        FakeTurn("Done."),
    )

    def changes(view: ModelView) -> FakeTurn:
        computers["right"].image, computers["right"].drawn = png(1280, 800, "red"), True
        return play.play(view)

    play.fake = type(play.fake)(changes)
    async with play.harness() as harness:
        assert (await harness.run(computers, "Go.")).ok
    assert computers["left"].performed == [Click(1, 1)]
    assert computers["right"].performed == []
    body = json.dumps(play.fake.requests[-1].body)
    assert "has changed since the screenshot" in body
    assert colours(body).count((255, 0, 0)) == 1
    assert colours(body).count((255, 255, 255)) == (0 if "kept" in mode else 1)  # (that of the beginning)


@EVERY
async def test_coordinates_are_those_of_the_frame_of_the_calls_own_computer(mode: str) -> None:
    """Each screen has a size of its own."""
    large = RecordingComputer(Screen(4000, 2000))
    large.image = png(4000, 2000)
    computers = {"small": Telling(), "large": large}
    play = Play(mode, FakeTurn([click("small", 100, 100), click("large", 100, 100)]), FakeTurn("Done."))
    async with play.harness() as harness:
        assert (await harness.run(computers, "Go.")).ok
    assert computers["small"].performed == [Click(100, 100)]
    [done] = large.performed
    assert isinstance(done, Click)
    assert done.x is not None
    assert done.x >= 200 - 10


@EVERY
async def test_policy_and_approvals_are_by_computer(mode: str) -> None:
    """Denied on one, asked about on another; a yes for all of that tool on one computer is none for the other."""
    policy = Policy(
        [
            Rule(verdict="deny", tool="type", computer="left", reason="not there"),
            Rule(verdict="ask", tool="left_click", computer="right"),
        ]
    )
    asked: list[ApprovalRequest] = []

    async def on_approval(request: ApprovalRequest) -> bool:
        asked.append(request)
        return True

    play = Play(
        mode,
        FakeTurn([click("left", 1), click("right", 2)]),
        FakeTurn([tool_use("left__type", text="a"), tool_use("right__type", text="b")]),
        FakeTurn("Done."),
    )
    computers = pair()
    async with play.harness() as harness, Engine(on_approval=on_approval) as engine:
        run = await engine.start(harness, computers, "Go.", policy=policy)
        assert (await run.result()).ok
        events = await engine.log.read(run.id, limit=1000)
    assert [(one.call.name, one.call.computer_id) for one in asked] == [("left_click", "right")]
    assert [event.computer_id for event in events if isinstance(event, ApprovalRequested)] == ["right"]
    assert computers["left"].performed == [Click(1, 1)]
    assert computers["right"].performed == [Click(2, 1), Type("b")]
    assert "not there" in play.views[2].results[0].text


@EVERY
async def test_model_that_names_no_computer_is_told_which_there_are(mode: str) -> None:
    """A tool's own name is no tool here; the call is answered, and nothing is done."""
    play = Play(mode, FakeTurn([tool_use("left_click", x=1, y=1)]), FakeTurn("Done."))
    computers = pair()
    async with play.harness() as harness:
        assert (await harness.run(computers, "Go.")).ok
    assert "say which computer it is for: left, right" in play.views[1].results[0].text
    assert computers["left"].performed == computers["right"].performed == []


@EVERY
async def test_run_with_several_computers_is_gone_on_from(mode: str) -> None:
    """The conversation is rebuilt with each computer's screens in their places, and is legal to the vendor."""
    computers = pair()
    async with Engine() as engine:
        play = Play(mode, FakeTurn([click("left", 1), click("right", 2)]), FakeTurn("Done."))
        async with play.harness() as harness:
            first = await engine.start(harness, computers, "Go.")
            assert (await first.result()).ok
        more = Play(mode, FakeTurn([click("right", 3)]), FakeTurn("Done again."))
        async with more.harness() as harness:
            second = await engine.start(harness, computers, "Again.", history=first)
            assert (await second.result()).output == "Done again."
    assert computers["right"].performed == [Click(2, 1), Click(3, 1)]
    before, after = json.dumps(play.fake.requests[-1].body), json.dumps(more.fake.requests[0].body)
    if mode != "functions-kept":
        assert re.findall(r"The screen(?:shot)? of \w+:", before) == re.findall(
            r"The screen(?:shot)? of \w+:", after.split("Again.")[0]
        )
        assert before.count("base64") == after.split("Again.")[0].count("base64")


async def test_computer_that_goes_in_circles_is_told_of_by_name() -> None:
    """The other computer is watched apart from it."""
    play = Play("functions", *(FakeTurn([click("left", 1)]) for _ in range(5)), FakeTurn("Done."))
    async with play.harness() as harness, Engine(stuck=Stuck(repeats=3)) as engine:
        run = await engine.start(harness, pair(), "Go.")
        assert (await run.result()).ok
        events = await engine.log.read(run.id, limit=1000)
    assert {event.computer_id for event in events if isinstance(event, RunStuck)} == {"left"}
    assert "On the computer left: The same was done 3 times" in json.dumps(play.fake.requests[-1].body)


async def test_computer_without_a_screen_is_not_looked_at() -> None:
    """It has its shell; the other one is shown."""
    blind = RecordingComputer(None, without=frozenset({Capability.SCREENSHOT, Capability.POINTER, Capability.KEYBOARD}))
    play = Play("functions", FakeTurn([tool_use("server__exec", command="ls"), click("desk", 1)]), FakeTurn("Done."))
    async with play.harness() as harness:
        assert (await harness.run({"server": blind, "desk": Telling()}, "Go.")).ok
    assert blind.regions == []
    assert "server__screenshot" not in play.views[0].tools
    assert "The screen of server" not in play.views[0].text


async def test_vendors_computer_tool_of_openai_names_what_does_several() -> None:
    """Nothing is asked of the model."""
    play = Play("computer")
    async with play.fake.client() as client:
        result = await OpenAIComputerUseHarness(client=client).run(pair(), "Go.")
    assert (result.outcome, play.views) == ("failed", [])
    assert result.error is not None
    assert result.error.code == ConfigError.code
    assert "FleetHarness" in str(result.error.hint)
    assert "OpenAIFunctionHarness" in str(result.error.hint)


async def test_names_that_no_api_takes_are_replaced_and_stay_apart() -> None:
    """Whatever the computers are called, a name is legal, and leads back to its computer and tool."""
    tools = computer_tools(Telling())
    ids = ["a b", "a.b", "__", "grün", "x" * 80, "x" * 81, "left__right"]
    toolbox = Toolbox(dict.fromkeys(ids, tools))
    names = toolbox.offered.names
    assert len(set(names)) == len(ids) * len(tools)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    meant = [toolbox.addressed(ToolCall(name)) for name in names]
    assert [(one.computer_id, one.name) for one in meant] == [(key, name) for key in ids for name in tools.names]
    assert [toolbox.shown_name(one) for one in meant] == names


async def test_one_computer_has_its_tools_by_their_own_names() -> None:
    """No name is longer for what there is only one of, and the tool is not described otherwise."""
    tools = computer_tools(Telling())
    toolbox = Toolbox({"only": tools})
    assert list(toolbox.offered) == list(tools)
    assert (toolbox.introduction, toolbox.screens) == ("", ["only"])


async def test_tool_whose_name_leaves_no_room_is_refused() -> None:
    """Cut off, it would be another one's."""
    tools = ToolRegistry()

    async def any_tool() -> str:
        return ""

    tools.tool(name="t" * 60)(any_tool)
    assert Toolbox({"a": tools}).offered.names == ["t" * 60]
    with pytest.raises(ConfigError, match="too long to bear a computer's name"):
        Toolbox({"a": tools, "b": tools})


async def test_run_calls_its_computers_as_it_was_told() -> None:
    """Two of one id are told apart by name; an empty name is none, and neither is nothing at all."""
    computers = pair()
    async with open_run(computers, "go") as run:
        assert list(run.computers) == ["left", "right"]
        assert (await run.on("right").act("left_click", x=1, y=1)).ok
    assert computers["right"].performed == [Click(1, 1)]
    with pytest.raises(InvalidInputError, match="name is empty"):
        async with open_run({"": Telling()}, "go"):
            pass
    with pytest.raises(InvalidInputError, match="at least one"):
        async with open_run({}, "go"):
            pass


@pytest.mark.parametrize(("left", "told"), [("cmp_1", 0), ("cmp_2", 1)], ids=["the same", "another one"])
async def test_recovered_run_knows_its_computers_by_name_and_is_told_of_another_one(left: str, told: int) -> None:
    """A name leads to whatever it is given for now: whether that is the machine of before, its id says."""

    class Identified(Telling):
        @property
        def info(self) -> ComputerInfo:
            return replace(super().info, id=left)

    async def drive(run: RunContext) -> str:
        await run.on("right").act("left_click", x=1, y=1)
        return "done"

    async with Engine() as engine:
        run = await engine.start(Driver(drive), pair(), "Go.")
        assert (await run.result()).ok
        events = await engine.log.read(run.id, limit=1000)
    async with Engine(log=await beginning([one for one in events if not isinstance(one, RunFinished)])) as engine:
        computers = {"left": Identified(), "right": Telling()}
        again = await engine.recover(run.id, harness=Driver(drive), computer=computers)
        assert (await again.result()).output == "done"
        steered = [one for one in await engine.log.read(run.id, limit=1000) if isinstance(one, RunSteered)]
    assert len(steered) == told
    assert computers["right"].performed == [Click(1, 1)]
