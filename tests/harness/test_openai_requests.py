"""What OpenAI's APIs are sent, by which client, and how often it is encoded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import openai
import pytest
from anyio.abc import SocketAttribute, SocketStream
from pydantic import BaseModel

from deskhand import (
    ClaudeComputerUseHarness,
    Engine,
    MemoryBlobs,
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
)
from deskhand.errors import ConfigError
from deskhand.harness import Stuck
from deskhand.harness.events import CustomEvent, ModelDelta, ModelMessage, TurnFinished
from deskhand.harness.models import openai_chat, openai_decoder, openai_items, openai_responses, profiles, transcript
from deskhand.harness.models.transcript import encode_json
from deskhand.harness.models.transport import Patience
from deskhand.testing.models import (
    OPENAI_MODELS,
    FakeAnthropic,
    FakeOpenAI,
    FakeTurn,
    action,
    computer_call,
    text,
    thinking,
)
from deskhand.testing.models.transport import FakeTransport
from tests.harness.driving import computer_with_screen
from tests.harness.openai_script import EVERY, MODES, Script, click, made


@pytest.mark.parametrize("model", sorted(OPENAI_MODELS))
async def test_every_model_is_asked_as_it_wants(model: str) -> None:
    """What differs between models is kept right by one table."""
    row = OPENAI_MODELS[model]
    for mode in MODES:
        if ("computer" in mode or mode == "kept") and row.computer is None:
            with pytest.raises(ConfigError, match="does not take the computer tool"):
                OpenAIComputerUseHarness(model)
            continue
        if mode == "chat" and not row.chat:
            continue
        script = Script(FakeTurn([thinking("hm"), click(mode, 1, 1)]), FakeTurn("Done."))
        assert (await script.run(mode, model=model)).outcome == "completed", mode


class Found(BaseModel):
    """What was found."""

    name: str
    sizes: list[int]


@EVERY
async def test_output_type_is_asked_for_and_read(mode: str) -> None:
    """The API is told the schema; a wrong answer is asked for once more."""
    script = Script(FakeTurn("I found it."), FakeTurn('{"name": "a", "sizes": [1, 2]}'))
    result = await script.run(mode, output_type=Found)
    assert result.output == Found(name="a", sizes=[1, 2])
    params: Any = script.views[0].params
    told = params["response_format"]["json_schema"] if mode == "chat" else params["text"]["format"]
    assert told["strict"] is True
    assert told["schema"]["additionalProperties"] is False
    assert "is not what it must be" in script.views[1].text


@EVERY
async def test_on_request_sees_each_request_and_no_key(mode: str) -> None:
    """Parameters and history can be looked at before they are sent."""
    seen: list[Mapping[str, Any]] = []
    script = Script(FakeTurn([click(mode, 1, 1)]), FakeTurn("Done."))
    await script.run(mode, on_request=seen.append, effort="low", max_tokens=5000, instructions="Be quick.")
    assert len(seen) == 2
    assert dict(seen[1]) == script.fake.requests[1].body
    assert script.views[0].system == "Be quick."
    limit = "max_completion_tokens" if mode == "chat" else "max_output_tokens"
    assert seen[0][limit] == 5000
    assert (seen[0]["reasoning_effort"] if mode == "chat" else seen[0]["reasoning"]["effort"]) == "low"
    assert "sk-fake" not in repr(seen) + str([dict(body) for body in seen])


@EVERY
async def test_answers_are_events_with_their_raw_items(mode: str) -> None:
    """Deltas come as they are streamed; the whole answer names its text, thinking, calls and raw items."""
    script = Script(FakeTurn([thinking("I think."), text("A ö"), click(mode, 1, 1)]), FakeTurn("Done."))
    blobs = MemoryBlobs()
    async with script.fake.client() as client, Engine(blobs=blobs) as engine:
        run = await engine.start(made(mode, client), computer_with_screen(), "Go.")
        result = await run.result()
        events = [event async for event in run.events()]
        deltas = [(event.data.kind, event.data.delta) for event in events if isinstance(event, ModelDelta)]
        messages = [event.data for event in events if isinstance(event, ModelMessage)]
        turns = [event.data.usage for event in events if isinstance(event, TurnFinished)]
    first = messages[0]
    assert first.text == "A ö"
    assert [call.name for call in first.calls] == ["left_click"]
    assert deltas[-1][0] == "text" or deltas
    if mode != "chat":
        assert first.thinking == "I think."
    assert first.raw is not None
    assert "A ö" in (await blobs.get(first.raw)).decode()
    assert result.usage == turns[0] + turns[1]


@EVERY
async def test_long_history_leaves_its_oldest_images_out(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request holds no more images than are worth their price; the newest stay, and its beginning stays cached."""
    row = replace(profiles.PROFILES["gpt-5.5"], keep_images=3, prune_every=4)
    monkeypatch.setattr(profiles, "PROFILES", {**profiles.PROFILES, "gpt-5.5": row})
    script = Script(*[FakeTurn([thinking("hm"), click(mode, n, 1)]) for n in range(16)], FakeTurn("Done."))
    assert (await script.run(mode)).outcome == "completed"
    if "kept" in mode:
        return
    screenshot = base64.b64encode(computer_with_screen().image).decode()
    images = [json.dumps(request.body).count(screenshot) for request in script.fake.requests]
    assert max(images) == 7
    assert images.count(3) >= 2
    assert images[-1] >= 3


