"""The loops for OpenAI's models against the strict fake."""

from __future__ import annotations

import itertools
import json
from typing import Any

import anyio
import pytest

from deskhand import (
    Engine,
    ToolContext,
    ToolRegistry,
)
from deskhand.providers import INPUT, Capability, Click, Drag, Key, Screen, Scroll, Type, Wait
from deskhand.testing.models import (
    FakeOpenAI,
    FakeTurn,
    ModelView,
    ToolUse,
    action,
    computer_call,
    refusal,
    text,
    thinking,
    tool_use,
)
from tests.harness.driving import computer_with_screen, png
from tests.harness.openai_script import EVERY, FUNCTIONS, NATIVE, Script, click, made
from tests.tools.recording import RecordingComputer


@EVERY
async def test_loop_acts_on_what_the_model_asks_for_and_returns_what_it_says(mode: str) -> None:
    """Calls are run in order, their results go back, the last text is the output."""
    calls = [click(mode, 10, 20), tool_use("exec", command="echo hi")]
    script = Script(FakeTurn([thinking("hm"), text("I click."), *calls]), FakeTurn("Done ö."))
    computer = computer_with_screen()
    result = await script.run(mode, computer, "Click there.")
    assert (result.outcome, result.output, result.turns) == ("completed", "Done ö.", 2)
    assert computer.performed == [Click(10, 20)]
    assert [seen.text for seen in script.views[1].results][1] == "echo hi"
    assert result.cost is not None


@EVERY
async def test_model_is_told_the_goal_before_it_is_shown_the_screen(mode: str) -> None:
    """The first message of the user is the goal, then the screen."""
    script = Script(FakeTurn("Done."))
    await script.run(mode, goal="Open the editor.")
    parts: Any = script.views[0].messages[-1]["content"]
    assert [part["type"].removeprefix("input_") for part in parts] in (["text", "image"], ["text", "image_url"])
    assert script.views[0].text == "Open the editor."
    assert "You work on a computer" in script.views[0].system


@EVERY
async def test_history_is_sent_as_it_was_said(mode: str) -> None:
    """Reasoning comes back encrypted and paired, or the vendor keeps all of it and gets only what is new."""
    turns = [FakeTurn([thinking("hm"), text("so"), click(mode, n, 1)]) for n in range(4)]
    script = Script(*turns, FakeTurn("Done."))
    assert (await script.run(mode)).outcome == "completed"
    bodies: list[Any] = [request.body for request in script.fake.requests]
    if "kept" in mode:
        assert "previous_response_id" not in bodies[0]
        assert all(body["previous_response_id"].startswith("resp_") for body in bodies[1:])
        assert {len(body["input"]) for body in bodies} == {1}
        assert {body["store"] for body in bodies} == {True}
        return
    key = "messages" if mode == "chat" else "input"
    for older, newer in itertools.pairwise(bodies):
        assert newer[key][: len(older[key])] == older[key]
    if mode != "chat":
        assert bodies[0]["store"] is False
        assert bodies[0]["include"] == ["reasoning.encrypted_content"]
        kinds = [item.get("type", "message") for item in bodies[1]["input"]]
        assert kinds[1] == "reasoning"


@EVERY
async def test_what_acts_on_the_screen_is_followed_by_a_look(mode: str) -> None:
    """The model need not ask what came of it."""
    script = Script(FakeTurn([click(mode, 1, 1)]), FakeTurn([tool_use("exec", command="ls")]), FakeTurn("Done."))
    computer = computer_with_screen()
    await script.run(mode, computer)
    assert len(computer.regions) == 2
    assert script.views[1].frame is not None
    if mode != "chat":
        assert script.views[1].results[0].image is not None
        assert script.views[2].results[0].image is None
    else:
        assert "The screenshot of left_click:" in script.views[1].text


