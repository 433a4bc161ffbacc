"""The fake of OpenAI as people use it: scripts, what the model sees, the vendor's client and runner, the server."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from openai import AsyncOpenAI
from openai.lib.computer import AsyncComputerToolset
from openai.lib.responses_tool_runner import AsyncRegisteredFunction, AsyncResponsesToolRunner
from openai.types.responses import ParsedResponseFunctionToolCall, ResponseComputerToolCall
from pydantic import BaseModel

from deskhand.testing import (
    FakeAnthropic,
    FakeOpenAI,
    FakeTurn,
    ModelView,
    ScriptError,
    action,
    computer_call,
    member,
    refusal,
    text,
    thinking,
    tool_use,
)

from .fake_openai_parts import (
    MODEL,
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
from .recordings import Driver

LOOK = FakeTurn([thinking("Where is it?"), text("I look."), computer_call(action("screenshot"))])
BOTH = FakeTurn(
    [
        thinking("Where is the button? Over there, I think."),
        text("I click the button with the long name, größer than 16 letters."),
        computer_call(action("click", x=640, y=360), action("type", text="ü")),
        tool_use("exec", command="echo 'a rather long command line'"),
    ]
)


def replayed(response: Any) -> list[Json]:
    """The output of a response as the input of the next request."""
    return [item.to_dict() for item in response.output]


async def streamed_events(server: FakeOpenAI, **fields: object) -> list[Any]:
    """The events of a streamed answer."""
    stream: Any = await server.client().responses.create(**request(stream=True, **fields))
    return [event async for event in stream]


async def test_client_gets_the_scripted_turns() -> None:
    """The vendor's client reads the turns of a list in order, typed as the API's own."""
    server = FakeOpenAI([LOOK, FakeTurn("Done.")])
    client = server.client()
    first = await client.responses.create(**request())
    assert [item.type for item in first.output] == ["reasoning", "message", "computer_call"]
    call = first.output[2]
    assert isinstance(call, ResponseComputerToolCall)
    assert call.actions is not None
    assert [entry.type for entry in call.actions] == ["screenshot"]
    assert (first.status, first.output_text, call.pending_safety_checks) == ("completed", "I look.", [])
    second = await client.responses.create(**request(user("Go."), *replayed(first), shot(call.call_id)))
    assert (second.status, second.output_text, server.played) == ("completed", "Done.", 2)


async def test_stream_is_the_same_response() -> None:
    """A streamed answer adds up to the response that a plain one would be, event by event as the SDK knows them."""
    server = FakeOpenAI(lambda _: BOTH)
    client = server.client()
    plain = await client.responses.create(**request(reasoning={"summary": "auto"}))
    async with client.responses.stream(**request(reasoning={"summary": "auto"})) as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_response()

    def told(response: Any) -> list[Json]:
        own = {"id", "call_id", "encrypted_content", "parsed_arguments"}
        items = [{key: value for key, value in item.items() if key not in own} for item in replayed(response)]
        for part in (part for item in items for part in item.get("content", [])):
            part.pop("parsed", None)
        return items

    assert told(streamed) == told(plain)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_item.done") == 4
    assert "response.reasoning_summary_text.delta" in kinds
    assert streamed.usage == plain.usage


async def test_stream_numbers_its_events_and_hides_how_long_deltas_are() -> None:
    """Sequence numbers count up from nought, and deltas are padded unless the request says otherwise."""
    server = FakeOpenAI(lambda _: BOTH)
    for fields, padded in (({}, True), ({"stream_options": {"include_obfuscation": False}}, False)):
        events = await streamed_events(server, **fields)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        deltas = [event for event in events if event.type.endswith(".delta")]
        assert deltas
        assert all(("obfuscation" in event.to_dict()) is padded for event in deltas)


async def test_reasoning_at_its_start_is_not_what_may_come_back() -> None:
    """The encrypted content of ``output_item.added`` is refused in a request, that of ``output_item.done`` is not."""
    server = FakeOpenAI(lambda _: FakeTurn([thinking("Hm."), text("Hello.")]))
    events = await streamed_events(server)
    began = next(event.item for event in events if event.type == "response.output_item.added")
    whole, message = (event.item.to_dict() for event in events if event.type == "response.output_item.done")
    status, body = await post(server, request(user("Go."), began.to_dict(), message, user("On.")))
    assert (status, body["error"]["code"]) == (400, "invalid_encrypted_content")
    status, _ = await post(server, request(user("Go."), whole, message, user("On.")))
    assert status == 200


async def test_function_sees_what_the_model_sees() -> None:
    """A script function gets the words, the results, the frame at the model's size, and the tools by name."""
    seen: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        seen.append(view)
        return FakeTurn("Done.")

    server = FakeOpenAI(play)
    items = [user("Go.", input_image()), acted("call_1"), called("call_2"), shot("call_1"), answered("call_2", "out")]
    await server.client().responses.create(**request(*items, instructions="Be brief."))
    view = seen[0]
    assert (view.model, view.system, view.turn, view.text) == (MODEL, "Be brief.", 1, "")
    assert set(view.tools) == {"computer", "exec"}
    assert "click" in view.members
    assert [(r.tool_use_id, r.name, r.text) for r in view.results] == [
        ("call_1", "computer", ""),
        ("call_2", "exec", "out"),
    ]
    assert view.frame is not None
    assert view.frame.size == view.frame.image.size == (1280, 800)


