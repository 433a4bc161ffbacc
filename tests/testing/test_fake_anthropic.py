"""The fake as people use it: scripts, what the model sees, the vendor's client, the loopback server."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import anthropic
import anyio
import httpx2
import pytest
from PIL import Image

import deskhand.testing.models
from deskhand.testing.models import (
    FakeAnthropic,
    FakeTurn,
    ModelView,
    ScriptError,
    ToolUse,
    member,
    redacted_thinking,
    text,
    thinking,
    tool_use,
)

from .fake_anthropic_parts import MODEL, Json, assistant, fake, function_tool, image, post, request, result, user, words

ALLOWED_IMPORTS = {"PIL", "anthropic", "anyio", "h11", "httpx2", "openai", "pydantic", "pydantic_core"}


def test_fake_shares_no_code_with_what_it_tests() -> None:
    """The package imports the standard library, a few named libraries, and of this project only itself."""
    folder = Path(deskhand.testing.models.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deskhand.testing.models."):
                continue
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                roots = {(node.module or "").split(".")[0]}
            else:
                assert not (isinstance(node, ast.ImportFrom) and node.level > 1), path
                continue
            assert roots <= ALLOWED_IMPORTS | set(sys.stdlib_module_names), (path.name, roots)


async def test_client_gets_the_scripted_turns() -> None:
    """The vendor's client reads the turns of a list in order, typed as the API's own."""
    server = FakeAnthropic([FakeTurn([text("Looking."), member("screenshot")]), FakeTurn("Done.")])
    client = server.client()
    first = await client.messages.create(**request())
    assert first.stop_reason == "tool_use"
    assert [block.type for block in first.content] == ["text", "tool_use"]
    call = first.content[1]
    assert isinstance(call, anthropic.types.ToolUseBlock)
    assert (call.name, call.toolset_name, call.input) == ("screenshot", "computer", {})
    reply = user(result(call.id, image()))
    second = await client.messages.create(**request(user(words("Go.")), assistant(*_params(first)), reply))
    assert second.stop_reason == "end_turn"
    assert server.played == 2


def _params(message: Any) -> list[Json]:
    return [block.model_dump(exclude_none=True) for block in message.content]


async def test_stream_is_the_same_message() -> None:
    """A streamed answer adds up to the message that a plain one would be."""
    turn = FakeTurn(
        [
            thinking("Where is the button? Over there, I think."),
            redacted_thinking(),
            text("I click the button with the long name, größer than 16 letters."),
            member("left_click", coordinate=[640, 360]),
            tool_use("exec", command="echo 'a rather long command line'", timeout=3),
        ]
    )
    body = request(thinking={"type": "adaptive", "display": "summarized"})
    plain = await FakeAnthropic([turn]).client().messages.create(**body)
    async with FakeAnthropic([turn]).client().messages.stream(**body) as stream:
        streamed = await stream.get_final_message()
    assert _params(streamed) == _params(plain)
    assert streamed.usage == plain.usage
    assert streamed.stop_reason == plain.stop_reason == "tool_use"


async def test_stream_sends_member_input_whole_and_function_input_in_pieces() -> None:
    """A toolset member's arguments come as one delta, a function's as they are written."""
    turn = FakeTurn([member("left_click", coordinate=[640, 360]), tool_use("exec", command="echo a long command")])
    deltas: dict[int, list[str]] = {0: [], 1: []}
    async for event in await FakeAnthropic([turn]).client().messages.create(**request(), stream=True):
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            deltas[event.index].append(event.delta.partial_json)
    assert [json.loads(part) for part in deltas[0]] == [{"coordinate": [640, 360]}]
    assert len(deltas[1]) > 2
    assert json.loads("".join(deltas[1])) == {"command": "echo a long command"}


async def test_turn_can_write_broken_arguments() -> None:
    """A call may stream arguments that are no JSON, as a turn that hit its token limit does."""
    turn = FakeTurn([ToolUse("exec", raw_input='{"command": "ec')], stop_reason="max_tokens")
    parts: list[str] = []
    reasons: list[str | None] = []
    async for event in await FakeAnthropic([turn]).client().messages.create(**request(), stream=True):
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            parts.append(event.delta.partial_json)
        elif event.type == "message_delta":
            reasons.append(event.delta.stop_reason)
    assert "".join(parts) == '{"command": "ec'
    assert reasons == ["max_tokens"]


async def test_refusal_carries_its_details() -> None:
    """What the API tells of a refusal comes in both forms of answer."""
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    turn = FakeTurn(stop_reason="refusal", stop_details=details)
    plain = await FakeAnthropic([turn]).client().messages.create(**request())
    async with FakeAnthropic([turn]).client().messages.stream(**request()) as stream:
        streamed = await stream.get_final_message()
    for message in (plain, streamed):
        assert message.stop_reason == "refusal"
        assert message.stop_details is not None
        assert message.stop_details.category == "cyber"


async def test_script_function_sees_what_the_model_sees() -> None:
    """A function gets the decoded request: prompt, tools, results and the newest frame with its size."""
    seen: list[ModelView] = []

    async def look(view: ModelView) -> FakeTurn:
        await anyio.lowlevel.checkpoint()
        seen.append(view)
        return FakeTurn([member("screenshot"), tool_use("exec", command="ls")] if view.turn == 0 else "Done.")

    server = FakeAnthropic(look)
    body = request(system="Be quick.")
    _, first = await post(server, body)
    calls = first["content"]
    answers = user(
        result(calls[0]["id"], image(1024, 768)),
        {"type": "tool_result", "tool_use_id": calls[1]["id"], "content": "boom", "is_error": True},
        words("Hurry."),
    )
    await post(server, {**body, "messages": [*body["messages"], assistant(*calls), answers]})
    start, later = seen
    assert (start.model, start.system, start.turn, start.text) == (MODEL, "Be quick.", 0, "Open the editor.")
    assert set(start.tools) == {"computer_toolset_20260801", "exec"}
    assert "zoom" in start.members
    assert (start.frame, start.results) == (None, ())
    assert (later.turn, later.text) == (1, "Hurry.")
    screenshot, command = later.results
    assert (screenshot.name, screenshot.is_error) == ("screenshot", False)
    assert (command.name, command.text, command.is_error, command.image) == ("exec", "boom", True, None)
    assert later.frame is not None
    assert later.frame.size == (1024, 768)
    assert isinstance(later.frame.image, Image.Image)
    assert later.frame.image.getpixel((5, 5)) == (0, 0, 90)


@pytest.mark.parametrize(
    ("model", "sent", "seen"),
    [
        (MODEL, (1280, 800), (1280, 800)),
        (MODEL, (2560, 1440), (2560, 1440)),
        (MODEL, (3840, 2160), (2576, 1449)),
        ("claude-sonnet-4-5", (1366, 768), (1366, 768)),
        ("claude-sonnet-4-5", (1920, 1080), (1456, 819)),
        ("claude-sonnet-4-5", (2560, 1440), (1456, 819)),
    ],
)
async def test_oversized_frame_is_seen_scaled_down(model: str, sent: tuple[int, int], seen: tuple[int, int]) -> None:
    """Where the API scales an image down silently, the model sees, and aims at, the smaller one."""
    sizes: list[tuple[int, int]] = []

    def look(view: ModelView) -> FakeTurn:
        assert view.frame is not None
        sizes.append(view.frame.size)
        sizes.append(view.frame.image.size)
        return FakeTurn("Done.")

    status, _ = await post(FakeAnthropic(look), request(user(image(*sent)), model=model, tools=None))
    assert status == 200
    assert sizes == [seen] * 2


async def test_list_may_mix_turns_and_functions() -> None:
    """A function in a list answers its own turn only."""
    server = FakeAnthropic([FakeTurn("one"), lambda view: FakeTurn(f"two of {view.model}")])
    await post(server, request())
    _, answer = await post(server, request())
    assert answer["content"][0]["text"] == f"two of {MODEL}"


async def test_script_that_runs_out_says_so() -> None:
    """One turn too many is an error that no client repeats, and that the test can raise."""
    server = FakeAnthropic([])
    with pytest.raises(anthropic.InternalServerError, match="the script has 0 turns"):
        await server.client().messages.create(**request())
    assert len(server.requests) == 1
    with pytest.raises(ScriptError, match="asked for one more"):
        server.raise_script_errors()


async def test_script_that_fails_is_told_to_both_sides() -> None:
    """An assertion that fails inside a script function reaches the program as an error and the test as itself."""

    def check(view: ModelView) -> FakeTurn:
        raise AssertionError(f"no frame in turn {view.turn}")

    server = FakeAnthropic(check)
    with pytest.raises(anthropic.InternalServerError, match="no frame in turn 0"):
        await server.client().messages.create(**request())
    with pytest.raises(AssertionError, match="no frame in turn 0"):
        server.raise_script_errors()


@pytest.mark.parametrize(
    ("choice", "turn", "text"),
    [
        pytest.param({"type": "none"}, FakeTurn([member("screenshot")]), "tool_choice is none", id="none"),
        pytest.param(
            {"type": "auto", "disable_parallel_tool_use": True},
            FakeTurn([member("screenshot"), member("screenshot")]),
            "disables parallel tool use",
            id="parallel",
        ),
    ],
)
async def test_script_cannot_do_what_the_request_forbids(choice: Json, turn: FakeTurn, text: str) -> None:
    """A turn that no model could give to this request is a mistake of the script."""
    status, answer = await post(FakeAnthropic([turn]), request(tool_choice=choice))
    assert status == 500
    assert text in answer["error"]["message"]


def test_member_names_are_checked() -> None:
    """A typing mistake in a member's name is found where it is written."""
    with pytest.raises(ScriptError, match="no member 'klick'"):
        member("klick")


