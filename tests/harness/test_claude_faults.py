"""The loop for Claude when things go wrong: on the wire, in the model's answers, on the screen."""

from __future__ import annotations

import gzip
import resource
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anthropic
import anyio
import httpx2
import pytest

from deskhand import ClaudeComputerUseHarness, Engine, RunResult, ToolRegistry, computer_tools
from deskhand.errors import ConnectionLostError, TruncatedStreamError
from deskhand.harness.events import CustomEvent, ModelDelta, ModelMessage, UsageRecorded
from deskhand.harness.models.anthropic import AnthropicCodec
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.offer import Settings
from deskhand.harness.models.profiles import profile_of
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.providers import Click
from deskhand.testing.models import (
    FakeAnthropic,
    FakeTurn,
    ModelView,
    ToolUse,
    member,
    text,
    thinking,
    tool_use,
)
from tests.harness.answers import Cut, read
from tests.harness.driving import small_computer
from tests.tools.recording import RecordingComputer

AT_ONCE = Patience(base=0)
HALTED = "Not executed: an earlier computer action in this turn failed."


def click_once(view: ModelView) -> FakeTurn:
    if view.turn == 0:
        return FakeTurn([thinking("hm"), text("Ich klicke, ö."), member("left_click", coordinate=[10, 20])])
    return FakeTurn("Done.")


async def run(fake: FakeAnthropic, computer: RecordingComputer | None = None, **settings: Any) -> RunResult[str]:
    """Run the loop against the fake without waiting between attempts."""
    settings.setdefault("patience", AT_ONCE)
    async with fake.client() as client:
        result = await ClaudeComputerUseHarness(client=client, **settings).run(computer or small_computer(), "Go.")
    return result


