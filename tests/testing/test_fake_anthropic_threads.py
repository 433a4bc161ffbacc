"""Server-held threads, and the vendor's own tool runner, which keeps them by default."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import beta_async_tool
from anthropic.tools import (
    BetaAsyncAbstractComputerToolset20260801,
    BetaScreenshotResult,
    BetaToolsetCallContext,
    ToolError,
)

from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member, text, thinking, tool_use

from .fake_anthropic_parts import (
    MODEL,
    Json,
    assistant,
    call,
    function_tool,
    image,
    picture,
    post,
    request,
    result,
    user,
    words,
)

BETA = "message-threads-2026-08-12"


class Desktop(BetaAsyncAbstractComputerToolset20260801):
    """A computer that writes down what it is told, and cannot type."""

    def __init__(self) -> None:
        super().__init__(confirm=lambda _context: True)
        self.done: list[str] = []

    async def screenshot(self, context: BetaToolsetCallContext, input: Any) -> BetaScreenshotResult:
        """Returns a picture."""
        self.done.append("screenshot")
        return BetaScreenshotResult(data=picture(), media_type="image/png")

    async def left_click(self, context: BetaToolsetCallContext, input: Any) -> str | None:
        """Clicks."""
        self.done.append(f"left_click {input.coordinate}")
        return None

    async def type(self, context: BetaToolsetCallContext, input: Any) -> str | None:
        """Fails."""
        raise ToolError("the keyboard is gone")


@beta_async_tool
async def add(left: int, right: int) -> str:
    """Adds two numbers.

    Args:
        left: One.
        right: The other.
    """
    return str(left + right)


def scripted(views: list[ModelView]) -> FakeAnthropic:
    """A fake whose script looks, clicks and types, adds, and reports."""
    turns = [
        FakeTurn([thinking("I look first."), text("Looking."), member("screenshot")]),
        FakeTurn(
            [
                thinking("There it is."),
                member("left_click", coordinate=[640, 400]),
                member("type", text="hello"),
                member("screenshot"),
                tool_use("add", left=2, right=3),
            ]
        ),
        FakeTurn("Done."),
    ]

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        return turns[view.turn]

    return FakeAnthropic(play)


async def drive(server: FakeAnthropic, desktop: Desktop, *, threads: bool, stream: bool) -> str:
    """Runs the vendor's runner to its end and returns the last text."""
    fields: Json = {
        "model": MODEL,
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Go."}],
        "tools": [desktop, add],
        **({} if threads else {"thread": False}),
    }
    messages = server.client(max_retries=0).beta.messages
    final: Any = None
    if stream:
        async for part in messages.tool_runner(stream=True, **fields):
            final = await part.get_final_message()
    else:
        final = await messages.tool_runner(**fields).until_done()
    return str(final.content[-1].text)


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "stateless"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_vendor_tool_runner_passes(threads: bool, stream: bool) -> None:
    """The vendor's own runner drives a toolset and a function to the end, with its threads and without."""
    views: list[ModelView] = []
    server = scripted(views)
    desktop = Desktop()
    with anyio.fail_after(20):
        assert await drive(server, desktop, threads=threads, stream=stream) == "Done."
    server.raise_script_errors()
    assert desktop.done == ["screenshot", "left_click [640, 400]"]
    assert [kept.status for kept in server.requests] == [200, 200, 200]
    bodies: list[Any] = [kept.body for kept in server.requests]
    if threads:
        assert [body["thread"]["type"] for body in bodies] == ["create", "continue", "continue"]
        assert "tools" not in bodies[1]
    else:
        assert not any("thread" in body for body in bodies)
    last = views[-1]
    assert [(r.name, r.is_error) for r in last.results] == [
        ("left_click", False),
        ("type", True),
        ("screenshot", True),
        ("add", False),
    ]
    assert last.results[-1].text == "5"
    assert last.frame is not None
    assert last.frame.size == (1280, 800)
    assert base64.b64encode(last.frame.data).decode() == picture()


async def test_vendor_tool_runner_replays_a_lost_thread() -> None:
    """A thread that the server forgot is a 404 that tells the runner to send everything again."""
    views: list[ModelView] = []
    server = scripted(views)
    client = server.client(max_retries=0)
    with anyio.fail_after(20):
        runner = client.beta.messages.tool_runner(
            model=MODEL,
            max_tokens=4096,
            messages=[{"role": "user", "content": "Go."}],
            tools=[Desktop(), add],
        )
        async for message in runner:
            if message.content[0].type == "thinking" and len(server.requests) == 1:
                server.forget_threads()
    assert [kept.status for kept in server.requests] == [200, 404, 200, 200]


def turns(*texts: str) -> FakeAnthropic:
    """A fake that says these words."""
    return FakeAnthropic([FakeTurn(said) for said in texts])


async def create(server: FakeAnthropic, **fields: Any) -> Json:
    """Starts a thread and returns its first answer."""
    status, answer = await post(server, request(thread={"type": "create"}, **fields), betas=[BETA])
    assert status == 200, answer
    return answer