async def test_count_tokens_counts_what_create_bills() -> None:
    """The count of a request is what its answer bills as input."""
    server = fake()
    client = server.client()
    body = request()
    counted = await client.messages.count_tokens(**{k: v for k, v in body.items() if k != "max_tokens"})
    message = await client.messages.create(**body)
    assert counted.input_tokens == message.usage.input_tokens


async def test_requests_are_recorded_and_bounded() -> None:
    """The newest requests are kept, decoded, with their size and what became of them."""
    server = FakeAnthropic([FakeTurn("x")] * 5, keep_requests=3)
    for count in range(4):
        await post(server, request(metadata={"user_id": str(count)}))
    await post(server, request(max_tokens=None))
    assert [kept.number for kept in server.requests] == [3, 4, 5]
    good, bad = server.requests[0], server.requests[-1]
    assert isinstance(good.body, dict)
    assert good.body["metadata"] == {"user_id": "2"}
    assert good.size == len(json.dumps(good.body))
    assert (good.status, good.error) == (200, None)
    assert (bad.status, bad.error) == (400, "max_tokens: Field required")


async def test_server_serves_the_vendors_client() -> None:
    """Over a real socket the client reads plain and streamed answers, several on one connection."""
    server = fake(4)
    with anyio.fail_after(20):
        async with (
            server.serve() as base_url,
            anthropic.AsyncAnthropic(api_key=server.api_key, base_url=base_url, max_retries=0) as client,
        ):
            assert (await client.messages.create(**request())).content[0].type == "text"
            async with client.messages.stream(**request()) as stream:
                assert await stream.get_final_text() == "Done."
            with pytest.raises(anthropic.BadRequestError) as caught:
                await client.messages.create(**{**request(), "messages": []})
    assert caught.value.request_id is not None
    assert caught.value.body["request_id"] == caught.value.request_id  # type: ignore[index]


