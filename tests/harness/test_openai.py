"""The loops for OpenAI's models against the strict fake."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from deskhand import (
    Engine,
    MemoryBlobs,
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
    RunResult,
    ToolContext,
    ToolRegistry,
)
from deskhand.errors import ConfigError
from deskhand.harness import ApprovalRequest, Decision
from deskhand.harness.events import ApprovalRequested, CustomEvent, ModelDelta, ModelMessage, TurnFinished
from deskhand.harness.models import openai_chat, openai_decoder, openai_items, openai_responses, profiles, transcript
from deskhand.harness.models.transcript import encode_json
from deskhand.harness.models.transport import Patience
from deskhand.providers import INPUT, Capability, Click, Drag, Key, Screen, Scroll, Type, Wait
from deskhand.testing.models import (
    OPENAI_MODELS,
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
from deskhand.testing.models.transport import FakeTransport
from tests.harness.driving import computer_with_screen, png
from tests.tools.recording import RecordingComputer

MODES: dict[str, dict[str, Any]] = {
    "computer": {"harness": OpenAIComputerUseHarness},
    "kept": {"harness": OpenAIComputerUseHarness, "keep_on_server": True},
    "functions": {"harness": OpenAIFunctionHarness},
    "functions-kept": {"harness": OpenAIFunctionHarness, "keep_on_server": True},
    "chat": {"harness": OpenAIFunctionHarness, "api": "chat"},
}
"""Every way in which a model of OpenAI is asked."""

EVERY = pytest.mark.parametrize("mode", MODES)
NATIVE = pytest.mark.parametrize("mode", ["computer", "kept"])
FUNCTIONS = pytest.mark.parametrize("mode", ["functions", "functions-kept", "chat"])


def click(mode: str, x: int, y: int) -> Any:
    """Ask for a click as the mode does."""
    if MODES[mode]["harness"] is OpenAIComputerUseHarness:
        return computer_call(action("click", x=x, y=y))
    return tool_use("left_click", x=x, y=y)


class Script:
    """Plays turns and keeps what the model saw before each."""

    def __init__(self, *turns: FakeTurn) -> None:
        self.turns = turns
        self.views: list[ModelView] = []
        self.fake = FakeOpenAI(self.play)

    def play(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        return self.turns[len(self.views) - 1]

    async def run(
        self,
        mode: str = "computer",
        computer: RecordingComputer | None = None,
        goal: str = "Go.",
        on_approval: Any = None,
        **more: Any,
    ) -> RunResult[Any]:
        """Run the loop; every request must have been legal."""
        options = {**MODES[mode], **more}
        harness = options.pop("harness")
        async with self.fake.client() as client:
            result = await harness(client=client, patience=Patience(base=0), **options).run(
                computer or computer_with_screen(), goal, on_approval=on_approval
            )
        self.fake.raise_script_errors()
        assert [request.error for request in self.fake.requests if request.error] == []
        return result  # type: ignore[no-any-return]


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


CHECKS = [{"id": "sc_1", "code": "malicious_instructions", "message": "The page asks for a password."}]


@NATIVE
async def test_approved_safety_check_is_acknowledged(mode: str) -> None:
    """A person is asked before anything of the batch is done; what was approved is told to the vendor."""
    asked: list[ApprovalRequest] = []

    async def approve(request: ApprovalRequest) -> Decision:
        asked.append(request)
        assert computer.performed == []
        return Decision("approved", "ada")

    call = computer_call(action("click", x=1, y=2), action("type", text="x"), checks=CHECKS)
    script, computer = Script(FakeTurn([call]), FakeTurn("Done.")), computer_with_screen()
    result = await script.run(mode, computer, on_approval=approve)
    assert result.outcome == "completed"
    assert computer.performed == [Click(1, 2), Type("x")]
    assert [request.reason for request in asked] == ["The page asks for a password."]
    body: Any = script.fake.requests[1].body
    (output,) = [item for item in body["input"] if item.get("type") == "computer_call_output"]
    assert output["acknowledged_safety_checks"] == CHECKS


@NATIVE
@pytest.mark.parametrize("answers", ["nobody", "somebody"])
async def test_denied_safety_check_ends_the_run(mode: str, answers: str) -> None:
    """Nothing is done, nothing acknowledged, and the model is not asked again; without anybody to ask it is denied."""

    async def deny(request: ApprovalRequest) -> bool:
        return False

    script = Script(FakeTurn([computer_call(action("click", x=1, y=2), checks=CHECKS)]))
    computer = computer_with_screen()
    result = await script.run(mode, computer, on_approval=deny if answers == "somebody" else None)
    assert (result.outcome, result.reason, computer.performed) == ("stopped", "denied", [])
    assert len(script.fake.requests) == 1


async def test_check_of_a_call_that_cannot_be_done_waits_for_a_person_all_the_same() -> None:
    """The vendor takes no output without the acknowledgement; the look that answers is what a person approves."""
    asked: list[str] = []

    async def approve(request: ApprovalRequest) -> bool:
        asked.append(request.call.name)
        return True

    turn = FakeTurn([computer_call(action("keypress", keys=["HYPERDRIVE", "x"]), checks=CHECKS)])
    script, computer = Script(turn, FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(computer=computer, on_approval=approve)).outcome == "completed"
    assert computer.performed == []
    assert len(asked) == 1


async def test_check_waits_for_the_run_to_be_answered() -> None:
    """Who follows the events may approve by the call's id."""
    call = computer_call(action("click", x=1, y=2), checks=CHECKS)
    script, computer = Script(FakeTurn([call]), FakeTurn("Done.")), computer_with_screen()
    async with script.fake.client() as client, OpenAIComputerUseHarness(client=client).start(computer, "Go.") as run:
        async for event in run.events():
            if isinstance(event, ApprovalRequested):
                assert event.data.checks[0].message == "The page asks for a password."
                await run.approve(event.data.call_id)
        result = await run.result()
    assert result.outcome == "completed"
    assert computer.performed == [Click(1, 2)]