async def test_conversation_with_more_screenshots_than_a_request_may_have_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was left out still counts as an image: the oldest calls go whole, and a remark stands in their place."""
    row = replace(profiles.PROFILES["gpt-5.5"], max_images=9, keep_images=2, prune_every=2)
    monkeypatch.setattr(profiles, "PROFILES", {**profiles.PROFILES, "gpt-5.5": row})
    script = Script(*[FakeTurn([thinking("hm"), click("computer", n, 1)]) for n in range(30)], FakeTurn("Done."))
    script.fake = FakeOpenAI(script.play, max_images=9)
    result = await script.run(stuck=Stuck.off())
    assert (result.outcome, result.output) == ("completed", "Done.")
    said = [item.get("content") for item in script.views[-1].messages if item.get("role") == "user"]
    assert said[1] == "[the oldest part of what followed was left out]"


async def test_computer_tool_that_a_refusal_names_is_asked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table does not know the API says; it is heeded once, and for every later run."""
    monkeypatch.setattr(profiles, "_amended", {})
    script = Script(FakeTurn([computer_call(action("click", x=1, y=2))]), FakeTurn("Done."), FakeTurn("Done."))
    script.fake = FakeOpenAI(
        script.play,
        models={"gpt-next": replace(OPENAI_MODELS["computer-use-preview"], name="gpt-next", forced_truncation=False)},
    )
    told: list[Any] = []
    async with script.fake.client() as client, Engine() as engine:
        run = await engine.start(OpenAIComputerUseHarness("gpt-next", client=client), computer_with_screen(), "Go.")
        result = await run.result()
        told = [event.data.name async for event in run.events() if isinstance(event, CustomEvent)]
        again = await OpenAIComputerUseHarness("gpt-next", client=client).run(computer_with_screen(), "Go.")
    assert (result.outcome, again.outcome) == ("completed", "completed"), (result.error, again.error)
    assert told == ["model.amended"]
    assert [bool(request.error) for request in script.fake.requests] == [True, False, False, False]


async def test_own_client_is_made_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With only a key and an address in the environment, or an address given, over a real socket."""
    script = Script(*[FakeTurn([click("computer", 1, 1)])] * 3, FakeTurn("Done."))
    async with script.fake.serve() as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.setenv("OPENAI_API_KEY", script.fake.api_key)
        result = await OpenAIComputerUseHarness().run(computer_with_screen(), "Go.")
        monkeypatch.delenv("OPENAI_BASE_URL")
        more = Script(FakeTurn("Done."))
        async with more.fake.serve() as elsewhere:
            other = await OpenAIFunctionHarness(base_url=elsewhere, api="chat").run(computer_with_screen(), "Go.")
    assert (result.outcome, result.turns, other.outcome) == ("completed", 4, "completed")
    assert {request.headers["content-length"] for request in script.fake.requests} == {
        str(request.size) for request in script.fake.requests
    }


async def test_missing_key_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = await OpenAIComputerUseHarness().run(computer_with_screen(), "Go.")
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("config", "export OPENAI_API_KEY=sk-...")


def test_settings_that_contradict_each_other_are_refused() -> None:
    """At once, not in the middle of a run."""
    client = FakeOpenAI([]).client()
    with pytest.raises(ConfigError, match="base_url"):
        OpenAIFunctionHarness(client=client, base_url="http://elsewhere.invalid")
    with pytest.raises(ConfigError, match="keeps no conversation"):
        OpenAIFunctionHarness(api="chat", keep_on_server=True)
    odd: Any = "completions"
    with pytest.raises(ConfigError, match="no API"):
        OpenAIFunctionHarness(api=odd)


class Counter:
    """Counts the calls of a function, by the size of what it is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.sizes: list[int] = []

    def __call__(self, data: Any, *rest: Any, **more: Any) -> Any:
        self.sizes.append(len(data) if isinstance(data, bytes) else 0)
        return self.function(data, *rest, **more)


