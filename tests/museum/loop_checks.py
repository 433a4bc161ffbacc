"""What a loop that asks a model must not do, as checks that any loop can be run against.

A loop is given a fake of its vendor's API, a tool that writes down what reaches it, and as little patience as it takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpx2

from deskhand import Harness, RunResult, ToolRegistry
from deskhand.providers import Screen
from deskhand.testing.models import FakeAnthropic, FakeOpenAI, FakeTurn, ModelView, ToolUse, tool_use
from tests.harness.driving import png
from tests.tools.recording import RecordingComputer

SOON: Final = 5.0
"""Seconds after which a loop counts as one that sleeps."""
LONG: Final = 60.0
"""Seconds after which it counts as one that hangs."""
LINE: Final = 12 << 20
"""Bytes of one line of an answer."""
ENOUGH: Final = 10 << 20
"""Bytes of it that a loop may read before it gives up."""

Fake = FakeAnthropic | FakeOpenAI


class FlaggedError(AssertionError):
    """What a check finds wrong with a loop."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A loop under test.

    Attributes:
        fake: Its vendor's API.
        chat: Whether that is asked for Chat Completions.
        client: Makes the vendor's client over an HTTP client.
        loop: Makes the loop over the vendor's client; it must repeat nothing by itself.
        unfinished: Why an answer may have ended without the model wanting its calls run.
    """

    fake: Callable[..., Fake]
    client: Callable[[httpx2.AsyncClient], AbstractAsyncContextManager[Any]]
    loop: Callable[[Any], Harness[Any]]
    unfinished: tuple[str, ...]
    chat: bool = False


Check = Callable[[Subject], Awaitable[None]]


@dataclass(slots=True)
class Notes:
    """A tool that keeps what it is called with."""

    taken: list[dict[str, object]] = field(default_factory=list)

    def registry(self) -> ToolRegistry:
        registry = ToolRegistry()

        @registry.tool
        async def note(text: str = "nothing", level: float = 0.0) -> str:
            """Write something down."""
            self.taken.append({"text": text, "level": level})
            return "noted"

        return registry


def flag(is_so: bool, what: str) -> None:
    """Flag a loop if something is so."""
    if is_so:
        raise FlaggedError(what)


async def run(subject: Subject, client: Any, notes: Notes, within: float = LONG) -> RunResult[Any]:
    """Run a loop to its end, which must be soon."""
    computer = RecordingComputer(Screen(64, 48))
    computer.image = png(64, 48)
    with anyio.move_on_after(within) as scope:
        return await subject.loop(client).run(computer, "Go.", tools=notes.registry())
    flag(scope.cancelled_caught, f"the loop did not end within {within:g} s")
    raise AssertionError("unreachable")


def once(view: ModelView, call: ToolUse | None = None) -> FakeTurn:
    """Ask for a note, once."""
    return FakeTurn("Done.") if view.turn else FakeTurn([call or tool_use("note", text="first")])


async def nothing_of_a_cut_answer_runs(subject: Subject) -> None:
    """Wherever an answer is cut off, in the arguments of a call or behind them, nothing of it runs."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    notes = Notes()
    async with subject.fake([once], on_chunk=keep).client() as client:
        await run(subject, client, notes)
    flag(len(notes.taken) != 1, "a whole answer did not run")
    whole = b"".join(chunks)
    ends = whole.index(b"note")
    for after in range(ends, len(whole) - 1, max(1, (len(whole) - ends) // 24)):
        if subject.chat and b'"finish_reason": "tool_calls"' in whole[:after]:
            break  # (nothing of an answer is missing any more)
        if b'"type": "response.completed"' in whole[:after] or b'"type": "message_stop"' in whole[:after]:
            break
        notes, fake = Notes(), subject.fake(once)
        fake.cut(after=after, clean=True, times=9)
        async with fake.client() as client:
            result = await run(subject, client, notes)
        flag(bool(notes.taken), f"of an answer cut after {after} bytes {notes.taken} ran")
        flag(result.outcome == "completed", f"an answer cut after {after} bytes counts as one")


STRANGE: Final[dict[str, tuple[bytes, str]]] = {
    "a page": (b"<html><body>Please log in.</body></html>", "text/html"),
    "a page as a stream": (b"<html>\n\ndata: <body>\n\n", "text/event-stream"),
    "no JSON": (b"event: content_block_delta\ndata: {broken\n\n", "text/event-stream"),
    "no UTF-8": (b"event: content_block_delta\ndata: \xff\xfe\n\n", "text/event-stream"),
    "a list": (b"event: content_block_delta\ndata: [1]\n\n", "text/event-stream"),
    "a piece of nothing": (
        b'data: {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}\n\n',
        "text/event-stream",
    ),
    "nested": (b"data: " + b"[" * 100_000 + b"\n\n", "text/event-stream"),
    "nothing": (b"", "text/event-stream"),
}
"""What may come in place of an answer."""


async def what_breaks_an_answer_is_mapped(subject: Subject) -> None:
    """Whatever comes in place of an answer, and however it breaks off, ends in an error of the hierarchy."""
    for name, (body, kind) in STRANGE.items():
        fake = subject.fake(once)
        fake.respond(body, content_type=kind, times=9)
        await _fails(subject, fake, name)
    for after in (0, 200, 600):
        fake = subject.fake(once)
        fake.cut(after=after, times=9)
        await _fails(subject, fake, f"a connection that breaks after {after} bytes")
    fake = subject.fake(once)
    fake.drop(times=9)
    await _fails(subject, fake, "a connection without an answer")


async def _fails(subject: Subject, fake: Fake, what: str) -> None:
    notes = Notes()
    async with fake.client() as client:
        result = await run(subject, client, notes)
    flag(bool(notes.taken), f"{what} ran a call")
    flag(result.outcome != "failed" or result.error is None, f"{what} ended as {result.outcome}")
    if result.error is not None:
        flag(result.error.code == "internal", f"{what} got out as it was raised: {result.error.message}")


async def one_attempt_is_one_request(subject: Subject) -> None:
    """What is not to be repeated is asked for once, so that each answer that is paid for is counted."""
    for status in (408, 409, 429, 500, 503):
        fake = subject.fake(once)
        fake.fail(status, retry_after_ms=1, times=9)
        async with fake.client() as client:
            await run(subject, client, Notes())
        flag(len(fake.requests) != 1, f"status {status} was asked for {len(fake.requests)} times")


async def absurd_wait_is_told_at_once(subject: Subject) -> None:
    """A header that asks to wait for a day, or until another century, is told and not obeyed."""
    for wait in ("100000", "inf", "1e400", "Fri, 01 Jan 2100 00:00:00 GMT"):
        fake = subject.fake(once)
        fake.fail(429, retry_after=wait, times=9)
        async with fake.client() as client:
            result = await run(subject, client, Notes(), SOON)
        flag(result.outcome != "failed", f"a wait of {wait} ended as {result.outcome}")


class _Line(httpx2.AsyncByteStream):
    """A line that takes very long to end, and how much of it was read."""

    def __init__(self) -> None:
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"data: "
        while self.read < LINE:
            self.read += 1 << 16
            yield b"x" * (1 << 16)
        yield b"\n\n"


async def endless_line_is_left(subject: Subject) -> None:
    """A line that does not end is given up at a bound."""
    line = _Line()

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=line)

    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as http,
        subject.client(http) as client,
    ):
        result = await run(subject, client, Notes())
    flag(line.read > ENOUGH, f"{line.read >> 20} MiB of one line were read")
    flag(result.outcome != "failed", f"an endless line ended as {result.outcome}")


