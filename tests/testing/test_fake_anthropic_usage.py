"""Token counts that add up, the prompt cache, and thinking that is bound to its conversation."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand.testing.models import FakeAnthropic, FakeTurn, member, redacted_thinking, text, thinking

from .fake_anthropic_parts import MODEL, Json, assistant, fake, image, post, request, result, user, words

MARK: Json = {"type": "ephemeral"}
BINDING = "thinking-binding-controls-2026-08-01"
LARGE = "word " * 1000


def inputs(answer: Json) -> tuple[int, int, int]:
    """Returns uncached, written and read input tokens."""
    usage = answer["usage"]
    created = usage["cache_creation"]
    written = usage["cache_creation_input_tokens"]
    assert written == created["ephemeral_5m_input_tokens"] + created["ephemeral_1h_input_tokens"]
    return usage["input_tokens"], written, usage["cache_read_input_tokens"]


async def test_text_and_images_cost_what_is_documented() -> None:
    """Four bytes of text are a token, and so are 28 by 28 pixels."""
    body = request(user(words("x" * 41), image(1280, 720)), tools=None)
    _, answer = await post(fake(), body)
    assert inputs(answer) == (11 + 46 * 26, 0, 0)
    assert answer["usage"]["output_tokens"] == 2


async def test_oversized_image_costs_what_the_model_sees() -> None:
    """An image that is scaled down costs its smaller size."""
    _, answer = await post(fake(), request(user(image(3840, 2160)), tools=None))
    assert inputs(answer)[0] == 92 * 52


async def test_toolset_without_zoom_is_cheaper() -> None:
    """The definition of the toolset costs tokens, less without zoom."""
    costs = []
    for configs in ({}, {"zoom": {"enabled": False}}):
        tools = [{"type": "computer_toolset_20260801", "configs": configs}]
        costs.append(inputs((await post(fake(), request(tools=tools)))[1])[0])
    assert costs[0] - costs[1] == 410


async def test_cache_writes_then_reads_then_extends() -> None:
    """What one request wrote the next one reads; every token is counted exactly once."""
    server = fake(3)
    system = [{**words(LARGE), "cache_control": MARK}]
    first = request(system=system)
    total = inputs((await post(fake(), {**first, "system": LARGE}))[1])[0]
    uncached, written, read = inputs((await post(server, first))[1])
    assert (read, uncached + written) == (0, total)
    assert written > 1250
    again = inputs((await post(server, first))[1])
    assert again == (uncached, 0, written)
    longer = request(
        user(words("Open the editor.")),
        assistant(words("Done.")),
        user({**words(LARGE), "cache_control": MARK}),
        system=system,
    )
    rest, added, kept = inputs((await post(server, longer))[1])
    assert (rest, kept) == (0, written)
    assert added == uncached + 2 + 1250


async def test_cache_is_missed_when_the_prefix_changes() -> None:
    """A change in front of the breakpoint makes everything after it new."""
    server = fake(2)
    marked = [{**words(LARGE), "cache_control": MARK}]
    await post(server, request(system=marked))
    changed = [{**words("X" + LARGE), "cache_control": MARK}]
    assert inputs((await post(server, request(system=changed)))[1])[2] == 0


async def test_cache_belongs_to_one_model() -> None:
    """Another model reads nothing of what the first one wrote."""
    server = fake(2)
    body = request(system=[{**words(LARGE), "cache_control": MARK}])
    await post(server, body)
    assert inputs((await post(server, {**body, "model": "claude-opus-5-5"}))[1])[2] == 0


async def test_cache_ignores_what_is_too_short() -> None:
    """A prefix below the model's least size is not cached."""
    body = request(user({**words("short"), "cache_control": MARK}), tools=None)
    _, answer = await post(fake(), body)
    assert inputs(answer) == (2, 0, 0)