@pytest.mark.parametrize(
    ("mode", "constant", "per_turn"), [("computer", 4, 2), ("kept", 4, 3), ("functions", 4, 3), ("chat", 5, 3)]
)
async def test_each_item_is_encoded_once_and_each_frame_once(
    mode: str, constant: int, per_turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a whole run: one base64 and one digest of each frame, a fixed number of JSON encodings for each turn."""
    turns = 12
    acts = [FakeTurn([thinking("hm"), text("go"), click(mode, n, 1)]) for n in range(turns)]
    script = Script(*acts, FakeTurn("Done."))
    encoded, based, hashed = Counter(encode_json), Counter(binascii.b2a_base64), Counter(hashlib.sha256)
    for module in (transcript, openai_items, openai_responses, openai_chat, openai_decoder):
        if hasattr(module, "encode_json"):
            monkeypatch.setattr(module, "encode_json", encoded)
    monkeypatch.setattr(binascii, "b2a_base64", based)
    monkeypatch.setattr(hashlib, "sha256", hashed)
    computer = computer_with_screen()
    assert (await script.run(mode, computer, stuck=Stuck.off())).turns == turns + 1
    frames = turns + 1
    assert len(encoded.sizes) == constant + per_turn * turns
    assert [size for size in based.sizes if size == len(computer.image)] == [len(computer.image)] * frames
    assert [size for size in hashed.sizes if size == len(computer.image)] == [len(computer.image)] * frames


def connected(fake: FakeOpenAI, requests: list[httpx2.Request]) -> httpx2.AsyncClient:
    """Connect a client to the fake, whatever address and key its cloud has."""

    async def pass_on(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        path = "chat/completions" if "chat" in request.url.path else "responses"
        return await FakeTransport(fake.handle).handle_async_request(
            httpx2.Request(
                "POST",
                f"https://fake.invalid/v1/{path}",
                headers={"authorization": f"Bearer {fake.api_key}"},
                content=await request.aread(),
            )
        )

    return httpx2.AsyncClient(transport=httpx2.MockTransport(pass_on))


class Gateway(openai.AsyncOpenAI):
    """A client of someone's own, which may look at the body."""


@pytest.mark.parametrize("kind", ["azure", "gateway"])
@pytest.mark.parametrize("mode", ["computer", "chat"])
async def test_clients_of_clouds_and_gateways_work(kind: str, mode: str) -> None:
    """A client that rewrites or reads the body gets the whole of it."""
    script = Script(FakeTurn([thinking("hm"), click(mode, 1, 1)]), FakeTurn("Done."))
    requests: list[httpx2.Request] = []
    http = connected(script.fake, requests)
    client: openai.AsyncOpenAI
    if kind == "azure":
        client = openai.AsyncAzureOpenAI(
            api_key="k", api_version="2026-06-01", azure_endpoint="https://azure.invalid", http_client=http
        )
    else:
        client = Gateway(api_key="k", base_url="https://gateway.invalid/v1", http_client=http)
    async with client:
        result = await made(mode, client).run(computer_with_screen(), "Go.")
    assert (result.outcome, result.output) == ("completed", "Done.")
    assert f"{kind}.invalid" in str(requests[0].url)
    if kind == "azure" and mode == "chat":
        assert "/deployments/gpt-5.5/chat/completions" in str(requests[0].url)


@pytest.mark.parametrize("vendor", ["ANTHROPIC", "OPENAI"])
async def test_conversation_follows_no_redirect(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said and shown goes to the address that was given, and to no other that it names."""
    script: list[FakeTurn] = []
    fake = FakeAnthropic(script) if vendor == "ANTHROPIC" else FakeOpenAI(script)
    harness = ClaudeComputerUseHarness() if vendor == "ANTHROPIC" else OpenAIComputerUseHarness()
    async with fake.serve() as address:
        monkeypatch.setenv(f"{vendor}_BASE_URL", address)
        monkeypatch.setenv(f"{vendor}_API_KEY", fake.api_key)
        fake.fail(307, headers={"location": f"{address}/elsewhere"})
        result = await harness.run(computer_with_screen(), "Go.")
    assert result.error is not None
    assert (result.error.code, len(fake.requests)) == ("config", 1)
    assert f"{vendor}_BASE_URL" in (result.error.hint or "")


@pytest.mark.parametrize("vendor", ["ANTHROPIC", "OPENAI"])
async def test_error_without_end_is_read_in_bounds(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendors' clients would read all of it before they say what is wrong."""
    sent: list[int] = []

    async def flood(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n\r\n")
            sent.append(0)
            with suppress(anyio.BrokenResourceError):
                while sent[-1] < 64 << 20:
                    await stream.send(b"x" * 65536)
                    sent[-1] += 65536

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, flood)
        port = listener.extra(SocketAttribute.local_port)
        monkeypatch.setenv(f"{vendor}_BASE_URL", f"http://127.0.0.1:{port}/v1")
        monkeypatch.setenv(f"{vendor}_API_KEY", "key")
        made = OpenAIComputerUseHarness if vendor == "OPENAI" else ClaudeComputerUseHarness
        result = await made(patience=Patience(base=0)).run(computer_with_screen(), "Go.")
        tasks.cancel_scope.cancel()
    assert result.error is not None
    assert result.error.code == "provider"
    assert len(sent) > 1
    assert max(sent) < 32 << 20
