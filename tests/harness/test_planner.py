"""Every request of a long run is legal, whatever the model does, and pruning keeps what is cached."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any, Literal, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand import ClaudeComputerUseHarness, Engine, Harness, OpenAIComputerUseHarness, OpenAIFunctionHarness
from deskhand.errors import BudgetExceededError
from deskhand.harness import Stuck
from deskhand.harness.events import TurnFinished
from deskhand.harness.models import profiles
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.blocks import MESSAGES, assistant_item, encode_image, user_item
from deskhand.harness.models.openai_door import OpenAIDoor
from deskhand.harness.models.planner import Pruned, plan
from deskhand.harness.models.profiles import ANTHROPIC_API, DEFAULT_PROFILE, OPENAI_API, profile_of
from deskhand.harness.models.transcript import Transcript, encode_json
from deskhand.harness.models.transport import Patience
from deskhand.providers import ExecResult, Screen
from deskhand.testing.models import (
    MODELS,
    Block,
    ComputerCall,
    FakeAnthropic,
    FakeOpenAI,
    FakeTurn,
    ModelView,
    ToolUse,
    action,
    computer_call,
    member,
    redacted_thinking,
    text,
    thinking,
    tool_use,
)
from tests.harness.driving import png
from tests.tools.recording import RecordingComputer

SMALL = 150_000
"""Bytes of a request that do not hold the words of a whole run."""

Api: TypeAlias = Literal["claude", "computer", "responses", "chat"]
"""How a model is asked: Claude's API, OpenAI's computer tool, and functions over either of OpenAI's APIs."""

SIZES = (Screen(64, 48), Screen(1280, 800), Screen(2200, 300), Screen(1600, 1000))
PICTURES = {size: png(*size) for size in SIZES}


class Player:
    """Plays a model of many moods: looks, acts, fails, pauses, is cut off, thinks; the screen changes meanwhile."""

    def __init__(self, api: Api, model: str, seed: int, turns: int) -> None:
        self.random = Random(seed)
        self.turns = turns
        self.api = api
        self.single = model == "computer-use-preview"  # (it calls one action at a time)
        self.computer = RecordingComputer(SIZES[0])
        self.computer.image = PICTURES[SIZES[0]]
        self.computer.commands["long"] = ExecResult("ö" * 300, "ö" * 300, "", 0)

    def __call__(self, view: ModelView) -> FakeTurn:
        """Answer what the model sees."""
        self.turns -= 1
        if self.turns < 0:
            return FakeTurn("Done.")
        if self.random.random() < 0.02:
            self.computer.image = PICTURES[self.random.choice(SIZES)]
        moods: list[Block] = [thinking("hm"), *([redacted_thinking()] if self.api == "claude" else []), text("I act.")]
        said = [block for block in moods if self.random.random() < 0.5]
        calls = [self.call() for _ in range(self.random.choice([1, 1, 1, 2, 3, 8]))]
        mood = self.random.random()
        if mood < 0.05 and self.api == "claude":
            return FakeTurn([*said, text("Wait.")], stop_reason="pause_turn")
        return FakeTurn([*said, *calls], stop_reason="max_tokens" if mood > 0.95 else None)

    def call(self) -> ToolUse | ComputerCall:
        """Ask for something, sensible or not."""
        x, y = self.random.randrange(70), self.random.randrange(60)
        functions = [tool_use("exec", command="long"), tool_use("exec", command="ls"), tool_use("nothing")]
        if self.api == "claude":
            calls = [
                member("screenshot"),
                member("left_click", coordinate=[x, y]),
                member("zoom", region=[0, 0, 30, 30]),
                member("zoom", region=[30, 30, 0, 0]),
                member("type", text="grüß" * x),
                member("key", text="hyper+x"),
                ToolUse("fly", {}, "computer"),
            ]
            return self.random.choice([*calls, *functions])
        if self.api == "computer":
            batches = [
                [action("screenshot")],
                [action("click", x=x, y=y), action("type", text="grüß" * x)],
                [action("keypress", keys=["HYPER", "x"]), action("wait")],
                [action("scroll", x=x, y=y, scroll_y=240), action("screenshot")],
            ]
            made = computer_call(*self.random.choice(batches)[: 1 if self.single else None])
            return made if self.random.random() < 0.6 else self.random.choice(functions)
        looks = [tool_use("screenshot"), tool_use("left_click", x=x, y=y), tool_use("zoom", x0=0, y0=0, x1=9, y1=9)]
        return self.random.choice([*looks, tool_use("type", text="grüß" * x), *functions])


