"""The loops for OpenAI's models when things go wrong: on the wire and in the model's answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import httpx2
import openai
import pytest

from deskhand import Engine, OpenAIComputerUseHarness, OpenAIFunctionHarness, RunResult
from deskhand.errors import ConnectionLostError, TruncatedStreamError
from deskhand.harness.events import CustomEvent, ModelDelta, ModelMessage, UsageRecorded
from deskhand.harness.models.adapter import ModelAdapter
from deskhand.harness.models.openai_chat import ChatCodec
from deskhand.harness.models.openai_codec import Settings
from deskhand.harness.models.openai_door import OPENAI, OpenAIDoor
from deskhand.harness.models.openai_responses import ResponsesCodec
from deskhand.harness.models.profiles import profile_of
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.providers import Click
from deskhand.testing.models import FakeOpenAI, FakeTurn, ModelView, action, computer_call, text, thinking, tool_use
from deskhand.tools.computer import computer_tools
from tests.harness.answers import Cut, read
from tests.harness.driving import small_computer
from tests.tools.recording import RecordingComputer

AT_ONCE = Patience(base=0)
APIS = pytest.mark.parametrize("api", ["responses", "chat"])


def click_once(view: ModelView) -> FakeTurn:
    if view.turn:
        return FakeTurn("Done.")
    call = computer_call(action("click", x=10, y=20)) if view.members else tool_use("left_click", x=10, y=20)
    return FakeTurn([thinking("hm"), text("Ich klicke, ö."), call])


def harness(api: str, client: openai.AsyncOpenAI, **settings: Any) -> Any:
    settings.setdefault("patience", AT_ONCE)
    if api == "chat":
        return OpenAIFunctionHarness(client=client, api="chat", **settings)
    return OpenAIComputerUseHarness(client=client, **settings)


async def run(
    fake: FakeOpenAI, api: str = "responses", computer: RecordingComputer | None = None, **settings: Any
) -> RunResult[str]:
    """Run the loop against the fake without waiting between attempts."""
    async with fake.client() as client:
        result: RunResult[str] = await harness(api, client, **settings).run(computer or small_computer(), "Go.")
    return result


async def first_answer(api: str) -> bytes:
    """Record the bytes of the answer that asks for a click."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    await run(FakeOpenAI([click_once], on_chunk=keep), api, max_turns=1)
    return b"".join(chunks)


@pytest.mark.slow
@APIS
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "broken"])
async def test_answer_cut_at_any_byte_is_no_answer(api: str, clean: bool) -> None:
    """However much of an answer has come, without what says that it is whole there is no turn, and no call to run."""
    whole = await first_answer(api)
    ends = whole.index(b'"finish_reason": "tool_calls"' if api == "chat" else b'"type": "response.completed"')
    data = whole

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Cut(data, clean=clean))

    tools = Toolbox({"box": computer_tools(small_computer())})
    async with openai.AsyncOpenAI(
        api_key="k", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    ) as client:
        made: Callable[..., ModelAdapter] = ChatCodec if api == "chat" else ResponsesCodec
        door = OpenAIDoor(client, "chat" if api == "chat" else "responses")
        codec = made(Settings("gpt-5.5", profile_of("gpt-5.5"), "", native=api != "chat"), tools, door)
        request = codec.transcript().request()
        for after in range(0, ends, 1 if clean else 7):
            data = whole[:after]
            with pytest.raises((TruncatedStreamError, ConnectionLostError)) as caught:
                await read(codec, request, codec.decoder())
            assert caught.value.retryable, after
            assert caught.value.effect == "no", after
        data = whole
        turn = await read(codec, request, codec.decoder())
        assert [call.name for call in turn.calls] == ["left_click"]


async def cut_at(api: str, offsets: Iterable[int], *, clean: bool) -> None:
    """Run once for each offset, the first answer cut there."""
    fake = FakeOpenAI(click_once)
    async with fake.client() as client, Engine() as engine:
        for after in offsets:
            computer = small_computer()
            fake.cut(after=after, clean=clean)
            result = await (await engine.start(harness(api, client), computer, "Go.")).result()
            assert (result.outcome, result.turns) == ("completed", 2), (after, result.error)
            assert computer.performed == [Click(10, 20)], after


