"""The fake's Chat Completions: the vendor's client, the rules of its messages, streams."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

from deskhand.testing import (
    FakeOpenAI,
    FakeTurn,
    ModelView,
    ScriptError,
    action,
    computer_call,
    refusal,
    text,
    thinking,
    tool_use,
)

from .fake_openai_parts import MODEL, Json, data_url, fake, function_tool, post

PATH = "/v1/chat/completions"
CALLS = FakeTurn(
    [thinking("Two commands."), text("I run two."), tool_use("exec", command="ls"), tool_use("exec", command="id")]
)


def tool(**fields: Any) -> Json:
    """A function tool of Chat Completions."""
    made = function_tool(**fields)
    return {"type": made.pop("type"), "function": made}


def say(content: object = "Go.", role: str = "user", **fields: object) -> Json:
    """A message."""
    return {"role": role, "content": content, **fields}


def call(call_id: str = "call_1", name: str = "exec", arguments: str = "{}") -> Json:
    """A tool call of an assistant's message."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*ids: str) -> Json:
    """An assistant's message with tool calls."""
    return say(None, "assistant", tool_calls=[call(call_id) for call_id in ids])


def answer(call_id: str = "call_1", content: object = "done") -> Json:
    """The answer to a tool call."""
    return say(content, "tool", tool_call_id=call_id)


def image(url: str | None = None) -> Json:
    """An image part."""
    return {"type": "image_url", "image_url": {"url": url or data_url(64, 48)}}


def body(*messages: Json, **fields: object) -> Json:
    """A request that keeps all rules."""
    made: Json = {"model": MODEL, "messages": list(messages) or [say()], "tools": [tool()], **fields}
    return {key: value for key, value in made.items() if value is not ...}


async def test_client_gets_calls_and_answers_them() -> None:
    """The typed client reads parallel calls and the last words, and what it read goes back as it is."""
    server = FakeOpenAI([CALLS, FakeTurn("Done.")])
    client = server.client()
    first = await client.chat.completions.create(**body())
    choice = first.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I run two.")
    asked = choice.message.tool_calls or []
    assert [entry.to_dict()["function"] for entry in asked] == [
        {"name": "exec", "arguments": '{"command":"ls"}'},
        {"name": "exec", "arguments": '{"command":"id"}'},
    ]
    replay = [say(), choice.message.to_dict(), *(answer(entry.id) for entry in asked)]
    second = await client.chat.completions.create(**body(*replay))
    assert (second.choices[0].finish_reason, second.choices[0].message.content) == ("stop", "Done.")
    assert first.usage is not None
    assert first.usage.completion_tokens_details is not None
    assert first.usage.completion_tokens_details.reasoning_tokens == 4
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens


async def test_stream_is_the_same_completion() -> None:
    """Chunks add up to the completion: ids and names come once, arguments in pieces, usage where it is asked for."""
    server = FakeOpenAI(lambda _: CALLS)
    client = server.client()
    plain = await client.chat.completions.create(**body())
    async with client.chat.completions.stream(**body(stream_options={"include_usage": True})) as stream:
        kinds = [event.type async for event in stream]
        whole = await stream.get_final_completion()
    assert whole.choices[0].message.content == plain.choices[0].message.content
    told = [entry.function.arguments for entry in whole.choices[0].message.tool_calls or []]
    assert told == ['{"command":"ls"}', '{"command":"id"}']
    assert whole.usage == plain.usage
    assert "tool_calls.function.arguments.done" in kinds
    raw: Any = await client.chat.completions.create(**body(stream=True))
    chunks = [chunk async for chunk in raw]
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert sum(1 for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or [] if delta.id) == 2


class Weather(BaseModel):
    """What a parsed answer holds."""

    umbrella: bool


async def test_parse_reads_structured_answers() -> None:
    """``chat.completions.parse`` of the typed client passes, with its strict schema."""
    client = FakeOpenAI([FakeTurn('{"umbrella": true}'), FakeTurn([refusal("No.")])]).client()
    parsed = await client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "?"}], response_format=Weather
    )
    assert parsed.choices[0].message.parsed == Weather(umbrella=True)
    refused = await client.chat.completions.create(**body())
    assert (refused.choices[0].message.refusal, refused.choices[0].message.content) == ("No.", None)


async def test_function_sees_the_conversation_as_of_the_other_endpoint() -> None:
    """A script function gets words, results and the frame of a user message behind the tool's answers."""
    seen: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        seen.append(view)
        return FakeTurn("Done.")

    messages = [say("Be brief.", "system"), say(), calls("call_1"), answer(content="out"), say([image()])]
    await FakeOpenAI(play).client().chat.completions.create(**body(*messages))
    view = seen[0]
    assert (view.system, view.turn, view.text, set(view.tools)) == ("Be brief.", 1, "", {"exec"})
    assert [(entry.tool_use_id, entry.name, entry.text) for entry in view.results] == [("call_1", "exec", "out")]
    assert (view.frame and view.frame.size, view.members, len(view.messages)) == ((64, 48), frozenset(), 5)


