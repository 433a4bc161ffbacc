"""An answer, event by event: kept as it came, counted as it was billed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from deskhand.errors import ProtocolError, TruncatedStreamError
from deskhand.harness.events import Usage
from deskhand.harness.models.adapter import Delta, Turn
from deskhand.harness.models.decoder import AnthropicDecoder

Event = dict[str, Any]


def start(index: int, **block: Any) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **piece: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **piece}}


def stop(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str | None = "end_turn", **usage: Any) -> list[Event]:
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}, {"type": "message_stop"}]


def begun(**usage: Any) -> Event:
    return {"type": "message_start", "message": {"content": [], "usage": usage}}


def decode(*events: Event) -> tuple[Turn, list[Delta]]:
    decoder = AnthropicDecoder(frozenset({"key"}), frozenset({"exec"}))
    told = decoder.feed(events)
    return decoder.turn(), told


def test_unknown_fields_and_blocks_are_kept() -> None:
    """A block goes back as it came, also what this version knows nothing of."""
    turn, _ = decode(
        begun(input_tokens=1),
        start(0, type="thinking", thinking="", signature="", estimate={"tokens": 7}),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="s1"),
        stop(0),
        start(1, type="server_tool_use", id="srv_1", name="web_search", input={}),
        delta(1, "input_json_delta", partial_json='{"query": '),
        delta(1, "input_json_delta", partial_json='"x"}'),
        stop(1),
        start(2, type="hologram", data=[1, {"x": None}]),
        stop(2),
        *ending(),
    )
    assert turn.items == [
        {"type": "thinking", "thinking": "hm", "signature": "s1", "estimate": {"tokens": 7}},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "hologram", "data": [1, {"x": None}]},
    ]
    assert json.loads(turn.raw) == turn.items
    assert (turn.calls, turn.text, turn.thinking) == ([], "", "hm")


def test_citations_are_kept() -> None:
    """What a text quotes is a part of it."""
    turn, _ = decode(
        begun(),
        start(0, type="text", text="", citations=None),
        delta(0, "text_delta", text="a"),
        delta(0, "citations_delta", citation={"n": 1}),
        delta(0, "citations_delta", citation={"n": 2}),
        stop(0),
        *ending(),
    )
    assert turn.items == [{"type": "text", "text": "a", "citations": [{"n": 1}, {"n": 2}]}]


def test_neighbouring_pieces_are_told_as_one() -> None:
    """What the network brings together is passed on together; kinds stay apart, signatures are not told."""
    _, told = decode(
        begun(),
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="a"),
        delta(0, "signature_delta", signature="s"),
        delta(0, "thinking_delta", thinking="b"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, "text_delta", text="c"),
        delta(1, "text_delta", text=""),
        delta(1, "sparkle_delta", glitter=1),
        stop(1),
        *ending(),
    )
    assert told == [Delta("thinking", "ab"), Delta("text", "c")]


def test_counts_are_overwritten_and_what_summing_up_cost_is_added() -> None:
    """Counts of a stream are cumulative; tokens of a compaction stand beside the totals."""
    turn, _ = decode(
        begun(input_tokens=10, cache_read_input_tokens=5, cache_creation_input_tokens=3, output_tokens=1),
        *ending(
            input_tokens=None,
            output_tokens=20,
            output_tokens_details={"thinking_tokens": 8},
            iterations=[
                {"type": "compaction", "input_tokens": 100, "output_tokens": 30},
                {"type": "message", "input_tokens": 10, "output_tokens": 20},
            ],
        ),
    )
    assert turn.usage == Usage(input=110, output=50, cache_read=5, cache_write=3, reasoning=8)


@pytest.mark.parametrize("last", [[], ending()[:1], ending()[1:], ending(None)])
def test_answer_without_its_end_is_no_turn(last: Sequence[Event]) -> None:
    """Both the reason and the last event must have come."""
    with pytest.raises(TruncatedStreamError):
        decode(begun(), start(0, type="text", text="a"), stop(0), *last)


@pytest.mark.parametrize(
    "event",
    [
        stop(7),
        delta(7, "text_delta", text="x"),
        delta(0, "text_delta", text=5),
        delta(0, "text_delta"),
        {"type": "content_block_delta", "index": "0", "delta": {}},
    ],
)
def test_piece_that_fits_nowhere_spoils_the_answer(event: Event) -> None:
    """A piece without its block, or that holds no text, is a broken answer, which may be asked for again."""
    with pytest.raises(ProtocolError) as caught:
        decode(begun(), start(0, type="text", text=""), event)
    assert caught.value.retryable


def test_calls_of_both_kinds_are_read() -> None:
    """A member's arguments become the tool's own; a function's are taken as they are."""
    turn, told = decode(
        begun(),
        start(0, type="tool_use", id="t1", name="key", toolset_name="computer", input={}),
        delta(0, "input_json_delta", partial_json='{"text": "ctrl+s"}'),
        stop(0),
        start(1, type="tool_use", id="t2", name="exec", input={}),
        delta(1, "input_json_delta", partial_json='{"command": "ls"}'),
        stop(1),
        start(2, type="tool_use", id="t3", name="exec", input={}),
        *ending("tool_use"),
    )
    assert [(call.name, call.arguments, call.format) for call in turn.calls] == [
        ("key", {"key": "ctrl+s"}, "anthropic_toolset"),
        ("exec", {"command": "ls"}, "anthropic"),
        ("exec", {}, "anthropic"),
    ]
    assert [piece.kind for piece in told] == ["arguments"]