async def test_older_computer_tool_is_told_what_it_is_shown() -> None:
    """It wants the size of the screen as the model sees it, and asks for one action at a time."""
    script = Script(
        FakeTurn([thinking("hm"), computer_call(action("click", x=1, y=2))]),
        FakeTurn([computer_call(action("screenshot"), checks=CHECKS)]),
        FakeTurn("Done."),
    )

    async def approve(request: ApprovalRequest) -> bool:
        return True

    computer = computer_with_screen()
    result = await script.run(computer=computer, model="computer-use-preview", on_approval=approve)
    assert (result.outcome, computer.performed) == ("completed", [Click(1, 2)])
    tool = script.views[0].tools["computer_use_preview"]
    assert (tool["display_width"], tool["display_height"], tool["environment"]) == (1280, 800, "linux")
    assert script.views[0].params["truncation"] == "auto"


@pytest.mark.parametrize("model", sorted(OPENAI_MODELS))
async def test_every_model_is_asked_as_it_wants(model: str) -> None:
    """What differs between models is kept right by one table."""
    row = OPENAI_MODELS[model]
    for mode in MODES:
        if ("computer" in mode or mode == "kept") and row.computer is None:
            with pytest.raises(ConfigError, match="does not take the computer tool"):
                OpenAIComputerUseHarness(model)
            continue
        if mode == "chat" and not row.chat:
            continue
        script = Script(FakeTurn([thinking("hm"), click(mode, 1, 1)]), FakeTurn("Done."))
        assert (await script.run(mode, model=model)).outcome == "completed", mode


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
    options = dict(MODES[mode])
    harness = options.pop("harness")
    async with script.fake.client() as client:
        result = await harness(client=client, tools=own, **options).run(
            computer_with_screen(), "Go.", tools=more, deps="Ada"
        )
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


class Found(BaseModel):
    """What was found."""

    name: str
    sizes: list[int]


@EVERY
async def test_output_type_is_asked_for_and_read(mode: str) -> None:
    """The API is told the schema; a wrong answer is asked for once more."""
    script = Script(FakeTurn("I found it."), FakeTurn('{"name": "a", "sizes": [1, 2]}'))
    result = await script.run(mode, output_type=Found)
    assert result.output == Found(name="a", sizes=[1, 2])
    params: Any = script.views[0].params
    told = params["response_format"]["json_schema"] if mode == "chat" else params["text"]["format"]
    assert told["strict"] is True
    assert told["schema"]["additionalProperties"] is False
    assert "is not what it must be" in script.views[1].text