async def test_server_streams_piece_by_piece() -> None:
    """An event is on the wire before the next one exists."""
    gate = anyio.Event()
    sent = 0

    async def hold(_chunk: bytes) -> None:
        nonlocal sent
        sent += 1
        if sent > 3:
            await gate.wait()

    server = FakeAnthropic([FakeTurn("A text of several pieces, to be sure.")], on_chunk=hold)
    with anyio.fail_after(20):
        async with server.serve() as base_url, httpx2.AsyncClient(base_url=base_url) as client:
            headers = {"x-api-key": server.api_key, "anthropic-version": "2023-06-01"}
            body = {**request(), "stream": True}
            async with client.stream("POST", "/v1/messages", json=body, headers=headers) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                received = b""
                chunks = response.aiter_raw()
                while b"content_block_start" not in received:
                    received += await anext(chunks)
                assert b"content_block_delta" not in received
                gate.set()
                async for chunk in chunks:
                    received += chunk
    assert received.count(b"event: content_block_delta") == 3
    assert received.endswith(b'event: message_stop\ndata: {"type": "message_stop"}\n\n')


async def test_server_lets_errors_of_its_block_through_bare() -> None:
    """What fails inside the block comes out as itself, not wrapped in a group."""
    with anyio.fail_after(20), pytest.raises(ZeroDivisionError):
        async with fake().serve():
            raise ZeroDivisionError


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_server_leaves_nothing_when_cancelled(how: str) -> None:
    """Cancelled while it serves, by a scope or by the task's own cancel, the server gives its port back."""
    address = ""
    serving = anyio.Event()

    async def serve() -> None:
        nonlocal address
        async with fake().serve() as base_url:
            address = base_url
            serving.set()
            await anyio.sleep_forever()

    with anyio.fail_after(20):
        if how == "scope":
            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                await serving.wait()
                group.cancel_scope.cancel()
        else:
            task = asyncio.get_running_loop().create_task(serve())
            await serving.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(OSError, match=r"All connection attempts failed|refused"):
            await anyio.connect_tcp("127.0.0.1", int(address.rsplit(":", 1)[1]))


