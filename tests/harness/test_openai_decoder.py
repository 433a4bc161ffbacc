"""An answer of OpenAI's APIs, event by event: kept as it came, counted as it was billed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deskhand.errors import (
    BudgetExceededError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    RateLimitedError,
    RefusedError,
    TruncatedStreamError,
)
from deskhand.harness.events import Usage
from deskhand.harness.models import Delta, Turn
from deskhand.harness.models.openai_chat import ChatDecoder
from deskhand.harness.models.openai_decoder import ResponsesDecoder
from deskhand.tools.calls import SafetyCheck

Event = dict[str, Any]


def done(index: int, **item: Any) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item, "sequence_number": index}


def ended(status: str = "completed", **response: Any) -> Event:
    return {"type": f"response.{status}", "response": {"id": "resp_1", "status": status, **response}}


def decode(*events: Event, computer: bool = True) -> tuple[Turn, list[Delta]]:
    decoder = ResponsesDecoder(frozenset({"exec"}), computer=computer)
    told = decoder.feed(events)
    return decoder.turn(), told


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "extra": 1}
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


def test_items_are_kept_as_they_came() -> None:
    """Fields that nobody here knows come back too; those that are refused there do not; order is the vendor's."""
    turn, told = decode(
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        {"type": "response.output_text.delta", "delta": "Well"},
        {"type": "response.output_text.delta", "delta": ", ö"},
        {"type": "response.reasoning_summary_text.delta", "delta": "Hm."},
        {"type": "response.something_new", "delta": 3},
        done(1, type="hologram", data=[1, {"x": None}], created_by="somebody"),
        done(0, **REASONING),
        ended(usage=USAGE),
    )
    assert turn.items == [REASONING, {"type": "hologram", "data": [1, {"x": None}]}]
    assert json.loads(turn.raw) == turn.items
    assert (turn.thinking, turn.id, turn.stop, turn.stop_reason) == ("Hm.", "resp_1", "done", "completed")
    assert told == [Delta("text", "Well, ö"), Delta("thinking", "Hm.")]
    assert turn.usage == Usage(input=10, output=20, cache_read=60, cache_write=30, reasoning=5)


def test_calls_are_read_with_their_checks() -> None:
    """A computer call is several calls under one id of the vendor's; a function call is one."""
    turn, _ = decode(
        done(
            0,
            type="computer_call",
            call_id="call_1",
            actions=[{"type": "click", "button": "left", "x": 1, "y": 2}, {"type": "screenshot"}],
            pending_safety_checks=[{"id": "sc_1", "code": "c", "message": "m"}],
        ),
        done(1, type="function_call", call_id="call_2", name="exec", arguments='{"command":"ls"}'),
        done(2, type="function_call", call_id="call_3", name="left_click", arguments="{}"),
        ended(),
    )
    assert turn.stop == "act"
    assert [call.name for call in turn.calls] == ["left_click", "screenshot", "exec", "functions.left_click"]
    assert turn.calls[0].checks == (SafetyCheck("sc_1", "c", "m"),)
    assert turn.call_ids == ["call_1", "call_2", "call_3"]


def test_computer_call_that_is_not_on_offer_finds_no_tool() -> None:
    """Nobody is let to the screen by a call that was not asked for."""
    item = {"type": "computer_call", "call_id": "c", "actions": [{"type": "type", "text": "x"}]}
    turn, _ = decode(done(0, **item), ended(), computer=False)
    assert [call.name for call in turn.calls] == ["computer.type"]


def message(text: str, **more: Any) -> Event:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def test_final_answer_is_told_from_commentary() -> None:
    """Where messages say which they are, the last word is the final one."""
    turn, _ = decode(
        done(0, **message("I look.", phase="commentary")), done(1, **message("Done.", phase="final_answer")), ended()
    )
    assert turn.text == "Done."
    turn, _ = decode(done(0, **message("One, ")), done(1, **message("two.")), ended())
    assert turn.text == "One, two."


def test_answer_without_item_events_is_read_from_its_end() -> None:
    """Some servers tell the items only once, in the last event."""
    turn, _ = decode(ended(output=[message("Done.")]))
    assert (turn.text, turn.stop) == ("Done.", "done")


@pytest.mark.parametrize(
    ("details", "stop", "declined"),
    [
        ({"reason": "max_output_tokens"}, "cut", None),
        ({"reason": "content_filter"}, "declined", "content_filter"),
        ({"reason": "steered"}, None, None),
        (None, None, None),
    ],
)
def test_incomplete_answer_asks_for_nothing(details: Any, stop: str | None, declined: str | None) -> None:
    """What its calls would have been is not known; why it ended is."""
    call = done(0, type="function_call", call_id="call_1", name="exec", arguments='{"command":"l')
    turn, _ = decode(call, ended("incomplete", incomplete_details=details))
    assert (turn.stop, turn.declined) == (stop, declined)
    if stop == "cut":
        assert (turn.calls, turn.call_ids) == ([], [])


def test_refusal_is_told_in_its_words() -> None:
    """A refusal stands in a message in place of its text."""
    content = [{"type": "refusal", "refusal": "I will not."}]
    turn, _ = decode(done(0, type="message", role="assistant", content=content), ended())
    assert (turn.stop, turn.declined, turn.text) == ("declined", "I will not.", "")


def test_call_of_a_tool_that_is_never_on_offer_is_not_guessed() -> None:
    """It would have to be answered, and nobody here knows how."""
    turn, _ = decode(done(0, type="shell_call", call_id="c", action={}), ended())
    assert (turn.stop, turn.stop_reason) == (None, "shell_call")