@pytest.mark.parametrize(
    ("detail", "size"), [("original", (4000, 2000)), ("high", (2048, 1024)), ("low", (512, 256)), (None, (2048, 1024))]
)
async def test_large_image_is_seen_smaller(detail: str | None, size: tuple[int, int]) -> None:
    """How large the model sees an image depends on the detail that the request asks for."""
    seen: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        seen.append(view)
        return FakeTurn("Done.")

    fields = {"detail": detail} if detail else {}
    await FakeOpenAI(play).client().responses.create(**request(user(input_image(data_url(4000, 2000), **fields))))
    frame = seen[0].frame
    assert frame is not None
    assert frame.size == size


async def test_stored_response_is_gone_on_with_by_its_id() -> None:
    """With ``previous_response_id`` the server holds the conversation, until it forgets it."""
    seen: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        seen.append(view)
        return LOOK if view.turn == 0 else FakeTurn("Done.")

    server = FakeOpenAI(play)
    client = server.client()
    first = await client.responses.create(**request(store=True))
    call = first.output[2]
    assert isinstance(call, ResponseComputerToolCall)
    later = request(shot(call.call_id), previous_response_id=first.id)
    second = await client.responses.create(**later)
    assert (second.output_text, seen[1].turn, len(seen[1].messages)) == ("Done.", 1, 5)
    server.forget_responses()
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(**later)
    assert caught.value.code == "previous_response_not_found"


class Weather(BaseModel):
    """What a parsed answer holds."""

    city: str
    umbrella: bool


async def test_parse_reads_structured_answers_and_strict_calls() -> None:
    """``responses.parse`` of the typed client passes, for text formats and for function tools made of a model."""
    answer = FakeTurn('{"city": "Bonn", "umbrella": true}')
    server = FakeOpenAI([answer, FakeTurn([tool_use("Weather", city="Bonn", umbrella=False)])])
    client = server.client()
    parsed = await client.responses.parse(model=MODEL, input="Rain?", text_format=Weather)
    assert parsed.output_parsed == Weather(city="Bonn", umbrella=True)
    tool = openai.pydantic_responses_function_tool(Weather)
    second = await client.responses.parse(model=MODEL, input="Rain?", tools=[tool])
    call = second.output[0]
    assert isinstance(call, ParsedResponseFunctionToolCall)
    assert call.parsed_arguments == Weather(city="Bonn", umbrella=False)