async def first_answer() -> bytes:
    """Record the bytes of the answer that asks for a click."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    await run(FakeAnthropic([click_once], on_chunk=keep), max_turns=1)
    return b"".join(chunks)


@pytest.mark.slow
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "broken"])
async def test_answer_cut_at_any_byte_is_no_answer(clean: bool) -> None:
    """However much of an answer has come, without its last event there is no turn, and so no call to run."""
    whole = await first_answer()
    data = whole

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Cut(data, clean=clean))

    registry = computer_tools(small_computer())
    settings = Settings("claude-sonnet-5-5", profile_of("claude-sonnet-5-5"), "", 100)
    async with anthropic.AsyncAnthropic(
        api_key="k", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    ) as client:
        codec = AnthropicCodec(settings, Toolbox({"box": registry}), AnthropicDoor(client))
        request = codec.transcript().request()
        for after in range(len(whole)):
            data = whole[:after]
            decoder = codec.decoder()
            with pytest.raises((TruncatedStreamError, ConnectionLostError)) as caught:
                await read(codec, request, decoder)
            assert caught.value.retryable, after
            assert caught.value.effect == "no", after
        data = whole
        decoder = codec.decoder()
        assert [call.name for call in (await read(codec, request, decoder)).calls] == ["left_click"]


async def cut_at(offsets: Iterable[int], *, clean: bool) -> None:
    """Run once for each offset, the first answer cut there."""
    fake = FakeAnthropic(click_once)
    async with fake.client() as client, Engine() as engine:
        harness = ClaudeComputerUseHarness(client=client, patience=AT_ONCE)
        for after in offsets:
            computer = small_computer()
            fake.cut(after=after, clean=clean)
            result = await (await engine.start(harness, computer, "Go.")).result()
            assert (result.outcome, result.turns) == ("completed", 2), after
            assert computer.performed == [Click(10, 20)], after


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "broken"])
async def test_cut_answer_is_asked_for_again(clean: bool) -> None:
    """A run goes on after a cut answer as if it had never come: its click is done once."""
    await cut_at(range(0, len(await first_answer()), 61), clean=clean)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "broken"])
async def test_cut_answer_is_asked_for_again_at_every_byte(clean: bool) -> None:
    """The same, cut at every byte."""
    await cut_at(range(len(await first_answer())), clean=clean)


async def test_answer_that_is_always_cut_ends_the_run() -> None:
    """Three cut answers are enough; what they used is counted."""
    fake = FakeAnthropic(click_once)
    fake.cut(after=900, clean=True, times=3)
    computer = small_computer()
    async with fake.client() as client, Engine() as engine:
        started = await engine.start(ClaudeComputerUseHarness(client=client, patience=AT_ONCE), computer, "Go.")
        result = await started.result()
        events = [event async for event in started.events()]
    assert (result.outcome, result.turns, computer.performed) == ("failed", 0, [])
    assert result.error is not None
    assert (result.error.code, result.error.request_id) == ("truncated_stream", "req_fake00000003")
    assert len(fake.requests) == 3
    counted = [event for event in events if isinstance(event, UsageRecorded)]
    assert len(counted) == 3
    assert result.usage.cache_read + result.usage.cache_write > 0
    assert result.usage.output == 3
    retries = [event.data.value for event in events if isinstance(event, CustomEvent)]
    assert [retry["attempt"] for retry in retries if isinstance(retry, dict)] == [1, 2]


async def test_cut_answers_pieces_are_told_apart() -> None:
    """What came of a cut answer bears another message id than the answer that stands."""
    fake = FakeAnthropic(click_once)
    fake.cut(after=1500)
    async with fake.client() as client, Engine() as engine:
        harness = ClaudeComputerUseHarness(client=client, patience=AT_ONCE, max_turns=1)
        started = await engine.start(harness, small_computer(), "Go.")
        seen: dict[str, str] = {}
        final = ""
        async for event in started.events():
            if isinstance(event, ModelDelta) and event.data.kind == "text":
                seen[event.data.message_id] = seen.get(event.data.message_id, "") + event.data.delta
            if isinstance(event, ModelMessage):
                final = event.data.message_id
    assert seen[final] == "Ich klicke, ö."
    assert len(seen) <= 2


async def test_flood_of_pings_is_no_content() -> None:
    """Pings keep a connection alive, not a run waiting."""
    fake = FakeAnthropic(click_once)
    fake.flood(times=3)
    with anyio.fail_after(10):
        result = await run(fake, deadlines=Deadlines(idle=0.05))
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "deadline")
    assert "sent nothing for 0.05 s" in result.error.message


@pytest.mark.parametrize("after", [None, 0, 700])
async def test_stalled_answer_is_given_up(after: int | None) -> None:
    """A connection on which nothing comes is left, and the turn is asked for again."""
    fake = FakeAnthropic(click_once)
    fake.stall(after=after)
    with anyio.fail_after(10):
        result = await run(fake, deadlines=Deadlines(idle=0.1))
    assert (result.outcome, len(fake.requests)) == ("completed", 3)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_passing_failures_are_outlasted(status: int) -> None:
    """What a server may recover from is asked again, and told as it happens."""
    fake = FakeAnthropic(click_once)
    fake.fail(status, times=2)
    result = await run(fake)
    assert (result.outcome, len(fake.requests)) == ("completed", 4)


async def test_each_retry_is_an_event() -> None:
    """A waiting run says why it waits."""
    fake = FakeAnthropic(click_once)
    fake.fail(429, retry_after=0)
    fake.fail(529, retry_after_ms=1)
    async with fake.client() as client, Engine() as engine:
        harness = ClaudeComputerUseHarness(client=client, patience=AT_ONCE)
        started = await engine.start(harness, small_computer(), "Go.")
        told = [event.data for event in [e async for e in started.events()] if isinstance(event, CustomEvent)]
    assert {data.name for data in told} == {"model.retry"}
    assert [data.value["code"] for data in told if isinstance(data.value, dict)] == ["rate_limited", "overloaded"]


async def test_wait_of_a_day_ends_the_run_at_once() -> None:
    """A run does not sleep until tomorrow; it says when to come back."""
    fake = FakeAnthropic(click_once)
    fake.fail(429, retry_after=100_000)
    with anyio.fail_after(5):
        result = await run(fake)
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "rate_limited")
    assert "asks to wait" in result.error.message


async def test_dropped_connection_is_outlasted() -> None:
    """A connection that closes without an answer is opened again."""
    fake = FakeAnthropic(click_once)
    fake.drop(times=2)
    result = await run(fake)
    assert (result.outcome, len(fake.requests)) == ("completed", 4)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("overloaded_error", "overloaded"), ("rate_limit_error", "rate_limited"), ("api_error", "provider")],
)
async def test_error_inside_a_stream_is_outlasted(kind: str, code: str) -> None:
    """An error in the middle of an answer is mapped as the same error before it would be."""
    fake = FakeAnthropic(click_once)
    fake.stream_error(kind, before=5)
    assert (await run(fake)).outcome == "completed"
    fake.stream_error(kind, before=5, times=9)
    result = await run(fake)
    assert result.error is not None
    assert result.error.code == code


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"<html><body>Please log in to the Wi-Fi.</body></html>", "text/html", "Please log in"),
        (b"", "text/html", "no event stream"),
        (b"", "", "no event stream"),
        (b'{"ok": true}', "application/json", "no event stream"),
        (b"\xff\xfe\x00", "application/octet-stream", "no event stream"),
    ],
    ids=["portal", "empty", "untyped", "json", "binary"],
)
async def test_answer_that_is_no_stream_is_told(body: bytes, kind: str, says: str) -> None:
    """What a proxy says in place of the API is repeated in short, with what to look at."""
    fake = FakeAnthropic(click_once)
    fake.respond(body, content_type=kind)
    result = await run(fake)
    assert result.error is not None
    assert (result.outcome, result.error.code, len(fake.requests)) == ("failed", "protocol", 1)
    assert says in result.error.message
    assert "ANTHROPIC_BASE_URL" in str(result.error.hint)


async def ask_for(response: Callable[[], httpx2.Response]) -> RunResult[str]:
    """Run once against one response."""
    transport = httpx2.MockTransport(lambda request: response())
    async with anthropic.AsyncAnthropic(api_key="k", http_client=httpx2.AsyncClient(transport=transport)) as client:
        harness = ClaudeComputerUseHarness(client=client, patience=AT_ONCE)
        return await harness.run(small_computer(), "Go.")


@pytest.mark.parametrize("kind", ["text/event-stream", "text/html"])
async def test_bomb_is_not_unpacked(kind: str) -> None:
    """An answer that is compressed against our wish is refused before its first byte is unpacked."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024), 9)
    headers = {"content-type": kind, "content-encoding": "gzip"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await ask_for(lambda: httpx2.Response(200, headers=headers, stream=Cut(bomb, clean=True)))
    assert result.error is not None
    assert result.error.code == "protocol"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_endless_event_is_refused() -> None:
    """An answer that never ends a line is left at the limit of one event."""

    class Endless(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"data: " + b"x" * 1_000_000

    headers = {"content-type": "text/event-stream"}
    result = await ask_for(lambda: httpx2.Response(200, headers=headers, stream=Endless()))
    assert result.error is not None
    assert result.error.code == "payload_too_large"


async def test_answer_without_content_is_told() -> None:
    """Status 204 is no answer."""
    fake = FakeAnthropic(click_once)
    fake.respond(b"", status=204)
    result = await run(fake)
    assert result.error is not None
    assert "status 204" in result.error.message


@pytest.mark.parametrize("body", [b"", b"event: ping\ndata: {}\n\n", b": hello\n\n"])
async def test_stream_without_an_answer_is_asked_for_again(body: bytes) -> None:
    """A stream that is one but holds nothing is a cut one."""
    fake = FakeAnthropic(click_once)
    fake.respond(body, content_type="text/event-stream")
    assert (await run(fake)).outcome == "completed"


@pytest.mark.parametrize(
    "event",
    [
        b"event: content_block_delta\ndata: {broken\n\n",
        b"event: content_block_delta\ndata: [1]\n\n",
        b"event: content_block_delta\ndata: \xff\n\n",
        b'event: x\ndata: {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta"}}\n\n',
        b'event: x\ndata: {"type": "content_block_delta", "index": null}\n\n',
        b'event: x\ndata: {"type": "content_block_start"}\n\n',
    ],
)
async def test_broken_event_is_asked_for_again(event: bytes) -> None:
    """What is no event spoils the answer, and only that."""
    fake = FakeAnthropic(click_once)
    fake.inject(event, before=4)
    computer = small_computer()
    result = await run(fake, computer)
    assert (result.outcome, len(computer.performed), len(fake.requests)) == ("completed", 1, 3)


async def test_unknown_events_are_left_out() -> None:
    """An event or a delta of a later version changes nothing."""
    fake = FakeAnthropic(click_once)
    fake.inject(b'event: news\ndata: {"type": "news", "x": 1}\n\n')
    assert (await run(fake)).outcome == "completed"
    assert len(fake.requests) == 2


@pytest.mark.parametrize("size", [1, 7])
async def test_answers_are_read_in_any_pieces(size: int) -> None:
    """Where the network cuts a stream means nothing, nor how its lines end."""
    fake = FakeAnthropic(click_once)
    fake.chunk(size=size)
    fake.crlf()
    assert (await run(fake)).output == "Done."


async def test_wrong_key_is_told_with_what_to_do() -> None:
    """A refused key ends the run at once; no key stands in any event."""
    fake = FakeAnthropic(click_once)
    async with fake.client(api_key="sk-ant-wrong-0123456789") as client, Engine() as engine:
        started = await engine.start(ClaudeComputerUseHarness(client=client), small_computer(), "Go.")
        result = await started.result()
        log = [event.to_json() async for event in started.events()]
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("auth", "export ANTHROPIC_API_KEY=sk-ant-...")
    assert len(fake.requests) == 1
    assert not any(b"0123456789" in line for line in log)


async def test_missing_key_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    result = await ClaudeComputerUseHarness().run(small_computer(), "Go.")
    assert result.error is not None
    assert (result.outcome, result.error.code) == ("failed", "config")
    assert result.error.hint == "export ANTHROPIC_API_KEY=sk-ant-..."


async def test_unknown_model_is_told_with_what_to_do() -> None:
    """A model that the API does not know is named, with one that it may know."""
    result = await run(FakeAnthropic(click_once), model="claude-sonet-5-5")
    assert result.error is not None
    assert result.error.code == "not_found"
    assert "claude-sonet-5-5" in result.error.message
    assert "claude-sonnet-5-5" in str(result.error.hint)


BROKEN = [
    '{"coordinate": [1, 2',
    '{"coordinate": [1, 2], "coordinate": [3, 4]}',
    '{"coordinate": [NaN, 2]}',
    '{"text": ' + "[" * 100 + "]" * 100 + "}",
    "[1, 2]",
    '"text"',
    '{"text": "\\ud800"}',
]


@pytest.mark.parametrize("raw", BROKEN)
@pytest.mark.parametrize("toolset", ["computer", None])
async def test_broken_arguments_are_answered_and_nothing_is_done(raw: str, toolset: str | None) -> None:
    """Arguments that are no JSON object of sense come back as an error that says why, and the loop goes on."""
    answers: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        answers.append(view)
        name = "left_click" if toolset else "exec"
        return FakeTurn("Done.") if view.turn else FakeTurn([ToolUse(name, {}, toolset, raw_input=raw)])

    fake, computer = FakeAnthropic(play), small_computer()
    result = await run(fake, computer)
    assert (result.outcome, computer.performed) == ("completed", [])
    assert answers[1].results[0].is_error
    assert "arguments" in answers[1].results[0].text


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (ToolUse("left_click", {"coordinate": [1]}, "computer"), "coordinate"),
        (ToolUse("left_click", {"coordinate": [900, 2]}, "computer"), "off the frame"),
        (ToolUse("left_click", {"coordinate": [1, 2], "speed": 3}, "computer"), "speed"),
        (ToolUse("key", {"text": "hyperdrive"}, "computer"), "hyperdrive"),
        (ToolUse("wait", {"duration": 9000}, "computer"), "duration"),
        (ToolUse("fly", {}, "computer"), "fly"),
        (ToolUse("exec", {"command": "true"}, "computer"), "computer.exec"),
        (ToolUse("left_click", {"x": 1, "y": 2}), "functions.left_click"),
        (ToolUse("nothing", {}), "nothing"),
        (ToolUse("exec", {}), "command"),
    ],
    ids=lambda value: f"{value.toolset_name}-{value.name}" if isinstance(value, ToolUse) else None,
)
async def test_wrong_arguments_are_answered_and_nothing_is_done(call: ToolUse, says: str) -> None:
    """A call that names what is not there, or asks for what is not allowed, is told so."""
    answers: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        answers.append(view)
        return FakeTurn("Done.") if view.turn else FakeTurn([call])

    fake, computer = FakeAnthropic(play), small_computer()
    result = await run(fake, computer)
    assert (result.outcome, computer.performed) == ("completed", [])
    assert answers[1].results[0].is_error
    assert says in answers[1].results[0].text