@APIS
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "broken"])
async def test_cut_answer_is_asked_for_again(api: str, clean: bool) -> None:
    """A run goes on after a cut answer as if it had never come: its click is done once."""
    whole = await first_answer(api)
    await cut_at(api, range(0, len(whole), 1 + len(whole) // 25), clean=clean)


@APIS
async def test_answer_that_is_always_cut_ends_the_run(api: str) -> None:
    """Three cut answers are enough."""
    fake = FakeOpenAI(click_once)
    fake.cut(after=900, clean=True, times=3)
    computer = small_computer()
    result = await run(fake, api, computer)
    assert (result.outcome, result.turns, computer.performed) == ("failed", 0, [])
    assert result.error is not None
    assert result.error.code == "truncated_stream"
    assert result.error.request_id is not None
    assert len(fake.requests) == 3


@APIS
async def test_cut_answers_pieces_are_told_apart(api: str) -> None:
    """What came of a cut answer bears another message id than the answer that stands."""
    fake = FakeOpenAI(click_once)
    fake.cut(after=1500)
    async with fake.client() as client, Engine() as engine:
        started = await engine.start(harness(api, client, max_turns=1), small_computer(), "Go.")
        seen: dict[str, str] = {}
        final = ""
        async for event in started.events():
            if isinstance(event, ModelDelta) and event.data.kind == "text":
                seen[event.data.message_id] = seen.get(event.data.message_id, "") + event.data.delta
            if isinstance(event, ModelMessage):
                final = event.data.message_id
    assert seen[final] == "Ich klicke, ö."


@APIS
@pytest.mark.parametrize("after", [None, 0, 700])
async def test_stalled_answer_is_given_up(api: str, after: int | None) -> None:
    """A connection on which nothing comes is left, and the turn is asked for again."""
    fake = FakeOpenAI(click_once)
    fake.stall(after=after)
    with anyio.fail_after(10):
        result = await run(fake, api, deadlines=Deadlines(idle=0.2))
    assert (result.outcome, len(fake.requests)) == ("completed", 3)


@APIS
async def test_flood_of_comments_is_no_content(api: str) -> None:
    """What keeps a connection alive keeps no run waiting."""
    fake = FakeOpenAI(click_once)
    fake.flood(times=3)
    with anyio.fail_after(10):
        result = await run(fake, api, deadlines=Deadlines(idle=0.05))
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "deadline")


@APIS
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
async def test_passing_failures_are_outlasted(api: str, status: int) -> None:
    """What a server may recover from is asked again."""
    fake = FakeOpenAI(click_once)
    fake.fail(status, times=2)
    assert (await run(fake, api)).outcome == "completed"
    assert len(fake.requests) == 4


async def test_each_retry_is_an_event() -> None:
    """A waiting run says why it waits."""
    fake = FakeOpenAI(click_once)
    fake.fail(429, retry_after=0)
    fake.fail(503, retry_after_ms=1)
    async with fake.client() as client, Engine() as engine:
        started = await engine.start(harness("responses", client), small_computer(), "Go.")
        told = [event.data for event in [e async for e in started.events()] if isinstance(event, CustomEvent)]
    assert [data.value["code"] for data in told if isinstance(data.value, dict)] == ["rate_limited", "overloaded"]


async def test_wait_of_a_day_ends_the_run_at_once() -> None:
    """A run does not sleep until tomorrow; it says when to come back."""
    fake = FakeOpenAI(click_once)
    fake.fail(429, retry_after=100_000)
    with anyio.fail_after(5):
        result = await run(fake)
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "rate_limited")


@APIS
@pytest.mark.parametrize(("kind", "code"), [("server_error", "provider"), ("rate_limit_exceeded", "rate_limited")])
async def test_error_inside_a_stream_is_outlasted(api: str, kind: str, code: str) -> None:
    """An error in the middle of an answer is mapped as the same error before it would be."""
    fake = FakeOpenAI(click_once)
    fake.stream_error(kind, before=3, chat=api == "chat")
    assert (await run(fake, api)).outcome == "completed"
    fake.stream_error(kind, before=3, times=9, chat=api == "chat")
    result = await run(fake, api)
    assert result.error is not None
    assert result.error.code == code


async def test_failed_answer_is_asked_for_again_and_counted() -> None:
    """An answer whose status says that it failed is none, whatever came of it; what it used counts."""
    fake = FakeOpenAI([FakeTurn([text("Well")], stop_reason="failed"), FakeTurn("Done.")])
    async with fake.client() as client, Engine() as engine:
        started = await engine.start(harness("responses", client), small_computer(), "Go.")
        result = await started.result()
        events = [event async for event in started.events()]
    assert (result.outcome, result.output) == ("completed", "Done.")
    assert len([event for event in events if isinstance(event, UsageRecorded)]) >= 1


def refusing(status: int, code: str, message: str = "the reason") -> Any:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})
    return lambda: httpx2.Response(status, headers={"x-request-id": "req_1"}, content=body)


async def ask_for(response: Callable[[], httpx2.Response], api: str = "responses") -> tuple[RunResult[str], int]:
    """Run against one response, and count how often it was asked for."""
    asked: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return response()

    transport = httpx2.MockTransport(respond)
    async with openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport)) as client:
        result = await harness(api, client).run(small_computer(), "Go.")
    return result, len(asked)


