"""Every rule of the fake, broken once and kept once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand.testing.models import TOOLSET_MEMBERS, FakeAnthropic, FakeTurn, ModelView, member

from .fake_anthropic_parts import (
    HALTED,
    Json,
    assistant,
    batch,
    call,
    fake,
    function_call,
    function_result,
    function_tool,
    image,
    post,
    request,
    result,
    user,
    words,
)
from .spoiling import spoiled

TOOLSET: Json = {"type": "computer_toolset_20260801"}
MARK: Json = {"type": "ephemeral"}
OLD_TOOL: Json = {
    "type": "computer_20251124",
    "name": "computer",
    "display_width_px": 1280,
    "display_height_px": 800,
}
OLD_BETA = "computer-use-2025-11-24"
SCHEMA: Json = {"type": "object", "properties": {}}


def ok(*content: Json) -> Json:
    """An answered batch of one call."""
    return batch(result("toolu_1", *content), calls=[call("toolu_1")])


def tools(*entries: Json, **fields: object) -> Json:
    """A request with these tools."""
    return request(**{"tools": list(entries), **fields})


def marked(count: int) -> Json:
    """A request with this many cache breakpoints."""
    return request(user(*[{**words(f"part {n}"), "cache_control": MARK} for n in range(count)]))


def many(count: int, width: int, height: int) -> Json:
    """A request with this many images of one size."""
    return request(user(words("Look."), *[image(width, height)] * count))


REFUSED: dict[str, tuple[Json, str]] = {
    "an unknown field": (request(flavour=1), "flavour: Extra inputs are not permitted"),
    "no max_tokens": (request(max_tokens=None), "max_tokens: Field required"),
    "max_tokens over the model's": (request(max_tokens=900_000), "maximum allowed number of output tokens"),
    "no messages": ({**request(), "messages": []}, "at least one message"),
    "an assistant first": (request(assistant(words("hi"))), 'first message must use the "user" role'),
    "an unknown role": (request({"role": "tool", "content": "x"}), "messages.0.role"),
    "an assistant last": (request(user(words("a")), assistant(words("b"))), "does not support assistant message pre"),
    "empty content": (request(user(), assistant(words("b")), user(words("c"))), "non-empty content"),
    "empty text": (request(user(words(""))), "text content blocks must be non-empty"),
    "text of blanks": (request(user(words("\n "))), "text content blocks must contain non-whitespace text"),
    "an empty system block": (request(system=[words("")]), "system: text content blocks must be non-empty"),
    "a call by the user": (request(user(call("toolu_1"))), "can only be in `assistant` messages"),
    "an image by the assistant": (request(user(words("a")), assistant(image()), user(words("b"))), "can only be in"),
    "an unanswered call": (batch(words("well"), calls=[call("toolu_1")]), "without `tool_result` blocks immediately"),
    "one unanswered of two": (
        batch(result("toolu_1"), calls=[call("toolu_1"), call("toolu_2")]),
        "immediately after: toolu_2",
    ),
    "an answer to nothing": (batch(result("toolu_9"), calls=[call("toolu_1")]), "unexpected `tool_use_id` found"),
    "a call answered twice": (
        batch(result("toolu_1"), result("toolu_1"), calls=[call("toolu_1")]),
        "each tool_use must have a single result",
    ),
    "answers out of order": (
        batch(result("toolu_2"), result("toolu_1"), calls=[call("toolu_1"), call("toolu_2")]),
        "must be in the order",
    ),
    "words before answers": (
        batch(words("so"), result("toolu_1"), calls=[call("toolu_1")]),
        "must come before other content",
    ),
    "a repeated call id": (
        request(
            user(words("a")),
            assistant(call("toolu_1")),
            user(result("toolu_1")),
            assistant(call("toolu_1")),
            user(result("toolu_1")),
        ),
        "ids must be unique",
    ),
    "no toolset_name": (
        batch({k: v for k, v in result("toolu_1").items() if k != "toolset_name"}, calls=[call("toolu_1")]),
        "must match the toolset_name",
    ),
    "a wrong toolset_name": (
        batch(result("toolu_1", toolset_name="browser"), calls=[call("toolu_1")]),
        "must match the toolset_name",
    ),
    "a toolset_name on a function": (
        batch(result("toolu_1"), calls=[function_call("toolu_1")]),
        "must match the toolset_name",
    ),
    "a toolset that is not offered": (
        {**ok(words("x")), "tools": [function_tool()]},
        "does not name a toolset of this request",
    ),
    "an error with an image": (
        batch(result("toolu_1", words("x"), image(), is_error=True), calls=[call("toolu_1")]),
        'must be type "text" if is_error',
    ),
    "an error without text": (
        batch(result("toolu_1", is_error=True), calls=[call("toolu_1")]),
        "content cannot be empty if `is_error`",
    ),
    "an error of blanks": (
        batch(result("toolu_1", words("  "), is_error=True), calls=[call("toolu_1")]),
        "content cannot be empty if `is_error`",
    ),
    "a document in an answer": (ok({"type": "document", "source": {}}), "does not match any of the expected tags"),
    "success after a failure": (
        batch(result("toolu_1", words("no"), is_error=True), result("toolu_2"), result("toolu_3")),
        "follows a failed computer action",
    ),
    "another halt text": (
        batch(
            result("toolu_1", words("no"), is_error=True),
            result("toolu_2", words("Skipped."), is_error=True),
            result("toolu_3", words(HALTED), is_error=True),
        ),
        "follows a failed computer action",
    ),
    "bytes that are no image": (
        ok({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}),
        "Could not process image",
    ),
    "text that is no base64": (
        ok({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "%%%"}}),
        "valid base64",
    ),
    "another media type": (ok(image(64, 64, "PNG", "image/jpeg")), "appears to be a image/png image"),
    "an edge over 2576": (ok(image(2600, 100)), "largest size that fits is 2576x99"),
    "tokens over 4784": (ok(image(2560, 1600)), "exceeds the maximum image size"),
    "a strict image over the size": (
        request(user({**image(2600, 100), "transformations": {"oversized_image": "error"}})),
        "exceeds the maximum image size",
    ),
    "a side over 2000 among 21 images": (many(21, 2001, 20), "many-image requests: 2000 pixels"),
    "a side over 8000": (many(1, 8001, 8), "exceed max allowed size: 8000"),
    "five cache breakpoints": (marked(5), "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    "four breakpoints and an automatic one": ({**marked(4), "cache_control": MARK}, "Found 5"),
    "an hour after five minutes": (
        request(
            user({**words("a"), "cache_control": MARK}, {**words("b"), "cache_control": {**MARK, "ttl": "1h"}}),
        ),
        "must not come after",
    ),
    "a display size on the toolset": (tools({**TOOLSET, "display_width_px": 1280}), "Extra inputs are not permitted"),
    "a name on the toolset": (tools({**TOOLSET, "name": "computer"}), "Extra inputs are not permitted"),
    "enable_zoom on the toolset": (tools({**TOOLSET, "enable_zoom": True}), "Extra inputs are not permitted"),
    "defer_loading on the toolset": (tools({**TOOLSET, "defer_loading": True}), "Extra inputs are not permitted"),
    "two toolsets": (tools(TOOLSET, TOOLSET), "only one computer_toolset_20260801"),
    "a tool named computer": (tools(TOOLSET, function_tool("computer")), "a tool named 'computer'"),
    "an unknown member": (tools({**TOOLSET, "configs": {"fly": {"enabled": True}}}), "configs.fly"),
    "no member at all": (
        tools({**TOOLSET, "configs": {name: {"enabled": False} for name in TOOLSET_MEMBERS}}),
        "at least one member must be enabled",
    ),
    "members deferred unlike": (tools({**TOOLSET, "configs": {"zoom": {"defer_loading": True}}}), "same value"),
    "a choice of the toolset": (
        {**tools(TOOLSET), "model": "claude-haiku-5-5", "tool_choice": {"type": "tool", "name": "computer"}},
        "cannot name the toolset",
    ),
    "a choice of an unknown tool": (
        {**tools(function_tool()), "model": "claude-haiku-5-5", "tool_choice": {"type": "tool", "name": "other"}},
        "not found in provided tools",
    ),
    "a forced choice": (request(tool_choice={"type": "any"}), "does not support tool_choice of type 'any'"),
    "a choice without tools": (request(tools=None, tool_choice={"type": "auto"}), "only be specified while"),
    "two tools of one name": (tools(function_tool(), function_tool()), "Tool names must be unique"),
    "a tool name with a space": (tools(function_tool("my tool")), "String should match pattern"),
    "an unknown tool type": (tools({"type": "hammer_2026", "name": "x"}), "expected tags"),
    "a schema that is no object": (tools(function_tool(input_schema={"type": "string"})), "Input should be 'object'"),
    "a schema of alternatives": (tools(function_tool(input_schema={**SCHEMA, "anyOf": []})), "at the top level"),
    "a schema of an unknown type": (
        tools(function_tool(input_schema={**SCHEMA, "properties": {"a": {"type": "str"}}})),
        "JSON schema is invalid",
    ),
    "a schema with a bad key": (
        tools(function_tool(input_schema={**SCHEMA, "properties": {"a b": {"type": "string"}}})),
        "Property keys should match",
    ),
    "an open strict schema": (tools(function_tool(strict=True)), "'additionalProperties' must be"),
    "thinking switched off": (request(thinking={"type": "disabled"}), "'disabled' is not supported"),
    "a thinking budget": (request(thinking={"type": "enabled", "budget_tokens": 2000}), "'enabled' is not supported"),
    "a temperature": (request(temperature=0.5), "`temperature` is deprecated"),
    "block binding without its beta": (
        request(thinking={"type": "adaptive", "block_binding": {}}),
        "Extra inputs are not permitted",
    ),
    "a thread without its beta": (request(thread={"type": "create"}), "thread: Extra inputs are not permitted"),
    "context management without its beta": (request(context_management={"edits": []}), "context_management: Extra"),
}
ACCEPTED: dict[str, Json] = {
    "a plain request": request(),
    "content as a string": request({"role": "user", "content": "Open the editor."}),
    "neighbouring user messages": request(user(words("a")), user(words("b"))),
    "a system message later": request(user(words("a")), {"role": "system", "content": "Hurry."}),
    "an answered batch": batch(result("toolu_1", words("ok")), result("toolu_2"), result("toolu_3", image())),
    "answers and then words": batch(result("toolu_1"), words("so"), calls=[call("toolu_1")]),
    "answers in two messages": request(
        user(words("a")),
        assistant(call("toolu_1"), call("toolu_2")),
        user(result("toolu_1")),
        user(result("toolu_2")),
    ),
    "a halted batch": batch(
        result("toolu_1", words("no"), is_error=True),
        result("toolu_2", words(HALTED), is_error=True),
        result("toolu_3", words(HALTED), is_error=True),
    ),
    "a function after a failed member": batch(
        result("toolu_1", words("no"), is_error=True),
        function_result("toolu_2"),
        result("toolu_3", words(HALTED), is_error=True),
        calls=[call("toolu_1"), function_call("toolu_2"), call("toolu_3")],
    ),
    "a member after a failed function": batch(
        {**function_result("toolu_1"), "is_error": True},
        result("toolu_2"),
        calls=[function_call("toolu_1"), call("toolu_2")],
    ),
    "an answer without content": batch(result("toolu_1"), calls=[call("toolu_1")]),
    "a jpeg": ok(image(640, 480, "JPEG")),
    "a webp": ok(image(640, 480, "WEBP")),
    "an edge of 2576": ok(image(2576, 100)),
    "exactly 4784 tokens": ok(image(2560, 1440)),
    "an oversized image outside the toolset": request(user(image(2600, 100))),
    "20 wide images": many(20, 2500, 20),
    "21 images of 2000": many(21, 2000, 20),
    "four cache breakpoints": marked(4),
    "three breakpoints and an automatic one": {**marked(3), "cache_control": MARK},
    "an hour before five minutes": request(
        user({**words("a"), "cache_control": {**MARK, "ttl": "1h"}}, {**words("b"), "cache_control": MARK}),
    ),
    "a toolset without zoom": tools({**TOOLSET, "configs": {"zoom": {"enabled": False}}}),
    "a deferred member that is off": tools({**TOOLSET, "configs": {"zoom": {"enabled": False, "defer_loading": True}}}),
    "a marked toolset": tools({**TOOLSET, "cache_control": MARK, "allowed_callers": ["direct"]}),
    "a function named as a member": tools(TOOLSET, function_tool("screenshot")),
    "a forced choice where allowed": request(model="claude-haiku-5-5", tool_choice={"type": "any"}),
    "a choice of a tool where allowed": request(model="claude-haiku-5-5", tool_choice={"type": "tool", "name": "exec"}),
    "an automatic choice": request(tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    "a closed strict schema": tools(function_tool(strict=True, input_schema={**SCHEMA, "additionalProperties": False})),
    "adaptive thinking": request(
        thinking={"type": "adaptive", "display": "summarized"}, output_config={"effort": "low"}
    ),
    "thinking off where allowed": request(model="claude-opus-4-8", thinking={"type": "disabled"}),
    "a temperature where allowed": request(model="claude-sonnet-4-5", temperature=0.5, tools=None),
    "a prefill where allowed": request(user(words("a")), assistant(words("b")), model="claude-sonnet-4-5", tools=None),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_fake_refuses(name: str) -> None:
    """A request that breaks a rule gets the vendor's error body and never reaches the script."""
    body, text = REFUSED[name]
    server = fake()
    status, answer = await post(server, body)
    assert status == 400, answer
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"
    assert text in answer["error"]["message"]
    assert answer["request_id"].startswith("req_")
    assert server.played == 0