async def test_turn_with_repeated_ids_is_asked_for_again_once() -> None:
    """Two calls of one id cannot be answered: nothing of the turn runs, and it is asked for once more."""
    twice = [ToolUse("left_click", {"coordinate": [1, 2]}, "computer", id="toolu_1")] * 2
    computer = small_computer()
    fake = FakeAnthropic([FakeTurn(twice), FakeTurn([member("left_click", coordinate=[3, 4])]), FakeTurn("Done.")])
    assert (await run(fake, computer)).outcome == "completed"
    assert computer.performed == [Click(3, 4)]
    computer = small_computer()
    result = await run(FakeAnthropic([FakeTurn(twice)] * 2), computer)
    assert result.error is not None
    assert (result.outcome, result.error.code, computer.performed) == ("failed", "protocol", [])


async def test_id_of_an_earlier_turn_is_a_repeated_one() -> None:
    """An id that has been answered cannot be answered again."""
    call = ToolUse("left_click", {"coordinate": [1, 2]}, "computer", id="toolu_1")
    computer = small_computer()
    result = await run(FakeAnthropic([FakeTurn([call]), FakeTurn([call]), FakeTurn("Done.")]), computer)
    assert (result.outcome, computer.performed) == ("completed", [Click(1, 2)])


async def test_two_hundred_calls_are_answered_and_sixty_four_run() -> None:
    """What is beyond the cap is answered with an error, in order, so that the history stays legal."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        calls = [ToolUse("left_click", {"coordinate": [n % 60, 1]}, "computer", id=f"toolu_{n}") for n in range(200)]
        return FakeTurn("Done.") if view.turn else FakeTurn(calls)

    computer = small_computer()
    result = await run(FakeAnthropic(play), computer)
    assert result.outcome == "completed"
    assert computer.performed == [Click(n % 60, 1) for n in range(64)]
    results = views[1].results
    assert [seen.tool_use_id for seen in results] == [f"toolu_{n}" for n in range(200)]
    assert [seen.is_error for seen in results] == [False] * 64 + [True] * 136
    assert "at most" in results[64].text or "may ask for 64" in results[64].text
    assert {seen.text for seen in results[65:]} == {HALTED}


async def test_failed_member_halts_the_rest_of_its_batch() -> None:
    """After a failed member, later ones get the exact text that the API wants; functions run all the same."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        calls = [
            member("left_click", coordinate=[900, 900]),
            tool_use("exec", command="echo hi"),
            member("type", text="x"),
            member("screenshot"),
        ]
        return FakeTurn("Done.") if view.turn else FakeTurn(calls)

    computer = small_computer()
    result = await run(FakeAnthropic(play), computer)
    assert (result.outcome, computer.performed) == ("completed", [])
    assert [(seen.is_error, seen.text == HALTED) for seen in views[1].results] == [
        (True, False),
        (False, False),
        (True, True),
        (True, True),
    ]


async def test_user_tool_that_says_nothing_is_answered_with_words() -> None:
    """The API refuses empty and blank errors; a tool may give them all the same."""
    registry = ToolRegistry()

    @registry.tool
    async def blank() -> str:
        return "  "

    @registry.tool
    async def fails() -> str:
        raise ValueError(" ")

    @registry.tool
    async def odd() -> str:
        return "lone \ud800 surrogate"

    calls = [tool_use("blank"), tool_use("fails"), tool_use("odd")]
    fake = FakeAnthropic([FakeTurn(calls), FakeTurn("Done.")])
    assert (await run(fake, tools=registry)).outcome == "completed"
