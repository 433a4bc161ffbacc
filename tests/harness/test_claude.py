"""The loop for Claude against the strict fake."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import anthropic
import anyio
import httpx2
import pytest
from anthropic.lib.vertex import AsyncAnthropicVertex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel

from deskhand import ClaudeComputerUseHarness, Engine, MemoryBlobs, RunResult, ToolContext, ToolRegistry
from deskhand.errors import ConfigError
from deskhand.harness import Stuck
from deskhand.harness.events import CustomEvent, ModelDelta, ModelMessage, TurnFinished, UsageRecorded
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.profiles import DEFAULT_PROFILE, PROFILES, profile_of
from deskhand.harness.models.transport import Patience
from deskhand.providers import INPUT, Capability, Click, Drag, Key, Screen, Scroll, Type
from deskhand.testing.models import (
    MODELS,
    TOOLSET_MEMBERS,
    FakeAnthropic,
    FakeTurn,
    ModelView,
    ToolUse,
    member,
    redacted_thinking,
    text,
    thinking,
    tool_use,
)
from deskhand.testing.models.transport import FakeTransport
from tests.harness.driving import computer_with_screen, png
from tests.tools.recording import RecordingComputer

HALTED = "Not executed: an earlier computer action in this turn failed."


class Script:
    """Plays turns and keeps what the model saw before each."""

    def __init__(self, *turns: FakeTurn) -> None:
        self.turns = turns
        self.views: list[ModelView] = []
        self.fake = FakeAnthropic(self.play)

    def play(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        return self.turns[len(self.views) - 1]

    async def run(self, computer: RecordingComputer | None = None, goal: str = "Go.", **more: Any) -> RunResult[Any]:
        """Run the loop; every request must have been legal."""
        async with self.fake.client() as client:
            harness = ClaudeComputerUseHarness(client=client, patience=Patience(base=0), **more)
            result = await harness.run(computer or computer_with_screen(), goal)
        self.fake.raise_script_errors()
        assert [request.error for request in self.fake.requests if request.error] == []
        return result


async def test_loop_acts_on_what_the_model_asks_for_and_returns_what_it_says() -> None:
    """A batch of toolset members and a function is run in order, its results go back, the last text is the output."""
    calls = [member("left_click", coordinate=[10, 20]), tool_use("exec", command="echo hi")]
    script = Script(FakeTurn([thinking("hm"), text("I click."), *calls]), FakeTurn("Done ö."))
    computer = computer_with_screen()
    result = await script.run(computer, "Click there.")
    assert (result.outcome, result.output, result.turns) == ("completed", "Done ö.", 2)
    assert computer.performed == [Click(10, 20)]
    assert [(seen.name, seen.text) for seen in script.views[1].results] == [
        ("left_click", "clicked"),
        ("exec", "echo hi"),
    ]


async def test_model_is_told_the_goal_before_it_is_shown_the_screen() -> None:
    """The first message is the goal, then the screen: a model clicks better on what it was told about."""
    script = Script(FakeTurn("Done."))
    await script.run(goal="Open the editor.")
    blocks: Any = script.views[0].messages[0]["content"]
    assert [block["type"] for block in blocks] == ["text", "image"]
    assert blocks[0]["text"] == "Open the editor."


async def test_every_member_reaches_the_computer() -> None:
    """Each member's arguments arrive as the action that they mean."""
    calls = [
        member("double_click", coordinate=[1, 2], text="ctrl+shift"),
        member("left_click_drag", start_coordinate=[1, 2], coordinate=[3, 4]),
        member("scroll", coordinate=[5, 6], scroll_direction="down", scroll_amount=3),
        member("type", text="grüß\n"),
        member("key", text="ctrl+s", repeat=2),
        member("right_click"),
        member("cursor_position"),
        member("zoom", region=[0, 0, 100, 50]),
    ]
    script, computer = Script(FakeTurn(calls), FakeTurn("Done.")), computer_with_screen()
    assert (await script.run(computer)).outcome == "completed"
    assert computer.performed == [
        Click(1, 2, "left", 2, ("ctrl", "shift")),
        Drag(((1, 2), (3, 4))),
        Scroll(5, 6, 0, 3),
        Type("grüß\n"),
        Key("ctrl+s", 2),
        Click(None, None, "right"),
    ]
    results = script.views[1].results
    assert results[6].text == "X=3,Y=4"
    assert results[7].image is not None