class WritingDriver(Driver):
    """A computer that writes down what it is asked to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def _act(self, action: Any) -> None:
        self.done.append(action.type)

    click = double_click = drag = keypress = move = scroll = type = wait = _act


@pytest.mark.parametrize("stream", [False, True])
async def test_vendor_runner_plays_a_whole_run(stream: bool) -> None:
    """The vendor's own runner drives the computer and a function, has a check approved and comes to the answer."""
    asked: list[object] = []

    async def run(arguments: dict[str, object]) -> str:
        asked.append(arguments)
        return "ran"

    async def approve(call: ResponseComputerToolCall) -> bool:
        asked.extend(check.id for check in call.pending_safety_checks)
        return True

    checked = computer_call(action("click", x=5, y=6), action("wait"), checks=[{"id": "check_1", "code": "x"}])
    command = tool_use("exec", command="ls")
    server = FakeOpenAI([LOOK, FakeTurn([thinking("Now."), checked, command]), FakeTurn("Done.")])
    driver = WritingDriver()
    tool: Any = function_tool()
    runner = AsyncResponsesToolRunner(
        computer=AsyncComputerToolset(driver), functions=[AsyncRegisteredFunction(tool, run)]
    )
    params: Any = {"model": MODEL, "input": "Go.", "store": False}
    async with server.client() as client:
        response = await runner.run(client, params, max_steps=5, stream=stream, approve_safety_checks=approve)
    server.raise_script_errors()
    assert response.output_text == "Done."
    assert (driver.done, asked, server.played) == (["click", "wait"], ["check_1", {"command": "ls"}], 3)


async def test_served_fake_answers_a_client_with_a_base_url() -> None:
    """The base URL of the loopback server is what the vendor's client takes."""
    server = fake()
    async with server.serve() as base_url, AsyncOpenAI(api_key=server.api_key, base_url=base_url) as client:
        assert base_url.endswith("/v1")
        assert (await client.responses.create(**request())).output_text == "Done."
        async with client.responses.stream(**request()) as stream:
            assert (await stream.get_final_response()).output_text == "Done."


async def test_reasoning_of_another_model_is_removed_and_that_is_told() -> None:
    """A conversation may go on with another model, which does not get to see what the first one thought."""
    server = FakeOpenAI(lambda view: FakeTurn([thinking("Hm."), text("Hello.")]))
    client = server.client()
    first = await client.responses.create(**request())
    for model, removed in ((MODEL, []), ("gpt-5.4", [(first.output[0].id, "model_mismatch")])):
        second = await client.responses.create(**request(user("Go."), *replayed(first), user("On."), model=model))
        told = second.input_transformations or []
        assert [(entry.id, entry.reason) for entry in told] == removed


async def test_computer_call_is_not_known_before_it_is_done() -> None:
    """What is to be done, and the checks, come with ``output_item.done``: there is nothing to act on before."""
    call = computer_call(action("click", x=1, y=2), checks=[{"id": "check_1"}])
    events = await streamed_events(FakeOpenAI([FakeTurn([call])]))
    began, ended = (event.item for event in events if event.type.startswith("response.output_item."))
    assert (began.actions, began.pending_safety_checks) == ([], [])
    assert [entry.type for entry in ended.actions] == ["click"]
    assert [check.id for check in ended.pending_safety_checks] == ["check_1"]


async def test_usage_adds_up_and_the_cache_is_kept() -> None:
    """The second request reads from the cache what the first one sent, in whole steps, and the model bills writes."""
    server = fake()
    client = server.client()
    long: Any = user("word " * 2000)
    for model, writes in ((MODEL, False), ("gpt-6-sol", True)):
        first = (await client.responses.create(**request(long, model=model))).usage
        second = (await client.responses.create(**request(long, user("More."), model=model))).usage
        assert first is not None
        assert second is not None
        counted = await client.responses.input_tokens.count(model=model, input=[long], tools=request()["tools"])
        assert counted.input_tokens == first.input_tokens == first.total_tokens - first.output_tokens
        assert first.input_tokens_details.cached_tokens == 0
        assert second.input_tokens_details.cached_tokens == first.input_tokens // 128 * 128
        assert (first.input_tokens_details.cache_write_tokens > 0) is writes


