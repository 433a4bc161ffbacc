"""Every request of a long run is legal, whatever the model does, and pruning keeps what is cached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand import ClaudeComputerUseHarness, Engine
from deskhand.errors import BudgetExceededError
from deskhand.harness.events import TurnFinished
from deskhand.harness.models.blocks import MESSAGES, assistant_item, encode_image, user_item
from deskhand.harness.models.door import AnthropicDoor
from deskhand.harness.models.planner import Pruned, plan
from deskhand.harness.models.profiles import DEFAULT_PROFILE, profile_of
from deskhand.harness.models.transcript import Transcript, encode_json
from deskhand.harness.models.transport import Patience
from deskhand.providers import ExecResult, Screen
from deskhand.testing.models import (
    MODELS,
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
from tests.harness.driving import png
from tests.tools.recording import RecordingComputer

SMALL = 150_000
"""Bytes of a request that hold the words of a run for some time only."""

FRESH = 3 * 8
"""The most images in the newest three messages, which keep theirs."""

SIZES = (Screen(64, 48), Screen(1280, 800), Screen(2200, 300), Screen(1600, 1000))
PICTURES = {size: png(*size) for size in SIZES}


@dataclass
class Player:
    """Plays a model of many moods: looks, acts, fails, pauses, is cut off, thinks; the screen changes meanwhile."""

    seed: int
    turns: int
    computer: RecordingComputer
    last: str | None = None
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def __call__(self, view: ModelView) -> FakeTurn:
        """Answer what the model sees."""
        if view.turn >= self.turns:
            return FakeTurn("Done.")
        if self.random.random() < 0.02:
            self.computer.image = PICTURES[self.random.choice(SIZES)]
        said = [block for block in (thinking("hm"), redacted_thinking(), text("I act.")) if self.random.random() < 0.5]
        calls = [self.call() for _ in range(self.random.choice([1, 1, 1, 2, 3, 8]))]
        mood = self.random.random()
        if mood < 0.05:
            return FakeTurn([*said, text("Wait.")], stop_reason="pause_turn")
        return FakeTurn([*said, *calls], stop_reason="max_tokens" if mood > 0.95 else None)

    def call(self) -> ToolUse:
        """Ask for something, sensible or not."""
        x, y = self.random.randrange(70), self.random.randrange(60)
        return self.random.choice(
            [
                member("screenshot"),
                member("left_click", coordinate=[x, y]),
                member("zoom", region=[0, 0, 30, 30]),
                member("zoom", region=[30, 30, 0, 0]),
                member("type", text="grüß" * x),
                member("key", text="hyper+x"),
                tool_use("exec", command="long"),
                tool_use("exec", command="ls"),
                tool_use("nothing"),
                ToolUse("fly", {}, "computer"),
            ]
        )


def blocks(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All blocks of the messages, those inside results too."""
    found: list[dict[str, Any]] = []
    for message in body["messages"]:
        for block in message["content"]:
            found.append(block)
            if isinstance(block.get("content"), list):
                found.extend(block["content"])
    return found


def images(body: Mapping[str, Any]) -> int:
    """How many images a request holds."""
    return sum(block["type"] == "image" for block in blocks(body))


def marks(body: Mapping[str, Any]) -> int:
    """How many cache marks a request bears."""
    holders = [*blocks(body), *body.get("tools", ()), *body["system"]]
    return sum("cache_control" in holder for holder in holders)


async def converse(model: str, seed: int, turns: int, max_body: int) -> None:
    """Hold a conversation, and check each of its requests."""
    computer = RecordingComputer(SIZES[0])
    computer.image = PICTURES[SIZES[0]]
    computer.commands["long"] = ExecResult("ö" * 300, "ö" * 300, "", 0)
    rows = {**MODELS, "claude-next": MODELS["claude-opus-5-5"]}
    fake = FakeAnthropic(Player(seed, turns, computer), models=rows, keep_requests=turns + 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnthropicDoor, "max_body", max_body)
        async with fake.client() as client:
            harness = ClaudeComputerUseHarness(model, client=client, max_turns=1000, patience=Patience(base=0))
            result = await harness.run(computer, "Go.")
    fake.raise_script_errors()
    assert [request.error for request in fake.requests if request.error] == []
    if result.outcome != "completed":
        assert (result.outcome, result.reason, max_body) == ("budget_exceeded", "context", SMALL), result.error
    profile = profile_of(model)
    most = profile.max_images
    if profile.keep_images is not None:
        most = min(most, profile.keep_images + profile.prune_every + FRESH)
    for request in fake.requests:
        assert request.size <= max_body
        assert images(request.body) <= most
        assert marks(request.body) <= profile.cache_marks


CONVERSATIONS = given(
    model=st.sampled_from([*MODELS, "claude-next"]),
    seed=st.integers(0, 2**32),
    turns=st.integers(200, 400),
    max_body=st.sampled_from([SMALL, 400_000, 10_000_000]),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("model", "max_body"), [("claude-sonnet-5-5", 400_000), ("claude-sonnet-5", SMALL), ("claude-sonnet-4-5", 400_000)]
)
async def test_every_request_of_a_run_is_legal(model: str, max_body: int) -> None:
    """Over two hundred turns the API finds nothing wrong, and each request keeps its model's limits."""
    await converse(model, 1, 200, max_body)


@pytest.mark.long
@pytest.mark.timeout(3600)
@CONVERSATIONS
@settings(max_examples=30)
async def test_every_request_of_a_long_run_is_legal(model: str, seed: int, turns: int, max_body: int) -> None:
    """The same over hundreds of turns, for all models."""
    await converse(model, seed, turns, max_body)


async def test_pruning_keeps_what_is_cached_before_it() -> None:
    """Between prunings a request begins with the one before; at a pruning all up to the last one is read again."""
    turns = 100
    script = [FakeTurn([thinking("hm"), text("word " * 100), member("left_click", coordinate=[1, 1])])] * turns
    fake = FakeAnthropic([*script, FakeTurn("Done.")])
    computer = RecordingComputer(SIZES[0])
    computer.image = PICTURES[SIZES[0]]
    async with fake.client() as client, Engine() as engine:
        harness = ClaudeComputerUseHarness("claude-sonnet-5", client=client, max_turns=200)
        run = await engine.start(harness, computer, "Go.")
        assert (await run.result()).outcome == "completed"
        used = [event.data.usage async for event in run.events() if isinstance(event, TurnFinished)]
    read = [usage.cache_read for usage in used]
    whole = [usage.cache_read + usage.cache_write for usage in used]
    held = [images(request.body) for request in fake.requests]
    pruned = [index for index in range(1, len(held)) if held[index] < held[index - 1]]
    assert (min(held[28:]), max(held), len(pruned)) == (3, 28, 3)
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