def following(answer: Json, *messages: Json, **fields: object) -> Json:
    """Returns the request that continues from an answer."""
    body = request(thread={"type": "continue", "previous_message_id": answer["id"]}, tools=None, **fields)
    return {**body, "messages": list(messages)}


async def test_thread_continues_with_what_is_new() -> None:
    """A continuation brings only its new messages, and the model sees all of them."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        return FakeTurn([member("screenshot")]) if view.turn == 0 else FakeTurn("Done.")

    server = FakeAnthropic(play)
    first = await create(server, system="Be quick.")
    reply = user(result(first["content"][0]["id"], image()))
    status, answer = await post(server, following(first, reply), betas=[BETA])
    assert status == 200, answer
    assert views[-1].system == "Be quick."
    assert [message["role"] for message in views[-1].messages] == ["user", "assistant", "user"]
    assert "exec" in views[-1].tools


async def test_thread_counts_places_in_the_request() -> None:
    """An error in a continuation names the place where the client sent the message."""
    server = FakeAnthropic([FakeTurn([member("screenshot")]), FakeTurn("Done.")])
    first = await create(server)
    status, answer = await post(server, following(first, user(result("toolu_9"))), betas=[BETA])
    assert status == 400
    assert answer["error"]["message"].startswith("messages.0.content.0: unexpected `tool_use_id`")


@pytest.mark.parametrize("field", [{"system": "Other."}, {"tools": [function_tool()]}], ids=["system", "tools"])
async def test_thread_keeps_its_system_and_tools(field: Json) -> None:
    """What the thread was created with cannot be sent again."""
    server = turns("a", "b")
    first = await create(server)
    status, answer = await post(server, {**following(first, user(words("b"))), **field}, betas=[BETA])
    assert status == 400
    assert "is taken from the thread" in answer["error"]["message"]


async def refusals() -> AsyncIterator[tuple[str, int, Json]]:
    """Yields the error code of every way in which a thread cannot be continued."""
    server = turns("a", "b", "c")
    first = await create(server)
    body = following(first, user(words("b")))
    unknown = following({"id": "msg_other"}, user(words("b")))
    yield "thread_not_found", *(await post(server, unknown, betas=[BETA]))
    other = {**body, "model": "claude-opus-5-5"}
    yield "thread_fingerprint_mismatch", *(await post(server, other, betas=[BETA]))
    assert (await post(server, body, betas=[BETA]))[0] == 200
    yield "thread_already_continued", *(await post(server, body, betas=[BETA]))


async def test_thread_errors_carry_their_code() -> None:
    """Each refusal tells its reason in the error's details, where the vendor's client looks for it."""
    seen = 0
    async for code, status, answer in refusals():
        assert status == (404 if code == "thread_not_found" else 400)
        assert answer["error"]["details"]["error_code"] == code
        seen += 1
    assert seen == 3


async def test_thread_that_is_being_continued_is_refused() -> None:
    """Two continuations at once of one answer: the second is refused while the first is under way."""
    entered, leave = anyio.Event(), anyio.Event()

    async def play(view: ModelView) -> FakeTurn:
        if view.turn == 1:
            entered.set()
            await leave.wait()
        return FakeTurn("ok")

    server = FakeAnthropic(play)
    first = await create(server)
    body = following(first, user(words("b")))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: post(server, body, betas=[BETA]))
            await entered.wait()
            status, answer = await post(server, body, betas=[BETA])
            leave.set()
    assert status == 400
    assert answer["error"]["details"]["error_code"] == "thread_continue_in_flight"


async def test_thread_answer_that_was_cut_is_not_held() -> None:
    """An answer that did not reach its end is not part of the thread, which can be continued again."""
    server = turns("a", "b")
    first = await create(server)
    server.cut(after=60)
    body = following(first, user(words("b")))
    client = server.client(max_retries=0)
    with pytest.raises(anthropic.APIConnectionError):
        await client.beta.messages.create(**body, betas=[BETA])
    status, answer = await post(server, body, betas=[BETA])
    assert (status, answer["content"][0]["text"]) == (200, "b")


async def test_thread_breakpoints_count_for_one_request() -> None:
    """Cache breakpoints of earlier requests of a thread do not count against the four of the next."""
    server = turns("a", "b")
    mark = {"type": "ephemeral"}
    marked = [{**words(f"part {n}"), "cache_control": mark} for n in range(4)]
    status, first = await post(server, {**request(user(*marked)), "thread": {"type": "create"}}, betas=[BETA])
    assert status == 200
    assert (await post(server, following(first, user(*marked)), betas=[BETA]))[0] == 200


async def test_stateless_calls_of_a_batch_are_checked_alike() -> None:
    """Without a thread the same conversation is sent whole and judged by the same rules."""
    server = turns("a")
    body = request(user(words("a")), assistant(call("toolu_1")), user(result("toolu_2")))
    assert (await post(server, body))[0] == 400