@pytest.mark.parametrize("name", ACCEPTED)
async def test_fake_accepts(name: str) -> None:
    """A request that keeps the rules is answered by the script."""
    status, answer = await post(fake(), ACCEPTED[name])
    assert status == 200, answer
    assert answer["content"] == [{"type": "text", "text": "Done."}]


@pytest.mark.parametrize(
    ("headers", "status", "kind", "text"),
    [
        pytest.param({"x-api-key": ""}, 401, "authentication_error", "x-api-key header is required", id="no key"),
        pytest.param({"x-api-key": "sk-other"}, 401, "authentication_error", "invalid x-api-key", id="wrong key"),
        pytest.param({"anthropic-version": ""}, 400, "invalid_request_error", "header is required", id="no version"),
        pytest.param({"anthropic-version": "1"}, 400, "invalid_request_error", "not a valid version", id="version"),
        pytest.param({"anthropic-beta": "no-such"}, 400, "invalid_request_error", "`no-such`", id="unknown beta"),
    ],
)
async def test_fake_checks_headers(headers: Json, status: int, kind: str, text: str) -> None:
    """Missing or wrong headers are refused as the API refuses them."""
    found, answer = await post(fake(), request(), headers=headers)
    assert (found, answer["error"]["type"]) == (status, kind)
    assert text in answer["error"]["message"]