async def test_server_ends_with_a_client_still_waiting() -> None:
    """Leaving the block ends connections whose answer has not come."""
    server = fake()
    server.stall()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            async with server.serve() as base_url:
                lost = anyio.Event()

                async def ask() -> None:
                    async with httpx2.AsyncClient(base_url=base_url) as client:
                        with pytest.raises(httpx2.TransportError):
                            await client.post("/v1/messages", json=request())
                    lost.set()

                group.start_soon(ask)
                while not server.requests:
                    await anyio.lowlevel.checkpoint()
            await lost.wait()


async def test_server_refuses_a_body_over_32_megabytes() -> None:
    """A body that is too large is read to its end, and answered."""
    server = fake()
    with anyio.fail_after(30):
        async with server.serve() as base_url, httpx2.AsyncClient(base_url=base_url, timeout=30) as client:
            headers = {"x-api-key": server.api_key, "anthropic-version": "2023-06-01"}
            response = await client.post("/v1/messages", content=b" " * (33 * 1024 * 1024), headers=headers)
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "request_too_large"


async def test_own_models_can_be_served() -> None:
    """A model that the table lacks is served when its profile is given."""
    from dataclasses import replace

    profile = replace(deskhand.testing.models.MODELS[MODEL], name="claude-next")
    server = FakeAnthropic([FakeTurn("Done.")], models={"claude-next": profile})
    assert (await post(server, request(model="claude-next", tools=[function_tool()])))[0] == 200
    assert (await post(server, request()))[0] == 404


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="TLS"),
        pytest.param(b"GET\r\n\r\n", id="half a request"),
        pytest.param(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", id="half a body"),
        pytest.param(b"x" * 100_000, id="an endless line"),
    ],
)
async def test_server_survives_junk(junk: bytes) -> None:
    """What is not HTTP ends its own connection and nothing else."""
    server = fake()
    with anyio.fail_after(20):
        async with server.serve() as base_url:
            stream = await anyio.connect_tcp("127.0.0.1", int(base_url.rsplit(":", 1)[1]))
            async with stream:
                await stream.send(junk)
                await stream.send_eof()
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            async with anthropic.AsyncAnthropic(api_key=server.api_key, base_url=base_url, max_retries=0) as client:
                assert (await client.messages.create(**request())).stop_reason == "end_turn"