async def test_cache_counts_hours_apart() -> None:
    """Breakpoints of an hour and of five minutes are billed apart."""
    body = request(
        user({**words(LARGE), "cache_control": MARK}),
        system=[{**words(LARGE), "cache_control": {**MARK, "ttl": "1h"}}],
        tools=None,
    )
    _, answer = await post(fake(), body)
    assert answer["usage"]["cache_creation"] == {"ephemeral_5m_input_tokens": 1250, "ephemeral_1h_input_tokens": 1250}


async def test_automatic_cache_control_marks_the_last_block() -> None:
    """The top-level setting is a breakpoint on the last block."""
    server = fake(2)
    body = {**request(user(words(LARGE)), tools=None), "cache_control": MARK}
    assert inputs((await post(server, body))[1]) == (0, 1250, 0)
    assert inputs((await post(server, body))[1]) == (0, 0, 1250)


@given(st.lists(st.booleans(), min_size=1, max_size=8))
async def test_cached_and_uncached_sum_to_the_whole(marks: list[bool]) -> None:
    """Wherever the breakpoints stand, the three kinds of input tokens sum to the count of the request."""
    server = FakeAnthropic(lambda _view: FakeTurn("Done."))
    marks = [mark and sum(marks[:index]) < 4 for index, mark in enumerate(marks)]
    blocks = [{**words(f"{n} {LARGE}"), **({"cache_control": MARK} if mark else {})} for n, mark in enumerate(marks)]
    for length in range(1, len(blocks) + 1):
        body = request(user(*blocks[:length]))
        count = {key: value for key, value in body.items() if key != "max_tokens"}
        _, counted = await post(server, count, path="/v1/messages/count_tokens")
        _, answer = await post(server, body)
        assert sum(inputs(answer)) == counted["input_tokens"]


def thinker() -> FakeAnthropic:
    """A fake that thinks in every turn and takes a screenshot in the first two."""
    return FakeAnthropic(
        lambda view: (
            FakeTurn([thinking(f"thought {view.turn}"), text("So:"), member("screenshot")])
            if view.turn < 2
            else FakeTurn([thinking("last"), text("Done.")])
        )
    )


async def conversation(server: FakeAnthropic, **fields: object) -> Json:
    """Has two turns with screenshots and returns the third request."""
    body = request(user(words("Go.")), **{"model": MODEL, **fields})
    for size in (1024, 1280):
        status, answer = await post(server, body)
        assert status == 200, answer
        call = next(block for block in answer["content"] if block["type"] == "tool_use")
        turn = [assistant(*answer["content"]), user(result(call["id"], image(size, 768)))]
        body = {**body, "messages": [*body["messages"], *turn]}
    return body


async def test_thinking_returned_as_it_was_is_accepted() -> None:
    """An append-only history passes, whatever its form on the wire."""
    server = thinker()
    body = await conversation(server)
    assert (await post(server, copy.deepcopy(body)))[0] == 200
    body["messages"][0]["content"] = "Go."
    body["messages"][-1]["content"][0]["cache_control"] = MARK
    body["messages"][1]["content"][2]["caller"] = None
    assert (await post(server, body))[0] == 200


def prune(body: Json) -> None:
    """Takes the oldest screenshot away."""
    body["messages"][2]["content"][0]["content"] = [words("[removed]")]


def retell(body: Json) -> None:
    """Changes an early message."""
    body["messages"][0]["content"][0]["text"] = "Go!"


def reinstruct(body: Json) -> None:
    """Changes the system prompt."""
    body["system"] = "Be quick."


def retool(body: Json) -> None:
    """Takes a tool away."""
    body["tools"] = body["tools"][:1]


def forget(body: Json) -> None:
    """Leaves an early thinking block out."""
    del body["messages"][1]["content"][0]


EDITS = pytest.mark.parametrize("edit", [prune, retell, reinstruct, retool, forget], ids=lambda edit: edit.__name__)


@EDITS
async def test_edited_history_is_refused_by_bound_models(edit: Any) -> None:
    """Thinking after the change does not belong to the conversation any more."""
    server = thinker()
    body = await conversation(server)
    edit(body)
    status, answer = await post(server, body)
    assert status == 400
    assert "does not belong to this conversation" in answer["error"]["message"]