@pytest.mark.parametrize(
    ("code", "error"),
    [("server_error", ProviderError), ("rate_limit_exceeded", RateLimitedError), ("something_new", ProviderError)],
)
def test_failed_answer_is_an_error_that_may_be_asked_again(code: str, error: type[Exception]) -> None:
    """What came of it is no answer; what it used is known."""
    decoder = ResponsesDecoder(frozenset(), computer=True)
    decoder.feed([done(0, **message("Well")), ended("failed", error={"code": code, "message": "m"}, usage=USAGE)])
    with pytest.raises(error) as caught:
        decoder.turn()
    assert not isinstance(caught.value, OverloadedError)
    assert getattr(caught.value, "retryable", None) is True
    assert decoder.usage.output == 20


def test_failure_that_lasts_is_told_as_what_it_is() -> None:
    """A conversation that no longer fits is a budget used up, and a prompt that breaks the rules is declined."""
    for code, error in (("context_length_exceeded", BudgetExceededError), ("invalid_prompt", RefusedError)):
        with pytest.raises(error, match="m") as caught:
            decode(ended("failed", error={"code": code, "message": "m"}))
        assert getattr(caught.value, "retryable", None) is False


def test_answer_without_its_end_is_a_cut_one() -> None:
    """However much has come."""
    with pytest.raises(TruncatedStreamError):
        decode(done(0, **message("Done.")))


@pytest.mark.parametrize(
    "event", [{"type": "response.output_text.delta"}, {"type": "response.output_item.done", "item": {}}]
)
def test_event_that_says_nothing_is_refused(event: Event) -> None:
    """It is no event of this protocol."""
    with pytest.raises(ProtocolError):
        decode(event)


def chunk(delta: Any = None, reason: str | None = None, **more: Any) -> Event:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": reason}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **more}


def decode_chat(*events: Event) -> tuple[Turn, list[Delta]]:
    decoder = ChatDecoder(frozenset({"exec"}))
    told = decoder.feed(events)
    return decoder.turn(), told


def part(index: int | None, call_id: str | None = None, name: str | None = None, arguments: str = "") -> Event:
    call: Event = {"function": {"arguments": arguments}}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call |= {"id": call_id, "type": "function"}
    if name is not None:
        call["function"]["name"] = name
    return {"tool_calls": [call]}


def test_chat_answer_is_put_together() -> None:
    """Texts and arguments come in pieces; ids and names only at first."""
    turn, told = decode_chat(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "I "}),
        chunk({"content": "look."}),
        chunk(part(0, "call_1", "exec", '{"comm')),
        chunk(part(1, "call_2", "exec")),
        chunk(part(0, arguments='and":"ls"}')),
        chunk(part(1, arguments="{}")),
        chunk(reason="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}},
        {"type": "[DONE]"},
    )
    assert turn.items == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "exec", "arguments": '{"command":"ls"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "exec", "arguments": "{}"}},
            ],
        }
    ]
    assert [call.arguments for call in turn.calls] == ['{"command":"ls"}', "{}"]
    assert turn.usage == Usage(input=5, cache_read=4)
    assert told == [Delta("text", "I look."), Delta("arguments", '{"command":"ls"}{}')]


def test_servers_that_speak_almost_like_it_are_understood() -> None:
    """One index for every call, no ids, another word for the end, thoughts under a name of their own, no usage."""
    turn, told = decode_chat(
        chunk({"reasoning_content": "Hm."}),
        chunk(part(0, "a", "exec", "{}")),
        chunk(part(0, "b", "exec", "{}")),
        chunk(reason="stop"),
    )
    assert (turn.stop, turn.thinking, turn.call_ids) == ("act", "Hm.", ["a", "b"])
    assert turn.items[0]["reasoning_content"] == "Hm."
    assert told[0] == Delta("thinking", "Hm.")
    turn, _ = decode_chat(chunk(part(None, "", "exec", "{}")), chunk(reason="tool_calls"))
    assert str(turn.call_ids[0]).startswith("call")
    assert turn.calls[0].provider_call_id == turn.call_ids[0]


@pytest.mark.parametrize(
    ("reason", "stop"), [("length", "cut"), ("content_filter", "declined"), ("function_call", None), ("stop", "done")]
)
def test_chat_answer_that_ended_otherwise_asks_for_nothing(reason: str, stop: str | None) -> None:
    """Its calls are neither run nor sent back."""
    parts = [] if stop == "done" else [chunk(part(0, "call_1", "exec", '{"co'))]
    turn, _ = decode_chat(chunk({"content": "Well"}), *parts, chunk(reason=reason))
    assert (turn.stop, turn.calls) == (stop, [])
    assert turn.items == [{"role": "assistant", "content": "Well"}]


def test_chat_refusal_is_told_in_its_words() -> None:
    """It comes in a field of its own."""
    turn, told = decode_chat(chunk({"refusal": "I will "}), chunk({"refusal": "not."}), chunk(reason="stop"))
    assert (turn.stop, turn.declined, turn.text) == ("declined", "I will not.", "")
    assert told == [Delta("text", "I will not.")]


def test_chat_answer_without_its_end_is_a_cut_one() -> None:
    """However much has come."""
    with pytest.raises(TruncatedStreamError):
        decode_chat(chunk({"content": "Done."}), {"type": "[DONE]"})
