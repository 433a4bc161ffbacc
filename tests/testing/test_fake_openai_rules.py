"""Every rule of the fake of OpenAI's Responses API, broken once and kept once."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand.testing import FakeOpenAI, FakeTurn, action, computer_call, text, thinking, tool_use

from .fake_openai_parts import (
    COMPUTER,
    Json,
    acted,
    answered,
    called,
    data_url,
    fake,
    function_tool,
    input_image,
    post,
    request,
    shot,
    user,
)
from .spoiling import spoiled

PREVIEW: Json = {
    "type": "computer_use_preview",
    "display_width": 1280,
    "display_height": 800,
    "environment": "linux",
}
OLD: Json = {"model": "computer-use-preview", "tools": [PREVIEW], "truncation": "auto"}
CHECKED = acted("call_1", checks=["check_1", "check_2"])


def acknowledged(*ids: str) -> Json:
    """The answer to the checked call, with these checks acknowledged."""
    return shot(acknowledged_safety_checks=[{"id": check} for check in ids])


def without(item: Json, *path: str | int) -> Json:
    """An item without one of its fields."""
    changed: Any = copy.deepcopy(item)
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return dict(changed)


def tool(**schema: Any) -> Json:
    """A request with a strict function tool whose schema is changed."""
    return request(tools=[function_tool(**schema)])


def acts(**fields: object) -> Json:
    """A request with a computer call of one action, answered."""
    return request(acted("call_1", dict(fields)), shot())


BROKEN: dict[str, tuple[Json, str | None, str | None, str]] = {
    "call unanswered": (request(called()), "input", None, "No tool output found for function call call_1"),
    "computer call unanswered": (request(acted()), "input", None, "No tool output found for computer call call_1"),
    "answer without a call": (request(answered()), "input", None, "No tool call found for function call output"),
    "answer before its call": (request(answered(), called()), "input", None, "No tool call found"),
    "answered twice": (request(called(), answered(), answered()), "input", None, "Duplicate tool output"),
    "answer of another kind": (request(acted(), answered()), "input", None, "No tool call found"),
    "call id twice": (request(called(), called(), answered()), "input[1]", "invalid_value", "Duplicate call_id"),
    "check not acknowledged": (
        request(CHECKED, acknowledged("check_1")),
        "input",
        None,
        "Computer tool has unacknowledged safety check for ['check_2']",
    ),
    "no check acknowledged": (request(CHECKED, shot()), "input", None, "for ['check_1', 'check_2']"),
    "check made up": (request(acted(), acknowledged("check_9")), "input", None, "no pending safety check"),
    "check acknowledged twice": (
        request(CHECKED, acknowledged("check_1", "check_2", "check_2")),
        "input",
        None,
        "no pending safety check for ['check_2']",
    ),
    "nothing acknowledged, and told so": (
        request(acted(), shot(acknowledged_safety_checks=None)),
        "input",
        None,
        'is not supported for the "computer" tool',
    ),
    "reasoning with a status": (
        request({"type": "reasoning", "summary": [], "status": "completed"}),
        "input[0].status",
        "unknown_parameter",
        "input[0].status",
    ),
    "image is none": (
        request(acted(), shot(url="data:image/png;base64,AAAA")),
        "input[1].output.image_url",
        "invalid_image",
        "does not represent a valid image",
    ),
    "image is cut": (
        request(acted(), shot(url=data_url()[:-400])),
        "input[1].output.image_url",
        "invalid_image",
        "valid image",
    ),
    "image of another type": (
        request(acted(), shot(url=data_url(kind="JPEG", media_type="image/png"))),
        "input[1].output.image_url",
        "invalid_image_format",
        "image/jpeg",
    ),
    "image no base64": (
        request(user(input_image("data:image/png;base64,%%%"))),
        "input[0].content[0].image_url",
        "invalid_base64_image",
        "base64",
    ),
    "image empty": (
        request(user(input_image("data:image/png;base64,"))),
        "input[0].content[0].image_url",
        "empty_image_file",
        "empty",
    ),
    "image elsewhere": (
        request(user(input_image("https://example.org/x.png"))),
        "input[0].content[0].image_url",
        "invalid_value",
        "base64-encoded data URL",
    ),
    "image missing": (
        request(acted(), without(shot(), "output", "image_url")),
        "input[1].output",
        "missing_required_parameter",
        "image_url",
    ),
    "detail of another model": (
        request(called(), answered(output=[input_image(detail="original")]), model="gpt-5.2", tools=[]),
        "input[1].output[0].detail",
        "invalid_value",
        "Supported values are: 'low', 'high', and 'auto'",
    ),
    "preview tool for a newer model": (request(tools=[PREVIEW]), "tools", None, "Use the tool 'computer' instead"),
    "computer tool for the preview model": (
        request(**{**OLD, "tools": [COMPUTER]}),
        "tools",
        None,
        "Use the tool 'computer_use_preview' instead",
    ),
    "computer tool for a model without": (request(model="gpt-5.2"), "tools", None, "not supported with gpt-5.2."),
    "preview tool without its size": (
        request(**{**OLD, "tools": [without(PREVIEW, "display_width")]}),
        "tools[0].display_width",
        "missing_required_parameter",
        "display_width",
    ),
    "newer tool with a size": (
        request(tools=[{**COMPUTER, "display_width": 1280}]),
        "tools[0].display_width",
        "unknown_parameter",
        "Unknown parameter",
    ),
    "preview without truncation": (request(**without(OLD, "truncation")), "truncation", "invalid_value", "'auto'"),
    "actions for the preview model": (
        request(acted(), shot(), **OLD),
        "input[0].action",
        "missing_required_parameter",
        "action",
    ),
    "no actions": (request(without(acted(), "actions"), shot()), "input[0]", None, "exactly one of"),
    "click without a button": (
        acts(type="click", x=1, y=2),
        "input[0].actions[0].button",
        "missing_required_parameter",
        "button",
    ),
    "click between pixels": (
        acts(type="click", button="left", x=1.5, y=2),
        "input[0].actions[0].x",
        "invalid_type",
        "expected an integer",
    ),
    "unknown action": (acts(type="zoom"), "input[0].actions[0]", "invalid_value", "Invalid value: 'zoom'"),
    "function twice": (request(tools=[function_tool(), function_tool()]), "tools", "invalid_value", "Duplicate tool"),
    "function name": (request(tools=[function_tool("a b")]), "tools[0].name", "invalid_value", "pattern"),
    "schema not of an object": (
        tool(type="array"),
        "tools[0].parameters",
        "invalid_function_parameters",
        "got 'type: \"array\"'",
    ),
    "schema open": (
        tool(additionalProperties=True),
        "tools[0].parameters",
        "invalid_function_parameters",
        "to be false",
    ),
    "schema with an optional property": (
        tool(required=[]),
        "tools[0].parameters",
        "invalid_function_parameters",
        "Missing 'command'",
    ),
    "schema requires too much": (
        tool(required=["command", "x"]),
        "tools[0].parameters",
        "invalid_function_parameters",
        "Extra required key 'x'",
    ),
    "schema with a foreign keyword": (
        tool(properties={"command": {"type": "string", "minLength": 1}}),
        "tools[0].parameters",
        "invalid_function_parameters",
        "('properties', 'command'), 'minLength' is not permitted",
    ),
    "schema without a type": (
        tool(properties={"command": {}}),
        "tools[0].parameters",
        "invalid_function_parameters",
        "must have a 'type' key",
    ),
    "schema array of nothing": (
        tool(properties={"command": {"type": "array"}}),
        "tools[0].parameters",
        "invalid_function_parameters",
        "array schema missing items",
    ),
    "forced tool not there": (
        request(tool_choice={"type": "function", "name": "fly"}),
        "tool_choice",
        None,
        "'fly' not found",
    ),
    "forced computer not there": (
        request(tools=[function_tool()], tool_choice={"type": "computer"}),
        "tool_choice",
        None,
        "'computer' not found",
    ),
    "required without tools": (request(tools=[], tool_choice="required"), "tool_choice", None, "'tools'"),
    "choice made up": (request(tool_choice="any"), "tool_choice", "invalid_value", "'any'"),
    "reasoning without its item": (
        request({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAAx"}, user("Go.")),
        "input[0]",
        "invalid_encrypted_content",
        "could not be verified",
    ),
    "answer not known": (
        request(previous_response_id="resp_1"),
        "previous_response_id",
        "previous_response_not_found",
        "'resp_1' not found",
    ),
    "two ways to go on": (
        request(previous_response_id="resp_1", conversation="conv_1"),
        "conversation",
        None,
        "Mutually exclusive",
    ),
    "nothing asked": (request(input=...), "input", "missing_required_parameter", "input"),
    "model unknown": (request(model="gpt-0"), "model", "model_not_found", "'gpt-0' does not exist"),
    "model missing": (request(model=...), "model", "missing_required_parameter", "Missing required parameter: 'model'"),
    "parameter unknown": (request(messages=[]), "messages", "unknown_parameter", "Unknown parameter: 'messages'"),
    "part of the other endpoint": (
        request({"role": "user", "content": [{"type": "text", "text": "x"}]}),
        "input[0].content[0]",
        "invalid_value",
        "Invalid value: 'text'",
    ),
    "field of the SDK alone": (
        request({**called(), "parsed_arguments": None}, answered()),
        "input[0].parsed_arguments",
        "unknown_parameter",
        "parsed_arguments",
    ),
    "sampling of a reasoning model": (request(temperature=0.2), "temperature", "unsupported_parameter", "temperature"),
    "reasoning of a model without": (
        request(model="gpt-4.1", tools=[], reasoning={"effort": "low"}),
        "reasoning.effort",
        "unsupported_parameter",
        "reasoning.effort",
    ),
    "too few tokens": (request(max_output_tokens=1), "max_output_tokens", "invalid_value", "16"),
    "too many tokens": (request(max_output_tokens=10**6), "max_output_tokens", "invalid_value", "supports at most"),
    "format not strict": (
        request(text={"format": {"type": "json_schema", "name": "x", "strict": True, "schema": {"type": "object"}}}),
        "text.format",
        "invalid_json_schema",
        "response_format 'x'",
    ),
    "reference to nothing": (request({"type": "item_reference", "id": "msg_1"}), "input", None, "'msg_1' not found"),
}


@pytest.mark.parametrize(("body", "param", "code", "told"), BROKEN.values(), ids=BROKEN)
async def test_broken_rule_is_refused(body: Json, param: str | None, code: str | None, told: str) -> None:
    """Each rule, broken once, is a 400 with the place, the code and the vendor's words; nothing is played."""
    server = fake()
    status, answer = await post(server, body)
    error = answer.get("error", {})
    assert (status, error.get("param"), error.get("code")) == (400, param, code), error
    assert error["type"] == "invalid_request_error"
    assert told in error["message"]
    assert server.played == 0