@pytest.mark.parametrize(
    ("request_body", "status", "param", "told"),
    [
        (body(calls("call_1")), 400, "messages.[0].role", "must be followed by tool messages"),
        (body(calls("call_1", "call_2"), answer("call_1"), say()), 400, "messages.[2].role", "call_2"),
        (body(answer()), 400, "messages.[0].role", "must be a response to a preceding message"),
        (body(calls("call_1"), answer("call_9")), 400, "messages.[1].role", "must be a response"),
        (body(calls("call_1"), answer(), answer()), 400, "messages.[2].tool_call_id", "Duplicate value"),
        (body(calls("call_1", "call_1"), answer()), 400, "messages.[0].tool_calls", "Duplicate value"),
        (body(calls("call_1"), answer(content=[image()])), 400, "messages[1]", "only allowed for messages with role"),
        (body(say([image()], "system")), 400, "messages[0]", "role 'system'"),
        (body(say(None, "assistant")), 400, "messages.[0].content", "expected a string, got null"),
        (body(say("Go.", "robot")), 400, "messages[0]", "Supported values are"),
        (
            body(say([{"type": "input_text", "text": "x"}])),
            400,
            "messages[0].content[0]",
            "Invalid value: 'input_text'",
        ),
        (body(say([image("data:image/png;base64,AAAA")])), 400, "messages[0].content[0].image_url", "valid image"),
        (body(say([image("https://example.org/x.png")])), 400, "messages[0].content[0].image_url", "base64-encoded"),
        (body(tools=[tool(additionalProperties=True)]), 400, "tools[0].function.parameters", "additionalProperties"),
        (body(tools=[function_tool()]), 400, "tools[0].function", "Missing required parameter"),
        (body(tools=[tool(), tool()]), 400, "tools", "Duplicate tool"),
        (body(tools=..., tool_choice="auto"), 400, "tool_choice", "only allowed when 'tools'"),
        (body(tools=..., parallel_tool_calls=False), 400, "parallel_tool_calls", "only allowed when 'tools'"),
        (body(tool_choice={"type": "function", "function": {"name": "fly"}}), 400, "tool_choice", "'fly' not found"),
        (body(max_tokens=100), 400, "max_tokens", "Use 'max_completion_tokens' instead"),
        (body(temperature=0.5), 400, "temperature", "does not support 0.5"),
        (body(stop=["x"]), 400, "stop", "not supported with this model"),
        (body(reasoning_effort="low", model="gpt-4.1"), 400, "reasoning_effort", "not supported"),
        (body(stream_options={"include_usage": True}), 400, "stream_options", "only allowed when 'stream'"),
        (body(model="gpt-0"), 404, None, "does not exist"),
        (body(model="gpt-5.5-pro"), 404, "model", "only supported in v1/responses"),
        (body(input="x"), 400, "input", "Unknown parameter: 'input'"),
        (body(messages=[]), 400, "messages", "at least 1"),
        (
            body(
                response_format={
                    "type": "json_schema",
                    "json_schema": {
                        "name": "x",
                        "strict": True,
                        "schema": {
                            "type": "object",
                            "properties": {"a": {"type": "string"}},
                            "additionalProperties": False,
                        },
                    },
                }
            ),
            400,
            "response_format",
            "Missing 'a'",
        ),
    ],
)
async def test_broken_rule_is_refused(request_body: Json, status: int, param: str | None, told: str) -> None:
    """Each rule, broken once, is refused with the place and the vendor's words."""
    got, answered = await post(fake(), request_body, path=PATH)
    error = answered.get("error", {})
    assert (got, error.get("param"), error.get("type")) == (status, param, "invalid_request_error"), error
    assert told in error["message"]


@pytest.mark.parametrize(
    "request_body",
    [
        body(calls("call_1", "call_2"), answer("call_2"), answer("call_1"), say([image()])),
        body(say("x", "assistant", annotations=[], audio=None, function_call=None), say()),
        body(tool_choice={"type": "function", "function": {"name": "exec"}}, tools=[tool(strict=False)]),
        body(model="gpt-4.1", temperature=0.2, max_tokens=10, stop="x"),
        body(say([{"type": "text", "text": "x"}], "developer"), say()),
    ],
)
async def test_kept_rule_is_let_pass(request_body: Json) -> None:
    """What the API takes is taken."""
    server = FakeOpenAI(lambda _: FakeTurn([tool_use("exec", command="ls")]))
    status, answered = await post(server, request_body, path=PATH)
    assert status == 200, answered


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (FakeTurn([text("Cut")], "max_tokens"), "length"),
        (FakeTurn([text("Cut")], "content_filter"), "content_filter"),
        (FakeTurn([tool_use("exec", command="ls")]), "tool_calls"),
    ],
)
async def test_completion_ends_as_the_script_says(turn: FakeTurn, reason: str) -> None:
    """The finish reason is the vendor's word for how the script's turn ends."""
    completion = await FakeOpenAI([turn]).client().chat.completions.create(**body())
    assert completion.choices[0].finish_reason == reason


@pytest.mark.parametrize("turn", [FakeTurn([computer_call(action("wait"))]), FakeTurn([], "failed")])
async def test_script_that_the_endpoint_cannot_play_is_told(turn: FakeTurn) -> None:
    """Computer calls and failed responses are of the other endpoint: the script is wrong, and the test hears of it."""
    server = FakeOpenAI([turn])
    with pytest.raises(openai.InternalServerError):
        await server.client().chat.completions.create(**body())
    with pytest.raises(ScriptError):
        server.raise_script_errors()


async def test_stream_breaks_as_planned() -> None:
    """An error in the middle of a stream is the vendor's client's APIError; a cut stream is a lost connection."""
    server = fake()
    server.stream_error(chat=True, message="Overloaded.")
    server.cut(after=200)
    for expected in (openai.APIError, openai.APIConnectionError):
        stream: Any = await server.client().chat.completions.create(**body(stream=True))
        with pytest.raises(expected):
            async for _ in stream:
                pass
    assert server.played == 0