@pytest.mark.parametrize(
    ("turn", "status", "reason"),
    [
        (FakeTurn([text("Cut")], "max_tokens"), "incomplete", "max_output_tokens"),
        (FakeTurn([text("Cut")], "content_filter"), "incomplete", "content_filter"),
        (FakeTurn([], "failed"), "failed", None),
        (FakeTurn([refusal("I cannot do that.")]), "completed", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_response_ends_as_the_script_says(turn: FakeTurn, status: str, reason: str | None, stream: bool) -> None:
    """Cut off, filtered, failed and refused answers look as the API's, streamed or not."""
    server = FakeOpenAI([turn])
    if stream:
        last = (await streamed_events(server))[-1]
        assert last.type == f"response.{status}"
        response = last.response
    else:
        response = await server.client().responses.create(**request())
    assert response.status == status
    assert (response.incomplete_details.reason if response.incomplete_details else None) == reason
    assert (response.error is not None) is (status == "failed")


async def test_preview_model_calls_one_action_at_a_time() -> None:
    """The older computer tool's calls hold an action, not a list, and come back so."""
    server = FakeOpenAI([FakeTurn([computer_call(action("click", x=1, y=2))]), FakeTurn("Done.")])
    tool = {"type": "computer_use_preview", "display_width": 1280, "display_height": 800, "environment": "linux"}
    fields: Json = {"model": "computer-use-preview", "truncation": "auto", "tools": [tool]}
    first = await server.client().responses.create(**request(**fields))
    call = first.output[0]
    assert isinstance(call, ResponseComputerToolCall)
    assert (call.action is not None, call.actions) == (True, None)
    second = await server.client().responses.create(
        **request(user("Go."), *replayed(first), shot(call.call_id), **fields)
    )
    assert second.output_text == "Done."


@pytest.mark.parametrize(
    ("turn", "fields", "told"),
    [
        (FakeTurn([member("screenshot")]), {}, "Claude's toolset"),
        (FakeTurn([computer_call(action("wait"))]), {"tools": []}, "offers none"),
        (FakeTurn([tool_use("exec", command="ls")]), {"tool_choice": "none"}, "tool_choice is none"),
        (FakeTurn("Done."), {"tool_choice": "required"}, "asks for one"),
        (FakeTurn([tool_use("exec"), tool_use("exec")]), {"parallel_tool_calls": False}, "disables parallel"),
        (FakeTurn("Done.", "pause_turn"), {}, "no stop reason"),
    ],
)
async def test_script_that_no_model_could_play_is_told(turn: FakeTurn, fields: Json, told: str) -> None:
    """A wrong script is a status 500 that no client repeats, and an error for the test."""
    server = FakeOpenAI([turn])
    with pytest.raises(openai.InternalServerError):
        await server.client().responses.create(**request(**fields))
    assert len(server.requests) == 1
    with pytest.raises(ScriptError, match=told):
        server.raise_script_errors()


async def test_anthropic_fake_refuses_to_play_what_only_openai_has() -> None:
    """A computer call in a script of the other vendor's fake is the script's error, in the same words."""
    server = FakeAnthropic([FakeTurn([computer_call(action("screenshot"))])])
    with pytest.raises(anthropic.InternalServerError):
        await server.client().messages.create(
            model="claude-sonnet-5-5", max_tokens=100, messages=[{"role": "user", "content": "Go."}]
        )
    with pytest.raises(ScriptError, match="only OpenAI"):
        server.raise_script_errors()