async def test_batch_without_a_look_ends_with_one() -> None:
    """The last result of a batch that changed the screen shows it, so that the model need not ask."""
    script = Script(
        FakeTurn([member("left_click", coordinate=[1, 1]), member("type", text="x"), tool_use("exec", command="ls")]),
        FakeTurn([member("type", text="x"), member("screenshot")]),
        FakeTurn([tool_use("exec", command="ls")]),
        FakeTurn("Done."),
    )
    computer = computer_with_screen()
    await script.run(computer)
    assert [seen.image is not None for seen in script.views[1].results] == [False, True, False]
    assert [seen.image is not None for seen in script.views[2].results] == [False, True]
    assert [seen.image is not None for seen in script.views[3].results] == [False]
    assert len(computer.regions) == 3


async def test_coordinates_refer_to_the_frame_that_the_model_saw() -> None:
    """On a screen larger than the model reads, coordinates are scaled; within a batch too, where it grows meanwhile."""
    computer = RecordingComputer(Screen(3840, 240))
    computer.image = png(3840, 240)
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        assert view.frame is not None
        width, height = view.frame.size
        if view.turn == 0:
            return FakeTurn([member("screenshot"), member("left_click", coordinate=[width // 2, height // 2])])
        return FakeTurn("Done.")

    async with FakeAnthropic(play).client() as client:
        result = await ClaudeComputerUseHarness(client=client).run(computer, "Go.")
    assert result.outcome == "completed"
    assert views[0].frame is not None
    assert views[0].frame.size == (2000, 125)
    (click,) = computer.performed
    assert isinstance(click, Click)
    assert (click.x, click.y) == (1920, 120)


async def test_long_run_stays_within_the_image_limits() -> None:
    """More than twenty images lower the limit of each; the frames keep to it from the first one on."""
    computer = RecordingComputer(Screen(2560, 90))
    computer.image = png(2560, 90)
    script = Script(*[FakeTurn([thinking("hm"), member("screenshot")])] * 24, FakeTurn("Done."))
    result = await script.run(computer)
    assert (result.outcome, result.turns) == ("completed", 25)


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-sonnet-5", "claude-next"])
async def test_run_that_outgrows_a_request_goes_on_without_its_oldest_images(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be sent is bounded: the oldest images go, half of them at a time, and the history stays legal."""
    monkeypatch.setattr(AnthropicDoor, "max_body", 100_000)
    computer = computer_with_screen()
    script = Script(*[FakeTurn([thinking("hm"), member("left_click", coordinate=[1, 1])])] * 40, FakeTurn("Done."))
    script.fake = FakeAnthropic(
        script.play, models={**MODELS, "claude-next": replace(MODELS["claude-opus-5-5"], name=model)}
    )
    async with script.fake.client() as client, Engine(stuck=Stuck.off()) as engine:
        run = await engine.start(ClaudeComputerUseHarness(model, client=client), computer, "Go.")
        result = await run.result()
        lost = [event.data.value async for event in run.events() if isinstance(event, CustomEvent)]
    assert (result.outcome, result.turns) == ("completed", 41)
    assert max(request.size for request in script.fake.requests) <= 100_000
    assert [request.error for request in script.fake.requests if request.error] == []
    assert 2 <= len(lost) <= 8
    assert script.views[-1].frame is not None


async def test_image_with_too_many_bytes_is_sent_as_jpeg() -> None:
    """A screen full of noise makes a picture larger than the API takes; it is encoded anew, not refused."""
    computer = RecordingComputer(Screen(1200, 1100))
    noise = Image.frombytes("RGB", (1200, 1100), Random(1).randbytes(1200 * 1100 * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG", compress_level=1)
    computer.image = buffer.getvalue()
    assert len(computer.image) > 3_900_000
    script = Script(FakeTurn("Done."))
    assert (await script.run(computer)).outcome == "completed"
    frame = script.views[0].frame
    assert frame is not None
    assert (frame.media_type, frame.size) == ("image/jpeg", (1200, 1100))
    assert len(frame.data) <= 3_750_000


async def test_cache_holds_everything_but_the_newest() -> None:
    """Each request reads from the cache what the one before wrote; four marks at most."""
    script = Script(*[FakeTurn([member("left_click", coordinate=[1, 1])])] * 5, FakeTurn("Done."))
    result = await script.run()
    assert result.usage.input == 0
    assert result.usage.cache_read > 3 * result.usage.cache_write
    assert result.cost is not None


async def test_usage_adds_up_to_the_token() -> None:
    """The run's usage is the sum of its turns', cache and thinking included."""
    script = Script(FakeTurn([thinking("x" * 40), member("screenshot")]), FakeTurn("Done."))
    async with script.fake.client() as client, Engine() as engine:
        run = await engine.start(ClaudeComputerUseHarness(client=client), computer_with_screen(), "Go.")
        result = await run.result()
        events = [event async for event in run.events()]
    turns = [event.data.usage for event in events if isinstance(event, TurnFinished)]
    assert len(turns) == 2
    assert result.usage == turns[0] + turns[1]
    assert result.usage.reasoning == 10
    metered = sum(event.data.quantity for event in events if isinstance(event, UsageRecorded))
    assert metered == result.usage.output + result.usage.cache_read + result.usage.cache_write + result.usage.input


async def test_answers_are_events_with_their_raw_items() -> None:
    """Deltas come as they are streamed; the whole answer names its text, thinking, calls and raw items."""
    script = Script(
        FakeTurn([thinking("I think."), text("A ö"), text("B"), member("key", text="a")]), FakeTurn("Done.")
    )
    blobs = MemoryBlobs()
    async with script.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(ClaudeComputerUseHarness(client=client), computer_with_screen(), "Go.")
        deltas: list[tuple[str, str]] = []
        messages: list[ModelMessage] = []
        async for event in run.events():
            if isinstance(event, ModelDelta):
                deltas.append((event.data.kind, event.data.delta))
            if isinstance(event, ModelMessage):
                messages.append(event)
    first = messages[0].data
    assert (first.text, first.thinking) == ("A öB", "I think.")
    assert [(call.name, call.provider_call_id is not None) for call in first.calls] == [("key", True)]
    assert ("thinking", "I think.") in deltas
    assert first.raw is not None
    raw = (await blobs.get(first.raw)).decode()
    assert '"signature"' in raw
    assert "A ö" in raw


async def test_user_tools_stand_beside_the_computer() -> None:
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
        harness = ClaudeComputerUseHarness(client=client, tools=own)
        result = await harness.run(computer_with_screen(), "Go.", tools=more, deps="Ada")
    assert result.outcome == "completed"
    assert [seen.text for seen in script.views[1].results] == ["rain in Bonn", "Ada"]
    assert {"weather", "user", "exec", "read_file"} <= script.views[0].tools.keys()
    assert "left_click" not in script.views[0].tools


async def test_tool_called_computer_is_refused() -> None:
    """The toolset has that name."""
    registry = ToolRegistry()

    @registry.tool
    async def computer() -> str:
        """Take the toolset's name."""
        return ""

    result = await Script().run(tools=registry)
    assert result.error is not None
    assert result.error.code == "config"


async def test_tool_named_like_a_member_is_a_function() -> None:
    """What is not the computer's own is called with its own arguments, not as the member of that name."""
    registry = ToolRegistry()

    @registry.tool
    async def zoom(factor: int) -> str:
        """Zoom a map."""
        return f"{factor}x"

    computer = RecordingComputer(without=frozenset({Capability.REGION}))
    computer.image = png(1280, 800)
    script = Script(FakeTurn([tool_use("zoom", factor=2)]), FakeTurn("Done."))
    await script.run(computer, tools=registry)
    assert "zoom" not in script.views[0].members
    assert script.views[1].results[0].text == "2x"


async def test_goal_must_be_a_sentence_that_can_be_sent() -> None:
    """An empty goal is refused before anything is asked; half a character is replaced."""
    result = await Script().run(goal=" \n")
    assert result.error is not None
    assert result.error.code == "invalid_input"
    assert (await Script(FakeTurn("Done.")).run(goal="\ud83d go")).outcome == "completed"


async def test_members_that_a_computer_cannot_back_are_switched_off() -> None:
    """Without a keyboard the model is not offered keys; without a screen there is no toolset at all."""
    script = Script(FakeTurn("Done."))
    without = frozenset({Capability.KEYBOARD, Capability.FULL_INPUT, Capability.REGION})
    computer = RecordingComputer(without=without)
    computer.image = png(1280, 800)
    await script.run(computer)
    assert script.views[0].members == set(TOOLSET_MEMBERS) - {
        *("type", "key", "hold_key", "zoom"),
        *("middle_click", "left_mouse_down", "left_mouse_up"),
    }
    script = Script(FakeTurn([tool_use("exec", command="ls")]), FakeTurn("Done."))
    screen = {
        Capability.SCREENSHOT,
        Capability.REGION,
        Capability.CURSOR,
        *INPUT,
    }
    result = await script.run(RecordingComputer(None, without=frozenset(screen)))
    assert result.outcome == "completed"
    assert script.views[0].members == frozenset()
    assert "computer_toolset_20260801" not in script.views[0].tools
    assert script.views[0].frame is None


async def test_run_without_end_ends_at_its_turns() -> None:
    """The turns are a budget."""
    script = Script(*[FakeTurn([member("screenshot")])] * 3)
    result = await script.run(max_turns=3)
    assert (result.outcome, result.reason, result.turns) == ("budget_exceeded", "turns", 3)


async def test_paused_turn_is_resumed_unchanged() -> None:
    """The conversation goes back as it is; calls of both halves are answered together."""
    script = Script(
        FakeTurn([thinking("hm"), text("Wait."), member("key", text="a")], stop_reason="pause_turn"),
        FakeTurn([member("key", text="b")]),
        FakeTurn("Done."),
    )
    computer = computer_with_screen()
    result = await script.run(computer)
    assert (result.outcome, result.output) == ("completed", "Done.")
    assert computer.performed == [Key("a"), Key("b")]
    assert script.views[1].messages[-1]["role"] == "assistant"


async def test_refusal_ends_the_run_as_refused() -> None:
    """What the model declines is told in its words; nothing of the turn is run."""
    details = {"category": "harm", "explanation": "That would harm someone."}
    script = Script(FakeTurn([member("key", text="a")], stop_reason="refusal", stop_details=details))
    computer = computer_with_screen()
    result = await script.run(computer)
    assert (result.outcome, result.reason, computer.performed) == ("refused", "refused", [])
    assert result.error is not None
    assert "That would harm someone." in result.error.message


async def test_answer_cut_at_its_token_limit_goes_on_and_runs_nothing() -> None:
    """Its calls are answered with an error, the history stays legal, and the model goes on."""
    cut = FakeTurn([text("First"), member("key", text="a"), member("type", text="b")], stop_reason="max_tokens")
    script = Script(cut, FakeTurn("and last.", stop_reason="max_tokens"), FakeTurn("Done."))
    computer = computer_with_screen()
    result = await script.run(computer)
    assert (result.outcome, result.output, computer.performed) == ("completed", "Done.", [])
    assert [seen.is_error for seen in script.views[1].results] == [True, True]
    assert "cut off" in script.views[1].text
    assert script.views[2].results == ()


async def test_answers_that_are_always_cut_end_the_run() -> None:
    """Four times in a row are enough."""
    script = Script(*[FakeTurn("...", stop_reason="max_tokens")] * 4)
    result = await script.run()
    assert (result.outcome, result.reason) == ("budget_exceeded", "tokens")


@pytest.mark.parametrize("content", [[], [thinking("hm")], [text(" ")]], ids=["nothing", "thinking", "blank"])
async def test_cut_answer_that_says_nothing_leaves_a_legal_history(content: Sequence[Any]) -> None:
    """An empty answer is no message."""
    script = Script(FakeTurn(content, stop_reason="max_tokens"), FakeTurn("Done."))
    assert (await script.run()).outcome == "completed"


async def test_full_context_ends_the_run() -> None:
    """A conversation that the model cannot hold is a budget used up."""
    script = Script(FakeTurn("...", stop_reason="model_context_window_exceeded"))
    result = await script.run()
    assert (result.outcome, result.reason) == ("budget_exceeded", "context")


async def test_calls_of_an_ended_turn_are_not_run() -> None:
    """Only a stop for tools lets them run."""
    script, computer = (
        Script(FakeTurn([text("Done."), member("key", text="a")], stop_reason="end_turn")),
        (computer_with_screen()),
    )
    result = await script.run(computer)
    assert (result.outcome, result.output, computer.performed) == ("completed", "Done.", [])


async def test_unknown_stop_reason_runs_nothing() -> None:
    """What a later version means by it is not guessed."""
    odd: Any = "context_reset"
    script, computer = Script(FakeTurn([member("key", text="a")], stop_reason=odd)), computer_with_screen()
    result = await script.run(computer)
    assert result.error is not None
    assert (result.outcome, result.error.code, computer.performed) == ("failed", "protocol", [])
    assert "context_reset" in result.error.message


async def test_stop_for_tools_without_a_call_is_asked_for_again() -> None:
    """It is no answer; twice in a row it ends the run."""
    script = Script(FakeTurn("x", stop_reason="tool_use"), FakeTurn("Done."))
    assert (await script.run()).outcome == "completed"
    script = Script(*[FakeTurn("x", stop_reason="tool_use")] * 2)
    assert (await script.run()).outcome == "failed"


async def test_blank_texts_of_the_model_are_not_sent_back() -> None:
    """The API says them and refuses them; everything else of the answer goes back."""
    script = Script(FakeTurn([thinking("hm"), text(""), text(" \n"), member("key", text="a")]), FakeTurn("Done."))
    assert (await script.run()).outcome == "completed"
    sent: Any = script.views[1].messages[1]["content"]
    assert [block["type"] for block in sent] == ["thinking", "tool_use"]


async def test_withheld_thinking_goes_back_as_it_came() -> None:
    """Redacted thinking is returned untouched, in its place."""
    script = Script(
        FakeTurn([redacted_thinking(), thinking("hm"), member("key", text="a")]),
        FakeTurn([thinking("and"), member("key", text="b")]),
        FakeTurn("Done."),
    )
    assert (await script.run()).outcome == "completed"


class Found(BaseModel):
    """What was found."""

    name: str
    sizes: list[int]


async def test_output_type_is_asked_for_and_read() -> None:
    """The final answer is checked; the API is told its schema."""
    script = Script(FakeTurn('{"name": "a", "sizes": [1, 2]}'))
    result = await script.run(output_type=Found)
    assert result.output == Found(name="a", sizes=[1, 2])
    config: Any = script.views[0].params["output_config"]
    assert config["format"]["type"] == "json_schema"
    assert config["format"]["schema"]["additionalProperties"] is False


async def test_output_that_is_wrong_is_asked_for_once_more() -> None:
    """The model is told what is wrong; a second wrong answer fails the run."""
    script = Script(FakeTurn("I found it."), FakeTurn('{"name": "a", "sizes": []}'))
    result = await script.run(output_type=Found)
    assert result.output == Found(name="a", sizes=[])
    assert "is not what it must be" in script.views[1].text
    script = Script(FakeTurn("I found it."), FakeTurn('{"name": 1}'))
    result = await script.run(output_type=Found)
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "protocol")
    assert "sizes" in result.error.message


async def test_on_request_sees_each_request_and_no_key() -> None:
    """Parameters and messages can be looked at before they are sent."""
    seen: list[Mapping[str, Any]] = []
    script = Script(FakeTurn([member("screenshot")]), FakeTurn("Done."))
    await script.run(on_request=seen.append, effort="low", max_tokens=5000, instructions="Be quick.")
    assert [len(body["messages"]) for body in seen] == [1, 3]
    assert (seen[0]["model"], seen[0]["max_tokens"]) == ("claude-sonnet-5-5", 5000)
    assert seen[0]["output_config"] == {"effort": "low"}
    assert script.views[0].system == "Be quick."
    assert dict(seen[1]) == script.fake.requests[1].body
    assert "sk-ant" not in repr(seen) + str([dict(body) for body in seen])


@pytest.mark.parametrize("model", sorted(MODELS))
async def test_every_model_is_asked_as_it_wants(model: str) -> None:
    """What differs between models is kept right by one table."""
    script = Script(FakeTurn([thinking("hm"), member("left_click", coordinate=[1, 1])]), FakeTurn("Done."))
    assert (await script.run(model=model)).outcome == "completed"


@pytest.mark.parametrize(
    "name",
    [
        "claude-sonnet-5-5-20260901",
        "claude-sonnet-5-5@20260901",
        "us.anthropic.claude-sonnet-5-5-20260901-v1:0",
        "anthropic.claude-sonnet-5-5",
        "anthropic/claude-sonnet-5-5",
    ],
)
def test_clouds_spellings_name_the_same_model(name: str) -> None:
    """A prefix, a date and a version say nothing about what a model can do."""
    assert profile_of(name) is PROFILES["claude-sonnet-5-5"]


def test_unknown_model_gets_the_documented_default() -> None:
    """A model of next year is asked as the current ones, with nothing optional."""
    assert profile_of("claude-opus-7") is DEFAULT_PROFILE
    assert profile_of("") is DEFAULT_PROFILE
    harness = ClaudeComputerUseHarness("claude-opus-7")
    assert harness.frame_limits.max_edge == 2000


def test_wrong_output_type_is_refused() -> None:
    """Only a pydantic model can be checked."""
    kind: Any = int
    with pytest.raises(ConfigError):
        ClaudeComputerUseHarness(output_type=kind)


async def test_one_harness_serves_several_runs_at_once() -> None:
    """A harness holds settings only."""

    def play(view: ModelView) -> FakeTurn:
        return FakeTurn([member("type", text=view.text)]) if view.turn == 0 else FakeTurn("Done.")

    fake = FakeAnthropic(play)
    computers = [computer_with_screen() for _ in range(5)]
    async with fake.client() as client:
        harness = ClaudeComputerUseHarness(client=client)

        async def one(number: int) -> None:
            await harness.run(computers[number], f"goal {number}")

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(one, number)
    assert [computer.performed for computer in computers] == [[Type(f"goal {n}")] for n in range(5)]


async def test_own_client_is_made_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With only a key and an address in the environment, over a real socket."""
    script = Script(*[FakeTurn([member("left_click", coordinate=[1, 1])])] * 3, FakeTurn("Done."))
    async with script.fake.serve() as address:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
        monkeypatch.setenv("ANTHROPIC_API_KEY", script.fake.api_key)
        result = await ClaudeComputerUseHarness().run(computer_with_screen(), "Go.")
    assert (result.outcome, result.turns) == ("completed", 4)
    assert {request.headers["content-length"] for request in script.fake.requests} == {
        str(request.size) for request in script.fake.requests
    }


class Gateway(anthropic.AsyncAnthropic):
    """A client of someone's own, which may look at the body."""


def cloud(fake: FakeAnthropic, requests: list[httpx2.Request]) -> httpx2.AsyncClient:
    """Connect a client to the fake, whatever address and spelling its cloud has."""

    async def pass_on(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        body = json.loads(await request.aread())
        body.pop("anthropic_version", None)
        headers = {"x-api-key": fake.api_key, "anthropic-version": "2023-06-01"}
        headers["anthropic-beta"] = request.headers["anthropic-beta"]
        content = json.dumps({"model": "claude-sonnet-5-5", **body}).encode()
        return await FakeTransport(fake.handle).handle_async_request(
            httpx2.Request("POST", "https://fake.invalid/v1/messages", headers=headers, content=content)
        )

    return httpx2.AsyncClient(transport=httpx2.MockTransport(pass_on))


@pytest.mark.parametrize("kind", ["vertex", "gateway"])
async def test_clients_of_clouds_and_gateways_work(kind: str) -> None:
    """A client that rewrites or reads the body gets the whole of it."""
    script = Script(FakeTurn([thinking("hm"), member("left_click", coordinate=[1, 1])]), FakeTurn("Done."))
    requests: list[httpx2.Request] = []
    http = cloud(script.fake, requests)
    client: anthropic.AsyncAnthropic | AsyncAnthropicVertex
    if kind == "vertex":
        client = AsyncAnthropicVertex(project_id="p", region="europe-west1", access_token="t", http_client=http)
    else:
        client = Gateway(api_key="k", base_url="https://gateway.invalid", http_client=http)
    async with client:
        result = await ClaudeComputerUseHarness(client=client).run(computer_with_screen(), "Go.")
    assert (result.outcome, result.output) == ("completed", "Done.")
    address = "models/claude-sonnet-5-5:streamRawPredict" if kind == "vertex" else "https://gateway.invalid/v1/messages"
    assert address in str(requests[0].url)


async def test_stop_takes_effect_between_turns() -> None:
    """A stopped run asks the model nothing more."""
    script = Script(FakeTurn([member("left_click", coordinate=[1, 1])]), FakeTurn("Done."))
    async with script.fake.client() as client, Engine() as engine:
        harness = ClaudeComputerUseHarness(client=client, on_request=lambda _: stop.set())
        stop = anyio.Event()
        run = await engine.start(harness, computer_with_screen(), "Go.")
        await stop.wait()
        await run.stop()
        result = await run.result()
    assert (result.outcome, result.reason) == ("stopped", "user")
    assert len(script.fake.requests) <= 1


CALLS = st.one_of(
    st.builds(lambda x, y: member("left_click", coordinate=[x, y]), st.integers(-5, 70), st.integers(-5, 60)),
    st.builds(lambda s: member("type", text=s), st.text(max_size=5)),
    st.builds(lambda s: member("key", text=s), st.sampled_from(["a", "ctrl+s", "hyper+x", ""])),
    st.sampled_from(
        [
            member("screenshot"),
            member("cursor_position"),
            member("zoom", region=[0, 0, 30, 30]),
            member("zoom", region=[30, 30, 0, 0]),
            ToolUse("fly", {}, "computer"),
            ToolUse("exec", {"command": "ls"}, "computer"),
            ToolUse("left_click", {"coordinate": [1, 2]}, "computer", raw_input='{"coordinate": [1,'),
            tool_use("exec", command="ls"),
            tool_use("exec"),
            tool_use("read_file", path="/nowhere"),
            tool_use("nothing"),
        ]
    ),
)
TURNS = st.lists(
    st.builds(
        lambda blocks, calls, reason: FakeTurn([*blocks, *calls], stop_reason=reason),
        st.lists(st.sampled_from([text("a"), text("ö\n"), thinking("hm"), redacted_thinking()]), max_size=3),
        st.lists(CALLS, max_size=4),
        st.sampled_from([None, None, None, "tool_use", "pause_turn", "max_tokens"]),
    ),
    max_size=6,
)


@given(TURNS, st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_history_stays_legal_whatever_the_model_does(turns: list[FakeTurn], sighted: bool) -> None:
    """Whatever a model asks for, every request that follows keeps all the rules of the API."""
    for turn in turns:
        broken = any(isinstance(call, ToolUse) and call.raw_input for call in turn.calls)
        if turn.stop_reason == "pause_turn" and broken:
            return  # the fake resumes only what it said word for word
    computer = RecordingComputer(Screen(64, 48))
    computer.image = png(64, 48) if sighted else b"broken"
    script = Script(*turns, *[FakeTurn("Done.")] * 2)
    result = await script.run(computer)
    assert result.outcome in {"completed", "failed", "budget_exceeded"}
    if result.error is not None:
        assert result.error.code in {"protocol", "budget_exceeded"}, result.error