@EVERY
async def test_on_request_sees_each_request_and_no_key(mode: str) -> None:
    """Parameters and history can be looked at before they are sent."""
    seen: list[Mapping[str, Any]] = []
    script = Script(FakeTurn([click(mode, 1, 1)]), FakeTurn("Done."))
    await script.run(mode, on_request=seen.append, effort="low", max_tokens=5000, instructions="Be quick.")
    assert len(seen) == 2
    assert dict(seen[1]) == script.fake.requests[1].body
    assert script.views[0].system == "Be quick."
    limit = "max_completion_tokens" if mode == "chat" else "max_output_tokens"
    assert seen[0][limit] == 5000
    assert (seen[0]["reasoning_effort"] if mode == "chat" else seen[0]["reasoning"]["effort"]) == "low"
    assert "sk-fake" not in repr(seen) + str([dict(body) for body in seen])


@EVERY
async def test_answers_are_events_with_their_raw_items(mode: str) -> None:
    """Deltas come as they are streamed; the whole answer names its text, thinking, calls and raw items."""
    script = Script(FakeTurn([thinking("I think."), text("A ö"), click(mode, 1, 1)]), FakeTurn("Done."))
    blobs = MemoryBlobs()
    options = dict(MODES[mode])
    harness = options.pop("harness")
    async with script.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(harness(client=client, **options), computer_with_screen(), "Go.")
        result = await run.result()
        events = [event async for event in run.events()]
        deltas = [(event.data.kind, event.data.delta) for event in events if isinstance(event, ModelDelta)]
        messages = [event.data for event in events if isinstance(event, ModelMessage)]
        turns = [event.data.usage for event in events if isinstance(event, TurnFinished)]
    first = messages[0]
    assert first.text == "A ö"
    assert [call.name for call in first.calls] == ["left_click"]
    assert deltas[-1][0] == "text" or deltas
    if mode != "chat":
        assert first.thinking == "I think."
    assert first.raw is not None
    assert "A ö" in (await blobs.get(first.raw)).decode()
    assert result.usage == turns[0] + turns[1]