async def test_fake_takes_the_key_as_bearer_token() -> None:
    """The key may come as a bearer token, and is redacted in what the fake records."""
    server = fake()
    headers = {"x-api-key": "", "authorization": f"Bearer {server.api_key}"}
    status, _ = await post(server, request(), headers=headers)
    assert status == 200
    assert server.api_key not in str(server.requests[0])


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        pytest.param(request(model="claude-opus-9"), 404, "not_found_error", id="unknown model"),
        pytest.param(b"{", 400, "invalid_request_error", id="broken JSON"),
        pytest.param(b"[]", 400, "invalid_request_error", id="no object"),
        pytest.param(b'{"max_tokens": NaN}', 400, "invalid_request_error", id="NaN"),
        pytest.param(b" " * (32 * 1024 * 1024 + 1), 413, "request_too_large", id="32 MB"),
    ],
)
async def test_fake_refuses_bodies(body: Any, status: int, kind: str) -> None:
    """What is no request at all is refused with the status of its kind."""
    found, answer = await post(fake(), body)
    assert (found, answer["error"]["type"]) == (status, kind)


async def test_fake_knows_its_paths_only() -> None:
    """Other paths and methods are refused."""
    assert (await post(fake(), request(), path="/v1/complete"))[0] == 404
    assert (await post(fake(), request(), method="GET"))[0] == 405


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"])
async def test_older_computer_tool_is_refused_by_newer_models(model: str) -> None:
    """The newest models take the toolset only, and say which tool is meant."""
    body = tools(OLD_TOOL, model=model)
    status, answer = await post(fake(), body, betas=[OLD_BETA])
    assert status == 400
    expected = (
        f"'{model}' does not support tool types: computer_20251124. Did you mean one of computer_toolset_20260801?"
    )
    assert answer["error"]["message"] == expected