KEPT: dict[str, Json] = {
    "plain": request(),
    "a string": request(input="Go."),
    "answers in any order": request(called("a"), acted("b"), shot("b"), answered("a")),
    "text and image of a function": request(
        called(), answered(output=[{"type": "input_text", "text": "x"}, input_image(detail="original")])
    ),
    "screenshot in full": request(acted(), shot(output={**shot()["output"], "detail": "original"})),
    "checks acknowledged": request(CHECKED, acknowledged("check_2", "check_1")),
    "every action": request(
        acted(
            "call_1",
            action("click", x=1, y=2, keys=["SHIFT"]),
            action("double_click", x=1, y=2),
            action("drag", path=[{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
            action("keypress", keys=["CTRL", "s"]),
            action("move", x=1, y=2),
            action("screenshot"),
            action("scroll", x=1, y=2, scroll_y=-120),
            action("type", text="ü"),
            action("wait"),
        ),
        shot(),
    ),
    "preview": request({**without(acted(), "actions"), "action": {"type": "wait"}}, shot(), **OLD),
    "formats": request(user(*(input_image(data_url(kind=kind)) for kind in ("PNG", "JPEG", "GIF", "WEBP")))),
    "loose schema": request(tools=[function_tool(strict=False, required=[], additionalProperties=True)]),
    "nullable": tool(properties={"command": {"type": ["string", "null"], "enum": ["a", None], "maxItems": 2}}),
    "nested": tool(
        properties={"command": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}},
        **{"$defs": {"x": {"type": "array", "items": {"type": "integer", "minimum": 1}}}},
    ),
    "allowed tools": request(
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "exec"}]}
    ),
    "many options": request(
        instructions="Be brief.",
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        parallel_tool_calls=False,
        prompt_cache_key="x",
        truncation="auto",
        max_output_tokens=2000,
        metadata={"a": "b"},
        service_tier="auto",
        text={"verbosity": "low"},
        user="u",
    ),
    "assistant": request(user("Go."), {"role": "assistant", "content": "Gone."}, user("On.")),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