def blocks(value: Any) -> Iterator[dict[str, Any]]:
    """All JSON objects of a request, however deep, that say of what type they are."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from blocks(inner)


def images(body: Mapping[str, Any]) -> int:
    """How many images a request holds, blank ones that stand for what was left out among them."""
    kinds = {"image", "image_url", "input_image", "computer_screenshot"}
    return sum(block["type"] in kinds for block in blocks([body.get("messages"), body.get("input")]))


def marks(body: Mapping[str, Any]) -> int:
    """How many cache marks a request bears."""
    return sum("cache_control" in block for block in blocks(dict(body)))


async def converse(api: Api, model: str, player: Player, *, max_body: int, max_images: int | None = None) -> None:
    """Hold a conversation, and check each of its requests."""
    rows = {**MODELS, "claude-next": MODELS["claude-opus-5-5"]}
    more: dict[str, Any] = {"max_turns": 1000, "patience": Patience(base=0)}
    profile = profile_of(model, ANTHROPIC_API if api == "claude" else OPENAI_API)
    fake: FakeAnthropic | FakeOpenAI
    harness: Harness[str]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnthropicDoor, "max_body", max_body)
        patch.setattr(OpenAIDoor, "max_body", max_body)
        if max_images is not None:
            profile = replace(profile, max_images=max_images)
            patch.setattr(profiles, "PROFILES", {profile.name: profile})
        if api == "claude":
            fake = FakeAnthropic(player, models=rows, keep_requests=1000)
            harness = ClaudeComputerUseHarness(model, client=fake.client(), **more)
        else:
            fake = FakeOpenAI(player, keep_requests=1000, max_images=profile.max_images)
            if api == "computer":
                harness = OpenAIComputerUseHarness(model, client=fake.client(), **more)
            else:
                harness = OpenAIFunctionHarness(model, client=fake.client(), api=api, **more)
        result = await harness.run(player.computer, "Go.", stuck=Stuck.off())
    fake.raise_script_errors()
    assert [request.error for request in fake.requests if request.error] == []
    assert (result.outcome, result.error) == ("completed", None)
    for request in fake.requests:
        assert request.size <= max_body
        assert images(request.body) <= profile.max_images
        assert marks(request.body) <= profile.cache_marks


APIS: list[tuple[Api, list[str]]] = [
    ("claude", [*MODELS, "claude-next"]),
    ("computer", ["gpt-5.4", "gpt-6.2-sol", "computer-use-preview"]),
    ("responses", ["gpt-5.4", "gpt-5-mini", "gpt-4.1"]),
    ("chat", ["gpt-5.4", "gpt-4o"]),
]


@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("api", "model", "max_body", "max_images"),
    [
        ("claude", "claude-sonnet-5-5", 400_000, None),
        ("claude", "claude-sonnet-5", SMALL, None),
        ("claude", "claude-sonnet-4-5", 400_000, 20),
        ("computer", "gpt-5.4", 400_000, None),
        ("computer", "gpt-6.2-sol", SMALL, 60),
        ("responses", "gpt-5.4", SMALL, None),
        ("chat", "gpt-5.4", SMALL, None),
    ],
)
async def test_every_request_of_a_run_is_legal(api: Api, model: str, max_body: int, max_images: int | None) -> None:
    """Over hundreds of turns the API finds nothing wrong, and each request keeps its model's limits."""
    await converse(api, model, Player(api, model, 1, 200), max_body=max_body, max_images=max_images)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(
    asked=st.sampled_from([(api, model) for api, models in APIS for model in models]),
    seed=st.integers(0, 2**32),
    turns=st.integers(200, 400),
    max_body=st.sampled_from([SMALL, 400_000, 10_000_000]),
    max_images=st.sampled_from([None, None, 20, 60]),
)
@settings(max_examples=12)
async def test_every_request_of_a_long_run_is_legal(
    asked: tuple[Api, str], seed: int, turns: int, max_body: int, max_images: int | None
) -> None:
    """The same for all models, and longer."""
    api, model = asked
    await converse(api, model, Player(api, model, seed, turns), max_body=max_body, max_images=max_images)