async def test_older_computer_tool_needs_its_beta_header() -> None:
    """Models that take the older tool take it with its beta header."""
    body = tools(OLD_TOOL, model="claude-opus-4-8")
    status, answer = await post(fake(), body)
    assert status == 400
    assert OLD_BETA in answer["error"]["message"]
    assert (await post(fake(), body, betas=[OLD_BETA]))[0] == 200


async def test_zoom_is_a_field_of_the_newer_of_the_older_tools_alone() -> None:
    """Only ``computer_20251124`` can be told to offer zooming."""
    zooming = {**OLD_TOOL, "enable_zoom": True}
    assert (await post(fake(), tools(zooming, model="claude-opus-4-8"), betas=[OLD_BETA]))[0] == 200
    oldest = {**zooming, "type": "computer_20250124"}
    status, answer = await post(
        fake(), tools(oldest, model="claude-sonnet-4-5"), betas=["computer-use-2025-01-24", OLD_BETA]
    )
    assert (status, answer["error"]["message"]) == (
        400,
        "tools.0.computer_20250124.enable_zoom: Extra inputs are not permitted",
    )


async def test_older_tool_is_called_by_its_one_name_and_answered_without_a_toolset() -> None:
    """A script's members are played as actions; an answer that names a toolset is refused."""
    seen: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        seen.append(view)
        return FakeTurn([member("left_click", coordinate=[1, 2])]) if view.turn == 0 else FakeTurn("Done.")

    server = FakeAnthropic(play)
    first = tools(OLD_TOOL, model="claude-opus-4-6")
    _, answer = await post(server, first, betas=[OLD_BETA])
    [made] = answer["content"]
    assert (made["name"], made["input"]) == ("computer", {"action": "left_click", "coordinate": [1, 2]})
    assert "toolset_name" not in made
    assert "left_click" in seen[0].members
    assert "zoom" not in seen[0].members
    for answered, expected in ((result(made["id"], words("x")), 400), (function_result(made["id"]), 200)):
        messages = [*first["messages"], assistant(made), user(answered)]
        assert (await post(server, {**first, "messages": messages}, betas=[OLD_BETA]))[0] == expected
    assert [(one.name, one.text) for one in seen[1].results] == [("left_click", "done")]