async def test_kept_rule_is_let_pass(body: Json) -> None:
    """What the API takes is taken."""
    status, answer = await post(fake(), body)
    assert status == 200, answer


async def test_headers_and_bodies_are_checked() -> None:
    """A missing key, a wrong one, another path or method, broken and oversized bodies have the vendor's statuses."""
    server = fake()
    for fields, status, code, told in (
        ({"headers": {"authorization": ""}}, 401, None, "You didn't provide an API key"),
        ({"headers": {"authorization": "Bearer sk-wrong-0123456789"}}, 401, "invalid_api_key", "sk-***6789"),
        ({"path": "/v1/answers"}, 404, None, "Invalid URL (POST /v1/answers)"),
        ({"method": "GET"}, 405, "method_not_supported", "Not allowed to GET"),
        ({"body": b"{"}, 400, None, "could not parse"),
        ({"body": b"[]"}, 400, "invalid_type", "an object"),
        ({"body": b" " * (server.MAX_BODY + 1)}, 413, None, "too large"),
    ):
        given: Json = {"body": request(), **fields}
        got, answer = await post(server, given.pop("body"), **given)
        assert (got, answer["error"]["code"]) == (status, code)
        assert told in answer["error"]["message"]
        assert answer["error"]["type"] == "invalid_request_error"
    assert all("sk-" not in str(kept.headers) for kept in server.requests)