async def test_every_action_reaches_the_computer() -> None:
    """A batch is run in order and answered with one screenshot, taken after it."""
    batch = computer_call(
        action("click", x=1, y=2, keys=["CTRL", "SHIFT"]),
        action("click", x=1, y=2, button="wheel"),
        action("click", x=1, y=2, button="back"),
        action("double_click", x=3, y=4),
        action("drag", path=[{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
        action("drag", path=[{"x": 1, "y": 2}, {"x": 3, "y": 4}, {"x": 5, "y": 6}]),
        action("scroll", x=5, y=6, scroll_y=360, scroll_x=-120),
        action("screenshot"),
        action("type", text="grüß\n"),
        action("keypress", keys=["CTRL", "s"]),
        action("wait"),
    )
    script, computer = Script(FakeTurn([batch]), FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(computer=computer)).outcome == "completed"
    assert computer.performed == [
        Click(1, 2, "left", 1, ("ctrl", "shift")),
        Click(1, 2, "middle"),
        Click(1, 2, "back"),
        Click(3, 4, "left", 2),
        Drag(((1, 2), (3, 4))),
        Drag(((1, 2), (3, 4), (5, 6))),
        Scroll(5, 6, 0, 3),
        Scroll(5, 6, -1, 0),
        Type("grüß\n"),
        Key("ctrl+s"),
        Wait(1.0),
    ]
    (result,) = script.views[1].results
    assert result.image is not None
    assert script.views[1].text == ""


async def test_failed_action_halts_its_batch_and_is_told_beside_the_screenshot() -> None:
    """The output of a computer call has no room for words, so a message follows it; functions run all the same."""
    batch = computer_call(action("click", x=1, y=1), action("click", x=5000, y=1), action("type", text="x"))
    script = Script(FakeTurn([batch, tool_use("exec", command="echo hi")]), FakeTurn("Done."))
    computer = computer_with_screen()
    assert (await script.run(computer=computer)).outcome == "completed"
    assert computer.performed == [Click(1, 1)]
    shown, ran = script.views[1].results
    assert shown.image is not None
    assert ran.text == "echo hi"
    assert "left_click failed: x=5000 is off the frame" in script.views[1].text
    assert "not executed" in script.views[1].text


async def test_screenshot_that_cannot_be_taken_is_told() -> None:
    """A computer call must be answered with an image: a black one, and words that say so."""
    computer = computer_with_screen()
    script = Script()

    def play(view: ModelView) -> FakeTurn:
        script.views.append(view)
        computer.image = b"broken"
        return FakeTurn([computer_call(action("screenshot"))]) if view.turn == 0 else FakeTurn("Done.")

    script.fake = FakeOpenAI(play)
    assert (await script.run(computer=computer)).outcome == "completed"
    assert "screenshot failed" in script.views[1].text
    assert "shows nothing" in script.views[1].text
    (result,) = script.views[1].results
    assert result.image is not None
    assert result.image.size == (32, 32)


async def test_coordinates_refer_to_the_frame_that_the_model_saw() -> None:
    """On a screen larger than the model reads, coordinates are scaled, also those along a drag."""
    computer = RecordingComputer(Screen(4096, 240))
    computer.image = png(4096, 240)
    batch = computer_call(
        action("click", x=1024, y=60),
        action("drag", path=[{"x": 0, "y": 0}, {"x": 512, "y": 30}, {"x": 1024, "y": 60}]),
    )
    script = Script(FakeTurn([batch]), FakeTurn("Done."))
    await script.run(computer=computer)
    assert script.views[0].frame is not None
    assert script.views[0].frame.size == (2048, 120)
    assert computer.performed == [Click(2049, 121), Drag(((1, 1), (1025, 61), (2049, 121)))]


@FUNCTIONS
async def test_functions_of_the_screen_are_offered_with_strict_schemas(mode: str) -> None:
    """Every tool of the computer is a function, and null stands for what may be left out."""
    calls = [
        tool_use("scroll", direction="down", amount=None, x=None, y=None, modifiers=None),
        tool_use("screenshot"),
    ]
    script, computer = Script(FakeTurn(calls), FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(mode, computer)).outcome == "completed"
    assert computer.performed == [Scroll(None, None, 0, 3)]
    tools: Any = script.views[0].tools
    assert {"left_click", "screenshot", "exec", "read_file"} <= tools.keys()
    assert not {"side_click", "drag_path"} & tools.keys()
    scroll = tools["scroll"].get("function", tools["scroll"])
    assert scroll["strict"] is True
    assert set(scroll["parameters"]["required"]) == set(scroll["parameters"]["properties"])
    if mode == "chat":
        assert script.views[1].results[1].text == "The screenshot follows."
        assert script.views[1].frame is not None
    else:
        assert script.views[1].results[1].image is not None


@FUNCTIONS
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (ToolUse("left_click", {"x": 9000, "y": 1}), "off the frame"),
        (ToolUse("left_click", {"x": 1, "speed": 3}), "speed"),
        (ToolUse("nothing", {}), "functions.nothing"),
        (ToolUse("exec", {}), "command"),
        (ToolUse("exec", {}, raw_input='{"command": "ls'), "not JSON"),
        (ToolUse("exec", {}, raw_input='{"command": "ls", "command": "rm"}'), "twice"),
        (ToolUse("exec", {}, raw_input="[1]"), "an array"),
    ],
    ids=["off", "foreign", "unknown", "missing", "broken", "twice", "array"],
)
async def test_wrong_arguments_are_answered_and_nothing_is_done(mode: str, call: ToolUse, says: str) -> None:
    """A call that names what is not there, or asks for what is not allowed, is told so."""
    script, computer = Script(FakeTurn([call]), FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(mode, computer)).outcome == "completed"
    assert computer.performed == []
    assert says in script.views[1].results[0].text


@NATIVE
async def test_screen_functions_are_not_offered_beside_the_computer_tool(mode: str) -> None:
    """The computer tool is the one way to the screen; a function of that name is answered as unknown."""
    script = Script(FakeTurn([tool_use("left_click", x=1, y=1)]), FakeTurn("Done."))
    computer = computer_with_screen()
    assert (await script.run(mode, computer)).outcome == "completed"
    assert computer.performed == []
    assert "left_click" not in script.views[0].tools
    assert {"computer", "exec"} <= script.views[0].tools.keys()
    assert "functions.left_click" in script.views[1].results[0].text


@EVERY
async def test_user_tools_stand_beside_the_computer(mode: str) -> None:
    """A harness's tools and a run's tools are offered and called."""
    own, more = ToolRegistry(), ToolRegistry()

    @own.tool
    async def weather(city: str) -> str:
        """Tell the weather."""
        return f"rain in {city}"

    @more.tool
    async def user(context: ToolContext[str]) -> str:
        """Tell the user's name."""
        return context.deps

    script = Script(FakeTurn([tool_use("weather", city="Bonn"), tool_use("user")]), FakeTurn("Done."))
    async with script.fake.client() as client:
        result = await made(mode, client, tools=own).run(computer_with_screen(), "Go.", tools=more, deps="Ada")
    assert result.outcome == "completed"
    assert [seen.text for seen in script.views[1].results] == ["rain in Bonn", "Ada"]


async def test_computer_without_a_screen_gets_functions_alone() -> None:
    """The computer tool needs something to be shown; functions work without."""
    without = frozenset({Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR, *INPUT})
    result = await Script().run(computer=RecordingComputer(None, without=without))
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("config", "use OpenAIFunctionHarness")
    for mode in ("functions", "chat"):
        script = Script(FakeTurn([tool_use("exec", command="ls")]), FakeTurn("Done."))
        result = await script.run(mode, RecordingComputer(None, without=without))
        assert result.outcome == "completed"
        assert script.views[0].frame is None
        assert "left_click" not in script.views[0].tools


@EVERY
async def test_refusal_ends_the_run_as_refused(mode: str) -> None:
    """What the model declines is told in its words."""
    script = Script(FakeTurn([refusal("I will not harm anyone.")]))
    result = await script.run(mode)
    assert (result.outcome, result.reason) == ("refused", "refused")
    assert result.error is not None
    assert "I will not harm anyone." in result.error.message


@EVERY
async def test_filtered_answer_ends_the_run_as_refused(mode: str) -> None:
    """The vendor's filter declines too."""
    result = await Script(FakeTurn("Well", stop_reason="content_filter")).run(mode)
    assert (result.outcome, result.reason) == ("refused", "refused")


@EVERY
async def test_answer_cut_at_its_token_limit_goes_on_and_runs_nothing(mode: str) -> None:
    """What it asked for is forgotten, what it said stays, and the model goes on."""
    cut = FakeTurn([thinking("hm"), text("First"), click(mode, 1, 1)], stop_reason="max_tokens")
    bare = FakeTurn([thinking("hm"), click(mode, 1, 1)], stop_reason="max_tokens")
    script = Script(cut, bare, FakeTurn([click(mode, 2, 2)]), FakeTurn("Done."))
    computer = computer_with_screen()
    result = await script.run(mode, computer)
    assert (result.outcome, result.output, computer.performed) == ("completed", "Done.", [Click(2, 2)])
    assert "cut off" in script.views[1].text
    assert "First" in json.dumps(script.views[1].messages)


@EVERY
async def test_answers_that_are_always_cut_end_the_run(mode: str) -> None:
    """Four times in a row are enough."""
    result = await Script(*[FakeTurn("...", stop_reason="max_tokens")] * 4).run(mode)
    assert (result.outcome, result.reason) == ("budget_exceeded", "tokens")


@EVERY
async def test_run_without_end_ends_at_its_turns(mode: str) -> None:
    """The turns are a budget."""
    result = await Script(*[FakeTurn([click(mode, 1, 1)])] * 3).run(mode, max_turns=3)
    assert (result.outcome, result.reason, result.turns) == ("budget_exceeded", "turns", 3)


async def test_several_computer_calls_of_one_turn_are_each_answered() -> None:
    """Each gets a screenshot; a failure in the first keeps the second from being run."""
    calls = [computer_call(action("click", x=n, y=n)) for n in (1, 9000, 3)]
    script, computer = Script(FakeTurn(calls), FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(computer=computer)).outcome == "completed"
    assert computer.performed == [Click(1, 1)]
    assert [seen.image is not None for seen in script.views[1].results] == [True] * 3


async def test_turn_with_repeated_ids_is_asked_for_again_once() -> None:
    """Two calls of one id cannot be answered: nothing of the turn runs."""
    twice = FakeTurn([computer_call(action("click", x=1, y=1), call_id="call_1")] * 2)
    once = FakeTurn([computer_call(action("click", x=2, y=2), call_id="call_2")])
    script, computer = Script(twice, once, FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(computer=computer)).outcome == "completed"
    assert computer.performed == [Click(2, 2)]


@EVERY
async def test_stop_takes_effect_between_turns(mode: str) -> None:
    """A stopped run asks the model nothing more."""
    script = Script(FakeTurn([click(mode, 1, 1)]), FakeTurn("Done."))
    async with script.fake.client() as client, Engine() as engine:
        stop = anyio.Event()
        harness = made(mode, client, on_request=lambda _: stop.set())
        run = await engine.start(harness, computer_with_screen(), "Go.")
        await stop.wait()
        await run.stop()
        result = await run.result()
    assert (result.outcome, result.reason) == ("stopped", "user")
    assert len(script.fake.requests) <= 1