@EDITS
async def test_edited_history_is_reported_where_dropping_is_asked_for(edit: Any) -> None:
    """With the beta control the blocks are left out, reported, and not billed."""
    server = thinker()
    body = await conversation(server, thinking={"type": "adaptive", "display": "summarized"})
    body["thinking"]["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
    edit(body)
    status, answer = await post(server, body, betas=[BINDING])
    assert status == 200, answer
    entry = answer["input_transformations"][-1]
    assert entry == {
        "type": "thinking_dropped",
        "path": "messages.3.content.0",
        "reason": "prefix_binding_mismatch",
    }


async def test_edited_history_is_let_pass_by_other_models() -> None:
    """A model that does not bind its thinking takes a pruned history, and says so where asked."""
    server = thinker()
    body = await conversation(server, model="claude-sonnet-5")
    prune(body)
    status, answer = await post(server, body, betas=[BINDING])
    assert status == 200
    assert [entry["type"] for entry in answer["input_transformations"]] == ["thinking_mismatch_allowed"]


@pytest.mark.parametrize("model", [MODEL, "claude-sonnet-5"])
async def test_edited_thinking_is_refused(model: str) -> None:
    """A signature covers the block itself, on every model."""
    server = thinker()
    body = await conversation(server, model=model)
    body["messages"][1]["content"][0]["thinking"] = "something else"
    status, answer = await post(server, body)
    assert status == 400
    assert answer["error"]["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize("model", [MODEL, "claude-sonnet-5"])
async def test_thinking_missing_from_the_latest_turn_is_refused(model: str) -> None:
    """The latest assistant message must come back with its thinking."""
    server = thinker()
    body = await conversation(server, model=model)
    del body["messages"][3]["content"][0]
    status, answer = await post(server, body)
    assert status == 400
    assert "in the latest assistant message cannot be modified" in answer["error"]["message"]


async def test_thinking_of_another_model_is_left_out() -> None:
    """A model does not get to read what another one thought, and nothing is refused."""
    server = thinker()
    body = await conversation(server)
    status, answer = await post(server, {**body, "model": "claude-opus-5-5"}, betas=[BINDING])
    assert status == 200
    assert {entry["reason"] for entry in answer["input_transformations"]} == {"model_binding_mismatch"}


@pytest.mark.parametrize(
    ("model", "settings", "shown"),
    [
        pytest.param(MODEL, None, "", id="omitted by default"),
        pytest.param(MODEL, {"type": "adaptive", "display": "summarized"}, "hm", id="summarized"),
        pytest.param("claude-sonnet-4-5", {"type": "enabled", "budget_tokens": 1024}, "hm", id="shown by default"),
        pytest.param("claude-sonnet-4-5", None, None, id="off by default"),
        pytest.param("claude-opus-4-8", {"type": "disabled"}, None, id="switched off"),
    ],
)
async def test_thinking_is_shown_as_model_and_request_say(model: str, settings: Json | None, shown: str | None) -> None:
    """Thinking comes with its text, without it, or not at all."""
    server = FakeAnthropic([FakeTurn([thinking("hm"), text("Done.")])])
    fields = {"thinking": settings} if settings else {}
    status, answer = await post(server, request(model=model, tools=None, **fields))
    assert status == 200, answer
    found = [block["thinking"] for block in answer["content"] if block["type"] == "thinking"]
    assert found == ([] if shown is None else [shown])
    assert answer["usage"]["output_tokens_details"]["thinking_tokens"] == (0 if shown is None else 1)


async def test_redacted_thinking_is_bound_as_well() -> None:
    """Withheld thinking has a signature of its own."""
    server = FakeAnthropic([FakeTurn([redacted_thinking(), text("Hi.")]), FakeTurn("Done.")])
    _, answer = await post(server, request())
    body = request(user(words("Open the editor.")), assistant(*answer["content"]), user(words("More.")))
    broken = copy.deepcopy(body)
    broken["messages"][1]["content"][0]["data"] = "bm9uc2Vuc2U="
    assert (await post(server, broken))[0] == 400
    assert (await post(server, body))[0] == 200