async def calls_run_only_when_the_model_stopped_for_them(subject: Subject) -> None:
    """Calls of an answer that ended for another reason are not run."""
    for reason in subject.unfinished:

        def play(view: ModelView, reason: Any = reason) -> FakeTurn:
            call = tool_use("note", text="unfinished")
            return FakeTurn("Done.") if view.turn else FakeTurn([call], stop_reason=reason)

        notes = Notes()
        async with subject.fake(play).client() as client:
            await run(subject, client, notes)
        flag(bool(notes.taken), f"an answer that ended with {reason} ran {notes.taken}")


AMBIGUOUS: Final = (
    '{"text": "a", "text": "b"}',
    '{"level": NaN}',
    '{"level": Infinity}',
    '{"level": 1e999}',
    '{"text": "\\ud800"}',
    '{"text": "a", "more": ' + "[" * 5_000 + "]" * 5_000 + "}",
    '{"level": ' + "9" * 5_000 + "}",
    '{"text": "a"',
    '{"text": "a"} {"text": "b"}',
)
"""Arguments that two readers may read differently, or one at all."""


async def arguments_are_read_strictly(subject: Subject) -> None:
    """Arguments that are ambiguous, endless or no JSON are answered with an error, and nothing runs."""
    for raw in AMBIGUOUS:

        def play(view: ModelView, raw: str = raw) -> FakeTurn:
            return once(view, ToolUse("note", {}, raw_input=raw))

        notes = Notes()
        async with subject.fake(play).client() as client:
            result = await run(subject, client, notes)
        flag(bool(notes.taken), f"{raw[:40]} ran as {notes.taken}")
        flag(result.outcome != "completed", f"{raw[:40]} ended the run: {result.error}")


CHECKS: Final[tuple[Check, ...]] = (
    nothing_of_a_cut_answer_runs,
    what_breaks_an_answer_is_mapped,
    one_attempt_is_one_request,
    absurd_wait_is_told_at_once,
    endless_line_is_left,
    calls_run_only_when_the_model_stopped_for_them,
    arguments_are_read_strictly,
)
"""Every check."""