@EVERY
async def test_long_history_leaves_its_oldest_images_out(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request holds no more images than are worth their price; the newest stay, and its beginning stays cached."""
    row = replace(profiles.PROFILES["gpt-5.5"], keep_images=3, prune_every=4)
    monkeypatch.setattr(profiles, "PROFILES", {**profiles.PROFILES, "gpt-5.5": row})
    script = Script(*[FakeTurn([thinking("hm"), click(mode, n, 1)]) for n in range(16)], FakeTurn("Done."))
    assert (await script.run(mode)).outcome == "completed"
    if "kept" in mode:
        return
    screenshot = base64.b64encode(computer_with_screen().image).decode()
    images = [json.dumps(request.body).count(screenshot) for request in script.fake.requests]
    assert max(images) == 7
    assert images.count(3) >= 2
    assert images[-1] >= 3


async def test_computer_tool_that_a_refusal_names_is_asked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table does not know the API says; it is heeded once, and for every later run."""
    monkeypatch.setattr(profiles, "_amended", {})
    script = Script(FakeTurn([computer_call(action("click", x=1, y=2))]), FakeTurn("Done."), FakeTurn("Done."))
    script.fake = FakeOpenAI(
        script.play,
        models={"gpt-next": replace(OPENAI_MODELS["computer-use-preview"], name="gpt-next", forced_truncation=False)},
    )
    told: list[Any] = []
    async with script.fake.client() as client, Engine() as engine:
        run = await engine.start(OpenAIComputerUseHarness("gpt-next", client=client), computer_with_screen(), "Go.")
        result = await run.result()
        told = [event.data.name async for event in run.events() if isinstance(event, CustomEvent)]
        again = await OpenAIComputerUseHarness("gpt-next", client=client).run(computer_with_screen(), "Go.")
    assert (result.outcome, again.outcome) == ("completed", "completed"), (result.error, again.error)
    assert told == ["model.amended"]
    assert [bool(request.error) for request in script.fake.requests] == [True, False, False, False]


async def test_own_client_is_made_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With only a key and an address in the environment, or an address given, over a real socket."""
    script = Script(*[FakeTurn([click("computer", 1, 1)])] * 3, FakeTurn("Done."))
    async with script.fake.serve() as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.setenv("OPENAI_API_KEY", script.fake.api_key)
        result = await OpenAIComputerUseHarness().run(computer_with_screen(), "Go.")
        monkeypatch.delenv("OPENAI_BASE_URL")
        more = Script(FakeTurn("Done."))
        async with more.fake.serve() as elsewhere:
            other = await OpenAIFunctionHarness(base_url=elsewhere, api="chat").run(computer_with_screen(), "Go.")
    assert (result.outcome, result.turns, other.outcome) == ("completed", 4, "completed")
    assert {request.headers["content-length"] for request in script.fake.requests} == {
        str(request.size) for request in script.fake.requests
    }


async def test_missing_key_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = await OpenAIComputerUseHarness().run(computer_with_screen(), "Go.")
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("config", "export OPENAI_API_KEY=sk-...")


def test_settings_that_contradict_each_other_are_refused() -> None:
    """At once, not in the middle of a run."""
    client = FakeOpenAI([]).client()
    with pytest.raises(ConfigError, match="base_url"):
        OpenAIFunctionHarness(client=client, base_url="http://elsewhere.invalid")
    with pytest.raises(ConfigError, match="keeps no conversation"):
        OpenAIFunctionHarness(api="chat", keep_on_server=True)
    odd: Any = "completions"
    with pytest.raises(ConfigError, match="no API"):
        OpenAIFunctionHarness(api=odd)


@EVERY
async def test_stop_takes_effect_between_turns(mode: str) -> None:
    """A stopped run asks the model nothing more."""
    script = Script(FakeTurn([click(mode, 1, 1)]), FakeTurn("Done."))
    options = dict(MODES[mode])
    harness = options.pop("harness")
    async with script.fake.client() as client, Engine() as engine:
        stop = anyio.Event()
        made = harness(client=client, on_request=lambda _: stop.set(), **options)
        run = await engine.start(made, computer_with_screen(), "Go.")
        await stop.wait()
        await run.stop()
        result = await run.result()
    assert (result.outcome, result.reason) == ("stopped", "user")
    assert len(script.fake.requests) <= 1


ACTIONS = st.one_of(
    st.builds(lambda x, y: action("click", x=x, y=y), st.integers(-5, 70), st.integers(-5, 60)),
    st.builds(lambda s: action("type", text=s), st.text(max_size=5)),
    st.sampled_from(
        [
            action("screenshot"),
            action("wait"),
            action("keypress", keys=["CTRL", "s"]),
            action("keypress", keys=["HYPER", "nonsense"]),
            action("keypress", keys=[]),
            action("scroll", x=1, y=1, scroll_y=0),
            action("scroll", x=1, y=1, scroll_y=-5000, scroll_x=30),
            action("move", x=1, y=1, keys=["CTRL"]),
            action("drag", path=[]),
            action("drag", path=[{"x": 1, "y": 1}, {"x": 90, "y": 1}]),
        ]
    ),
)
BATCHES = st.builds(
    lambda actions, checked: computer_call(*actions, checks=CHECKS if checked else ()),
    st.lists(ACTIONS, max_size=4),
    st.booleans(),
)
FUNCTION_CALLS = st.one_of(
    st.builds(lambda x, y: tool_use("left_click", x=x, y=y), st.integers(-5, 70), st.integers(-5, 60)),
    st.sampled_from(
        [
            tool_use("screenshot"),
            tool_use("exec", command="ls"),
            tool_use("exec"),
            tool_use("nothing"),
            ToolUse("exec", {}, raw_input='{"command": '),
        ]
    ),
)


def turns_of(calls: st.SearchStrategy[Any]) -> st.SearchStrategy[list[FakeTurn]]:
    return st.lists(
        st.builds(
            lambda blocks, calls, reason: FakeTurn([*blocks, *calls], stop_reason=reason),
            st.lists(st.sampled_from([text("a"), text("ö\n"), thinking("hm")]), max_size=3),
            st.lists(calls, max_size=3),
            st.sampled_from([None, None, None, "max_tokens"]),
        ),
        max_size=5,
    )


@EVERY
@given(data=st.data(), sighted=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_history_stays_legal_whatever_the_model_does(mode: str, data: st.DataObject, sighted: bool) -> None:
    """Whatever a model asks for, every request that follows keeps all the rules of the API."""
    calls = FUNCTION_CALLS
    if MODES[mode]["harness"] is OpenAIComputerUseHarness:
        calls = st.one_of(BATCHES, FUNCTION_CALLS)
    turns = data.draw(turns_of(calls))
    computer = RecordingComputer(Screen(64, 48))
    computer.image = png(64, 48) if sighted else b"broken"

    async def approve(request: ApprovalRequest) -> bool:
        return True

    result = await Script(*turns, *[FakeTurn("Done.")] * 2).run(mode, computer, on_approval=approve)
    assert result.outcome in {"completed", "budget_exceeded"}, result.error


class Counter:
    """Counts the calls of a function, by the size of what it is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.sizes: list[int] = []

    def __call__(self, data: Any, *rest: Any, **more: Any) -> Any:
        self.sizes.append(len(data) if isinstance(data, bytes) else 0)
        return self.function(data, *rest, **more)


@pytest.mark.parametrize(
    ("mode", "constant", "per_turn"), [("computer", 4, 2), ("kept", 4, 3), ("functions", 4, 3), ("chat", 5, 3)]
)
async def test_each_item_is_encoded_once_and_each_frame_once(
    mode: str, constant: int, per_turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a whole run: one base64 and one digest of each frame, a fixed number of JSON encodings for each turn."""
    turns = 12
    acts = [FakeTurn([thinking("hm"), text("go"), click(mode, n, 1)]) for n in range(turns)]
    script = Script(*acts, FakeTurn("Done."))
    encoded, based, hashed = Counter(encode_json), Counter(binascii.b2a_base64), Counter(hashlib.sha256)
    for module in (transcript, openai_items, openai_responses, openai_chat, openai_decoder):
        if hasattr(module, "encode_json"):
            monkeypatch.setattr(module, "encode_json", encoded)
    monkeypatch.setattr(binascii, "b2a_base64", based)
    monkeypatch.setattr(hashlib, "sha256", hashed)
    computer = computer_with_screen()
    assert (await script.run(mode, computer)).turns == turns + 1
    frames = turns + 1
    assert len(encoded.sizes) == constant + per_turn * turns
    assert [size for size in based.sizes if size == len(computer.image)] == [len(computer.image)] * frames
    assert [size for size in hashed.sizes if size == len(computer.image)] == [len(computer.image)] * frames


def connected(fake: FakeOpenAI, requests: list[httpx2.Request]) -> httpx2.AsyncClient:
    """Connect a client to the fake, whatever address and key its cloud has."""

    async def pass_on(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        path = "chat/completions" if "chat" in request.url.path else "responses"
        return await FakeTransport(fake.handle).handle_async_request(
            httpx2.Request(
                "POST",
                f"https://fake.invalid/v1/{path}",
                headers={"authorization": f"Bearer {fake.api_key}"},
                content=await request.aread(),
            )
        )

    return httpx2.AsyncClient(transport=httpx2.MockTransport(pass_on))


class Gateway(openai.AsyncOpenAI):
    """A client of someone's own, which may look at the body."""


@pytest.mark.parametrize("kind", ["azure", "gateway"])
@pytest.mark.parametrize("mode", ["computer", "chat"])
async def test_clients_of_clouds_and_gateways_work(kind: str, mode: str) -> None:
    """A client that rewrites or reads the body gets the whole of it."""
    script = Script(FakeTurn([thinking("hm"), click(mode, 1, 1)]), FakeTurn("Done."))
    requests: list[httpx2.Request] = []
    http = connected(script.fake, requests)
    client: openai.AsyncOpenAI
    if kind == "azure":
        client = openai.AsyncAzureOpenAI(
            api_key="k", api_version="2026-06-01", azure_endpoint="https://azure.invalid", http_client=http
        )
    else:
        client = Gateway(api_key="k", base_url="https://gateway.invalid/v1", http_client=http)
    options = dict(MODES[mode])
    harness = options.pop("harness")
    async with client:
        result = await harness(client=client, **options).run(computer_with_screen(), "Go.")
    assert (result.outcome, result.output) == ("completed", "Done.")
    assert f"{kind}.invalid" in str(requests[0].url)
    if kind == "azure" and mode == "chat":
        assert "/deployments/gpt-5.5/chat/completions" in str(requests[0].url)