async def test_pruning_keeps_what_is_cached_before_it() -> None:
    """Between prunings a request begins with the one before; at a pruning all up to the last one is read again."""
    turns = 100
    script = [FakeTurn([thinking("hm"), text("word " * 100), member("left_click", coordinate=[1, 1])])] * turns
    fake = FakeAnthropic([*script, FakeTurn("Done.")])
    computer = RecordingComputer(SIZES[0])
    computer.image = PICTURES[SIZES[0]]
    async with fake.client() as client, Engine(stuck=Stuck.off()) as engine:
        harness = ClaudeComputerUseHarness("claude-sonnet-5", client=client, max_turns=200)
        run = await engine.start(harness, computer, "Go.")
        assert (await run.result()).outcome == "completed"
        used = [event.data.usage async for event in run.events() if isinstance(event, TurnFinished)]
    read = [usage.cache_read for usage in used]
    whole = [usage.cache_read + usage.cache_write for usage in used]
    held = [images(request.body) for request in fake.requests]
    pruned = [index for index in range(1, len(held)) if held[index] < held[index - 1]]
    assert (min(held[23:]), max(held), len(pruned)) == (3, 23, 4)
    for index in range(1, len(read)):
        if index not in pruned:
            assert read[index] == whole[index - 1], "all that was sent before is read from the cache"
    kept = [read[index] for index in pruned]
    assert kept[0] < 6000, "the first pruning keeps the fixed part"
    for before, after in pairwise(zip(pruned, kept, strict=True)):
        assert after[1] > whole[before[0]] * 0.85, "and each later one all that the one before has pruned"


def test_words_alone_that_are_too_many_are_never_sent() -> None:
    """What cannot be made to fit ends as a budget that is used up, not as a refused request."""
    transcript = Transcript(MESSAGES, {"model": "m"})
    transcript.append(user_item([encode_json({"type": "text", "text": "x" * 500})]))
    with pytest.raises(BudgetExceededError) as caught:
        plan(transcript, DEFAULT_PROFILE, 400)
    assert caught.value.reason == "context"
    assert plan(transcript, DEFAULT_PROFILE, 1000) == Pruned()


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 6), st.integers(1, 8))
def test_planned_history_says_the_same_but_for_its_old_images(counts: list[int], keep: int, step: int) -> None:
    """Whatever is left out, order and words stay; the newest images stay, and stubs stand only before images."""
    profile = replace(DEFAULT_PROFILE, keep_images=keep, prune_every=step, prefix_bound=False)
    transcript = Transcript(MESSAGES, {"model": "m"})
    for number, count in enumerate(counts):
        shown = [encode_json({"type": "text", "text": f"{number}"})]
        shown += [encode_image(f"{number}.{index}".encode(), "image/png") for index in range(count)]
        transcript.append(user_item(shown, images=count), assistant_item(b'[{"type":"text","text":"a"}]'))
        plan(transcript, profile, 10_000_000)
        request = transcript.request()
        body = json.loads(request.joined())
        assert (request.size, transcript.images) == (len(request.joined()), images(body))
        users = body["messages"][::2]
        assert [message["content"][0]["text"] for message in users] == [str(n) for n in range(number + 1)]
        assert [len(message["content"]) - 1 for message in users] == counts[: number + 1]
        kinds = [block["type"] for message in users for block in message["content"][1:]]
        assert kinds == sorted(kinds, reverse=True), "what was left out is older than what stays"
        assert images(body) >= min(keep, sum(counts[: number + 1]))
        assert images(body) <= keep + step + sum(sorted(counts)[-3:])
        assert sum("cache_control" in block for block in blocks(body)) <= 3