async def test_toolset_is_refused_by_older_models() -> None:
    """A model from before the toolset says what it takes instead."""
    status, answer = await post(fake(), tools(TOOLSET, model="claude-sonnet-4-5"))
    assert status == 400
    assert "Did you mean one of computer_20250124?" in answer["error"]["message"]


async def test_toolset_is_refused_with_fine_grained_streaming() -> None:
    """The toolset and the beta of fine-grained tool streaming exclude each other."""
    beta = ["fine-grained-tool-streaming-2025-05-14"]
    assert (await post(fake(), tools(TOOLSET), betas=beta))[0] == 400
    assert (await post(fake(), tools(function_tool()), betas=beta))[0] == 200


async def test_paused_turn_may_be_sent_back_unchanged() -> None:
    """A conversation may end with the assistant's message where that turn was paused, and only as it was."""
    server = FakeAnthropic([FakeTurn("Wait", stop_reason="pause_turn"), FakeTurn("Done.")])
    first = request()
    _, paused = await post(server, first)
    changed = {**first, "messages": [*first["messages"], assistant(words("Weight"))]}
    assert (await post(server, changed))[0] == 400
    resumed = {**first, "messages": [*first["messages"], {"role": "assistant", "content": paused["content"]}]}
    status, answer = await post(server, resumed)
    assert (status, answer["stop_reason"]) == (200, "end_turn")


async def test_many_images_error_names_every_image() -> None:
    """The error about many images lists the places of all that are too large."""
    status, answer = await post(fake(), many(21, 2001, 20))
    details = answer["error"]["details"]
    assert status == 400
    assert details["error_code"] == "image_dimensions_too_large"
    assert details["max_side_length_pixels"] == 2000
    assert details["paths"][0] == "messages.0.content.1"
    assert len(details["paths"]) == 21


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SAMPLES = [*ACCEPTED.values(), *(body for body, _ in REFUSED.values())]


@settings(max_examples=300, deadline=None)
@given(spoiled(SAMPLES, JUNK), st.sets(st.sampled_from(["message-threads-2026-08-12", OLD_BETA])))
async def test_fake_answers_whatever_it_is_sent(body: Any, betas: set[str]) -> None:
    """A request with anything at all in any place gets an answer of the API, never a crash of the fake."""
    server = fake()
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        status, answer = await post(server, body, betas=betas, path=path)
        assert status in {200, 400, 404}, answer
    assert not server.script_errors