async def test_too_many_images_are_refused() -> None:
    """The images of a request are counted, wherever they stand."""
    server = FakeOpenAI(lambda _: FakeTurn("Done."), max_images=2)
    url = data_url(32, 32)
    items = [user(input_image(url)), acted(), shot(url=url)]
    assert (await post(server, request(*items)))[0] == 200
    status, answer = await post(server, request(*items, user(input_image(url))))
    assert (status, answer["error"]["param"]) == (400, "input")
    assert "Too many images in request: 3. The maximum is 2." in answer["error"]["message"]


async def test_detail_of_a_screenshot_can_be_unknown() -> None:
    """An API that does not know the field there refuses it, so that a loop can be seen to leave it out."""
    server = FakeOpenAI(lambda _: FakeTurn("Done."), screenshot_detail=False)
    screenshot = shot(output={**shot()["output"], "detail": "original"})
    status, answer = await post(server, request(acted(), screenshot))
    assert (status, answer["error"]["code"]) == (400, "unknown_parameter")
    assert answer["error"]["param"] == "input[1].output.detail"
    assert (await post(server, request(acted(), shot())))[0] == 200


async def played(turn: FakeTurn, **fields: object) -> tuple[FakeOpenAI, list[Json]]:
    """Plays one turn, and returns the fake with the items that it gave."""
    server = FakeOpenAI(lambda view: turn if view.turn == 0 else FakeTurn("Done."))
    status, answer = await post(server, request(**fields))
    assert status == 200, answer
    return server, answer["output"]


THOUGHT = FakeTurn([thinking("Hm."), text("I look."), thinking("So."), tool_use("exec", command="ls")])