@pytest.mark.parametrize(
    ("response", "outcome", "code", "says"),
    [
        (refusing(400, "context_length_exceeded"), "budget_exceeded", "budget_exceeded", "the reason"),
        (refusing(429, "insufficient_quota"), "failed", "provider", "the reason"),
        (refusing(400, "content_policy_violation"), "refused", "refused", "the reason"),
        (refusing(400, "unknown_parameter"), "failed", "invalid_input", "the reason"),
        (refusing(401, "invalid_api_key"), "failed", "auth", "the reason"),
        (refusing(403, "unsupported_country"), "failed", "permission_denied", "the reason"),
        (refusing(404, "model_not_found"), "failed", "not_found", "the reason"),
    ],
    ids=["context", "quota", "policy", "parameter", "key", "country", "model"],
)
async def test_lasting_refusals_are_told_at_once(response: Any, outcome: str, code: str, says: str) -> None:
    """What asking again cannot mend is not asked again, and says what it is and which request it was."""
    result, asked = await ask_for(response)
    assert asked == 1
    assert result.error is not None
    assert (result.outcome, result.error.code) == (outcome, code)
    assert says in result.error.message
    assert result.error.request_id == "req_1"


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"<html><body>Please log in to the Wi-Fi.</body></html>", "text/html", "Please log in"),
        (b"", "", "no event stream"),
        (b'{"ok": true}', "application/json", "no event stream"),
    ],
    ids=["portal", "untyped", "json"],
)
async def test_answer_that_is_no_stream_is_told(body: bytes, kind: str, says: str) -> None:
    """What a proxy says in place of the API is repeated in short, with what to look at."""
    fake = FakeOpenAI(click_once)
    fake.respond(body, content_type=kind)
    result = await run(fake)
    assert result.error is not None
    assert (result.outcome, result.error.code, len(fake.requests)) == ("failed", "protocol", 1)
    assert says in result.error.message
    assert "OPENAI_BASE_URL" in str(result.error.hint)


@pytest.mark.parametrize(
    "event",
    [
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        b'data: {"type": "response.output_text.delta", "delta": 3}\n\n',
        b'data: {"type": "response.output_item.done"}\n\n',
        b"",
        b"data: [DONE]\n\n",
    ],
)
async def test_broken_event_is_asked_for_again(event: bytes) -> None:
    """An event that is none ends the attempt, not the run."""
    fake = FakeOpenAI(click_once)
    fake.respond(event, content_type="text/event-stream")
    assert (await run(fake)).outcome == "completed"


class TransportError(Exception):
    """An error of the HTTP library's older package, which a client of someone's own may use."""


TransportError.__module__ = "httpx._exceptions"


async def test_connection_of_an_older_library_is_lost_alike() -> None:
    """Whatever package the client sends by, a broken answer is asked for again."""
    assert OPENAI.map_error(TransportError("gone")).code == "connection_lost"
    cut = OPENAI.broken(TransportError("gone"), begun=True, wall=lambda: 0.0)
    assert (cut.code, cut.retryable) == ("truncated_stream", True)


async def test_conversation_that_the_vendor_forgot_is_told() -> None:
    """It cannot be gone on with; the error says how not to depend on it."""
    fake = FakeOpenAI([click_once, click_once])

    def forget(request: object) -> None:
        if fake.requests:
            fake.forget_responses()

    result = await run(fake, keep_on_server=True, on_request=forget)
    assert result.error is not None
    assert result.outcome == "failed"
    assert "keep_on_server" in str(result.error.hint)


@APIS
async def test_cancelled_run_closes_its_connection(api: str) -> None:
    """A run that is stopped at once in the middle of an answer waits for nothing and does nothing."""
    begun = anyio.Event()

    async def hold(chunk: bytes) -> None:
        begun.set()
        await anyio.sleep_forever()

    fake, computer = FakeOpenAI(click_once, on_chunk=hold), small_computer()
    async with fake.client() as client, Engine() as engine:
        started = await engine.start(harness(api, client), computer, "Go.")
        with anyio.fail_after(10):
            await begun.wait()
            await started.stop(now=True)
            result = await started.result()
    assert (result.outcome, computer.performed) == ("stopped", [])


@APIS
async def test_paused_run_does_nothing_until_it_goes_on(api: str) -> None:
    """A pause takes effect before the next action; a step lets one through."""
    fake, computer = FakeOpenAI(click_once), small_computer()
    async with fake.client() as client, Engine() as engine:
        started = await engine.start(harness(api, client), computer, "Go.")
        await started.pause()
        with anyio.fail_after(10):
            await started.step()
            await started.resume()
            result = await started.result()
    assert (result.outcome, computer.performed) == ("completed", [Click(10, 20)])
