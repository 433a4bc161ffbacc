"""What is known of each model, and what happens where that was wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.lib.bedrock import AsyncAnthropicBedrock
from anthropic.lib.foundry import AsyncAnthropicFoundry
from anthropic.lib.vertex import AsyncAnthropicVertex

from deskhand import ClaudeComputerUseHarness, Engine, RunResult
from deskhand.harness.events import CustomEvent
from deskhand.harness.models.profiles import (
    ANTHROPIC_API,
    COMPUTER_TOOLSET,
    OPENAI_API,
    PLATFORMS,
    PROFILES,
    named_tool,
    platform_of,
    profile_of,
)
from deskhand.harness.models.transport import Patience
from deskhand.providers import Click, Drag, HoldKey, Key, Scroll, Type, Wait
from deskhand.testing.models import MODELS, FakeAnthropic, FakeTurn, ModelView, member, thinking, tool_use
from deskhand.testing.models.profiles import ModelProfile as FakeProfile
from deskhand.testing.models.wire import WireRequest
from tests.harness.driving import computer_with_screen, png
from tests.tools.recording import RecordingComputer

OLDER = sorted(name for name, row in MODELS.items() if COMPUTER_TOOLSET not in row.computer_tools)


class Model:
    """A model of the fake's, and what it saw."""

    def __init__(self, row: FakeProfile, *turns: FakeTurn | Callable[[ModelView], FakeTurn]) -> None:
        self.turns = [*turns, FakeTurn("Done.")]
        self.views: list[ModelView] = []
        self.fake = FakeAnthropic(self.play, models={row.name: row})
        self.name = row.name
        self.told: list[Any] = []

    def play(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        turn = self.turns[view.turn]
        return turn if isinstance(turn, FakeTurn) else turn(view)

    async def run(self, computer: RecordingComputer | None = None) -> RunResult[str]:
        """Run the loop once."""
        async with self.fake.client() as client, Engine() as engine:
            harness = ClaudeComputerUseHarness(self.name, client=client, patience=Patience(base=0))
            run = await engine.start(harness, computer or computer_with_screen(), "Go.")
            result = await run.result()
            self.told = [event.data async for event in run.events() if isinstance(event, CustomEvent)]
        self.fake.raise_script_errors()
        return result

    @property
    def sent(self) -> list[str]:
        """The computer tool of each request."""
        return [request.body["tools"][0]["type"] for request in self.fake.requests]  # type: ignore[index,call-overload,misc]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_table_agrees_with_what_the_models_take(name: str) -> None:
    """Tool, images and thinking of each row are what the fake's own table has."""
    ours, theirs = profile_of(name), MODELS[name]
    assert ours.computer_tool in theirs.computer_tools
    assert ours.prefix_bound == theirs.prefix_bound
    assert (ours.keep_images is None) == theirs.prefix_bound
    for size in ((1280, 800), (1920, 1080), (2560, 1440), (3840, 2160), (1080, 1920), (5000, 300)):
        assert theirs.images.allows(*ours.frame_limits.fit(*size)), size
    assert ours.thinking is None or ours.thinking["type"] in theirs.thinking


def test_platforms_take_what_they_take() -> None:
    """Where a client sends its requests decides the tool and the size of a request."""
    bedrock = AsyncAnthropicBedrock(aws_region="eu-west-1", aws_access_key="a", aws_secret_key="s")
    foundry = AsyncAnthropicFoundry(api_key="k", resource="r")
    vertex = AsyncAnthropicVertex(project_id="p", region="r", access_token="t")

    class Gateway(anthropic.AsyncAnthropic):
        """A client of someone's own."""

    clients = (bedrock, foundry, vertex, Gateway(api_key="k"), None)
    found = [platform_of(client) for client in clients]
    assert [platform.name for platform in found] == ["bedrock", "foundry", "vertex", "anthropic", "anthropic"]
    assert found[0].max_body < found[2].max_body < found[3].max_body
    tools = [profile_of("claude-opus-5-5", platform).computer_tool for platform in found]
    assert tools == ["computer_20251124", "computer_20251124", COMPUTER_TOOLSET, COMPUTER_TOOLSET, COMPUTER_TOOLSET]
    assert profile_of("claude-haiku-4-5", found[0]).computer_tool == "computer_20250124"


def test_rows_of_both_vendors_are_in_the_one_table() -> None:
    """A row says whose model it is; what is in no row is asked as the newest of its vendor."""
    assert {row.vendor for row in PROFILES.values()} == {platform.vendor for platform in PLATFORMS}
    assert profile_of("gpt-5.5-2026-04-23", OPENAI_API) is PROFILES["gpt-5.5"]
    assert profile_of("openai/computer-use-preview", OPENAI_API).truncation == "auto"
    assert profile_of("gpt-9", OPENAI_API).computer_tool == "computer"
    assert profile_of("llama", OPENAI_API).vendor == "openai"


@pytest.mark.parametrize("model", OLDER)
async def test_older_tools_do_all_that_the_toolset_does(model: str) -> None:
    """A model with one of the older tools is told the display; its actions arrive and are answered."""
    calls = [
        member("left_click", coordinate=[1, 2], text="shift"),
        member("left_click_drag", start_coordinate=[1, 2], coordinate=[3, 4]),
        member("scroll", coordinate=[5, 6], scroll_direction="up", scroll_amount=2),
        member("type", text="grüß"),
        member("key", text="ctrl+s"),
        member("hold_key", text="a", duration=1),
        member("wait", duration=1),
        member("cursor_position"),
        tool_use("exec", command="ls"),
    ]
    played = Model(MODELS[model], FakeTurn([thinking("hm"), *calls]), FakeTurn([member("screenshot")]))
    computer = computer_with_screen()
    result = await played.run(computer)
    assert (result.outcome, result.output, result.error) == ("completed", "Done.", None)
    assert computer.performed == [
        Click(1, 2, modifiers=("shift",)),
        Drag(((1, 2), (3, 4))),
        Scroll(5, 6, 0, -2),
        Type("grüß"),
        Key("ctrl+s"),
        HoldKey("a", 1),
        Wait(1),
    ]
    seen = played.views[1]
    assert [one.name for one in seen.results][-2:] == ["cursor_position", "exec"]
    assert [one.image is not None for one in seen.results][-2:] == [False, False]
    assert seen.frame is not None
    entry = seen.tools["computer"]
    assert (entry["display_width_px"], entry["display_height_px"]) == seen.frame.size
    assert ("zoom" in seen.members) == (entry["type"] == "computer_20251124")
    assert [request.error for request in played.fake.requests if request.error] == []


async def test_bedrock_is_asked_with_the_older_tool_and_its_beta() -> None:
    """A platform without the toolset gets a request that it takes, whatever the model's name looks like there."""
    row = replace(MODELS["claude-opus-5-5"], computer_tools=frozenset({"computer_20251124"}))
    fake = FakeAnthropic([FakeTurn("Done.")], models={row.name: row})

    async def pass_on(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(await request.aread())
        del body["anthropic_version"]
        betas = ",".join(body.pop("anthropic_beta"))
        headers = {"x-api-key": fake.api_key, "anthropic-version": "2023-06-01", "anthropic-beta": betas}
        content = json.dumps({"model": row.name, **body}).encode()
        await fake.handle(WireRequest("POST", "/v1/messages", headers, content))
        return httpx2.Response(400, json={"message": "enough"})

    client = AsyncAnthropicBedrock(
        aws_region="eu-west-1",
        api_key="k",
        http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(pass_on)),
    )
    async with client:
        name = "eu.anthropic.claude-opus-5-5-20260901-v1:0"
        await ClaudeComputerUseHarness(name, client=client).run(computer_with_screen(), "Go.")
    assert [(request.status, request.error) for request in fake.requests] == [(200, None)]


async def test_failed_action_of_an_older_tool_halts_its_batch() -> None:
    """What follows in the same turn is not run, and told so."""
    calls = [member("left_click", coordinate=[9999, 1]), member("type", text="x"), tool_use("exec", command="ls")]
    played = Model(MODELS["claude-sonnet-4-5"], FakeTurn(calls), FakeTurn(calls[2:]))
    computer = computer_with_screen()
    assert (await played.run(computer)).outcome == "completed"
    assert computer.performed == []
    results = played.views[1].results
    assert [one.is_error for one in results] == [True, True, False]
    assert results[1].text == "Not executed: an earlier computer action in this turn failed."


async def test_older_tool_follows_a_screen_that_changes_its_size() -> None:
    """The display that the tool is told is that of the last screenshot."""
    computer = computer_with_screen(1280, 800)

    def grow(view: ModelView) -> FakeTurn:
        computer.image = png(1600, 1000)
        return FakeTurn([thinking("hm"), member("screenshot")])

    look = FakeTurn([thinking("hm"), member("screenshot")])
    played = Model(MODELS["claude-opus-4-6"], look, grow, look)
    assert (await played.run(computer)).outcome == "completed"
    sizes = [view.tools["computer"]["display_width_px"] for view in played.views]
    assert sizes == [1280, 1280, 1389, 1389], "a large one is scaled down to what the model reads"
    assert played.views[2].frame is not None
    assert played.views[2].frame.size[0] == 1389
    assert [request.error for request in played.fake.requests if request.error] == []


async def test_refusal_that_names_the_right_tool_corrects_the_row(caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on with that tool and says so; later runs ask with it at once, other models as before."""
    played = Model(replace(MODELS["claude-opus-4-6"], name="claude-next-1"), FakeTurn([member("screenshot")]))
    assert (await played.run()).outcome == "completed"
    assert played.sent == [COMPUTER_TOOLSET, *["computer_20251124"] * 2]
    [told] = played.told
    assert told.name == "model.amended"
    assert told.value["computer_tool"] == "computer_20251124"
    assert "claude-next-1 is asked with computer_20251124 from now on" in caplog.text
    assert (await played.run()).outcome == "completed"
    assert played.sent[3:] == ["computer_20251124"] * 2
    assert profile_of("claude-next-2").computer_tool == COMPUTER_TOOLSET
    elsewhere = next(platform for platform in PLATFORMS if platform.name == "vertex")
    assert profile_of("claude-next-1", elsewhere).computer_tool == COMPUTER_TOOLSET


@pytest.mark.parametrize("tools", [(), ("computer_20241022",)], ids=["none", "none that is spoken"])
async def test_refusal_that_names_no_tool_ends_the_run(tools: Sequence[str]) -> None:
    """Nothing is tried that was not named, or is not spoken here."""
    row = replace(MODELS["claude-opus-4-6"], name=f"claude-none-{len(tools)}", computer_tools=frozenset(tools))
    result = await (played := Model(row)).run()
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "invalid_input")
    assert len(played.sent) == 1


async def test_api_that_contradicts_itself_is_asked_each_way_once() -> None:
    """An API that refuses whatever it named before is not asked for ever."""
    played = Model(replace(MODELS["claude-opus-5-5"], name="claude-odd"))
    played.fake.fail(400, message="this tool is not supported, use the tool computer_20250124")
    played.fake.fail(400, message="this tool is not supported, use the tool computer_20251124")
    played.fake.fail(400, message="this tool is not supported, use the tool computer_toolset_20260801", times=5)
    result = await played.run()
    assert result.outcome == "failed"
    assert played.sent == [COMPUTER_TOOLSET, "computer_20250124", "computer_20251124"]


async def test_refusal_in_the_midst_of_a_run_ends_it() -> None:
    """Once the history holds calls of one tool, it is no history of another."""
    played = Model(replace(MODELS["claude-opus-5-5"], name="claude-late"), FakeTurn([member("screenshot")]))
    played.fake.let_pass()
    played.fake.fail(400, message="this tool is not supported, use the tool computer_20251124")
    assert (await played.run()).outcome == "failed"
    assert profile_of("claude-late").computer_tool == COMPUTER_TOOLSET


@pytest.mark.parametrize(
    ("message", "model", "tool"),
    [
        ("'m' does not support tool types: computer_20250124. Did you mean one of computer_20251124?", "gpt-5.4", None),
        ("Tool 'computer' is not supported with m. Use the tool 'computer_use_preview' instead.", "gpt-5.4", True),
        ("Tool 'computer' is not supported with m.", "gpt-5.4", None),
        ("Tool 'computer_use_preview' is not supported; use the tool 'computer'.", "computer-use-preview", True),
        ("computer_20251124", "claude-opus-5-5", None),
        ("the computer tool is on fire", "claude-opus-5-5", None),
    ],
)
def test_tool_is_read_out_of_a_refusal(message: str, model: str, tool: bool | None) -> None:
    """Only a tool of the same vendor that was not asked with counts."""
    assert (named_tool(message, profile_of(model)) is not None) == (tool is True)


def test_platform_of_a_client_that_is_not_known() -> None:
    """What is no vendor's client goes where Anthropic's API is."""
    assert platform_of(httpx2.Client()) is ANTHROPIC_API