async def test_reasoning_comes_back_whole_and_with_what_followed_it() -> None:
    """Encrypted reasoning is replayed as it is, before the item it belongs to; all else is the vendor's 400 or 404."""
    server, output = await played(THOUGHT)
    first, message, second, call = output
    done = answered(call["call_id"])

    async def error(*items: Json) -> str:
        status, answer = await post(server, request(user("Go."), *items))
        return "" if status == 200 else f"{status} {answer['error']['message']}"

    assert await error(*output, done) == ""
    assert await error(message, call, done) == ""  # what a stateless caller leaves out, nobody misses
    assert "without its required following item" in await error(first, second, call, done)
    assert "without its required following item" in await error(first, call, done)
    assert "without its required following item" in await error(message, second, user("x"), call, done)
    assert "without its required following item" in await error(message, second)
    changed = {**first, "encrypted_content": first["encrypted_content"][:-6] + "AAAAAA"}
    assert "could not be verified" in await error(changed, message, second, call, done)
    swapped = {**first, "encrypted_content": second["encrypted_content"]}
    assert "belongs to another item" in await error(swapped, message, second, call, done)
    bare = without(first, "encrypted_content")
    assert (await error(bare, message, second, call, done)).startswith("404 Item with id")
    assert "Duplicate item found" in await error(*output, done, *output)


async def test_what_the_model_said_comes_back_unchanged() -> None:
    """An item that was edited under its id is refused; without its id it is the caller's own."""
    server, output = await played(FakeTurn([text("I look."), computer_call(action("click", x=1, y=2))]))
    message, call = output
    screenshot = shot(call["call_id"])
    edited = copy.deepcopy(call)
    edited["actions"][0]["x"] = 9
    status, answer = await post(server, request(user("Go."), message, edited, screenshot))
    assert (status, answer["error"]["code"]) == (400, "invalid_value")
    assert "differs from the item that was returned" in answer["error"]["message"]
    edited.pop("id")
    assert (await post(server, request(user("Go."), message, edited, screenshot)))[0] == 200
    assert (await post(server, request(user("Go."), message, call, screenshot)))[0] == 200


async def test_stored_items_stand_for_themselves() -> None:
    """Where the server keeps an answer, references and bare reasoning are resolved, and none may be left out."""
    server, output = await played(THOUGHT, store=True)
    call = output[-1]
    done = answered(call["call_id"])
    references = [{"type": "item_reference", "id": item["id"]} for item in output]
    assert (await post(server, request(user("Go."), *references, done)))[0] == 200
    bare = [without(item, "encrypted_content") if item["type"] == "reasoning" else item for item in output]
    assert (await post(server, request(user("Go."), *bare, done)))[0] == 200
    status, answer = await post(server, request(user("Go."), *output[:2], call, done))
    assert status == 400
    assert f"without its required 'reasoning' item: '{output[2]['id']}'" in answer["error"]["message"]


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "auto",
        "message",
        "\ud800",
        [],
        {},
        [None],
        [[]],
        ["x"],
        {"type": "x"},
        {"type": None},
    ]
) | st.sampled_from([data_url(32, 32), {"type": "function"}, {"role": "assistant"}, {"id": "rs_1"}, COMPUTER])
CHAT: Json = {
    "model": "gpt-5.5",
    "messages": [
        {"role": "system", "content": "x"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url(32, 32), "detail": "low"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
}
SAMPLES: list[Json] = [*KEPT.values(), request(CHECKED, acknowledged("check_1", "check_2")), CHAT]


@settings(max_examples=300, deadline=None)
@given(spoiled(SAMPLES, JUNK))
async def test_fake_answers_whatever_it_is_sent(body: Any) -> None:
    """A request with anything at all in any place gets an answer of the API, never a crash of the fake."""
    for path in ("/v1/responses", "/v1/responses/input_tokens", "/v1/chat/completions"):
        server = FakeOpenAI(lambda view: FakeTurn([tool_use("f")] if view.tools else "Done."))
        raw = json.dumps({**body, "stream": False}).encode()
        status, answer = await post(server, raw, path=path)
        assert status in {200, 400, 404}, answer
        if status != 200:
            assert answer["error"]["type"] == "invalid_request_error"
            assert answer["error"]["message"]
