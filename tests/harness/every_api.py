"""The three formats in which models are asked, so that a test can be held against each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from deskhand import (
    ClaudeComputerUseHarness,
    Harness,
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
    RunContext,
    RunResult,
    computer_tools,
)
from deskhand.harness.loops.conversation import Conversation, Rules
from deskhand.harness.models import ModelAdapter, Turn
from deskhand.harness.models.anthropic import AnthropicCodec
from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.offer import Settings as ClaudeSettings
from deskhand.harness.models.openai_chat import ChatCodec
from deskhand.harness.models.openai_codec import Settings
from deskhand.harness.models.openai_door import OpenAIDoor
from deskhand.harness.models.openai_responses import ResponsesCodec
from deskhand.harness.models.profiles import profile_of
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.retry import Clock
from deskhand.testing.models import (
    FakeAnthropic,
    FakeOpenAI,
    FakeTurn,
    ModelView,
    ToolUse,
    action,
    computer_call,
    member,
    text,
    thinking,
    tool_use,
)
from deskhand.testing.models.script import Script
from tests.harness.driving import small_computer
from tests.tools.recording import RecordingComputer

AT_ONCE = Patience(base=0)
CLAUDE, GPT = "claude-sonnet-5-5", "gpt-5.5"


@dataclass(frozen=True)
class Format:
    """One way in which models are asked.

    Attributes:
        fake: Plays the vendor.
        overloaded: The status by which the vendor says that it has too much to do.
        harness: Makes the loop of a client.
        codec: Makes what speaks the vendor's protocol.
        client: Makes the vendor's client of a transport.
        click: Asks for a click, under an id.
    """

    fake: Callable[..., Any]
    overloaded: int
    harness: Callable[..., Any]
    codec: Callable[..., ModelAdapter]
    client: Callable[[httpx2.AsyncBaseTransport], Any]
    click: Callable[..., Any]


def _claude_codec(tools: Toolbox, client: Any, **more: Any) -> ModelAdapter:
    return AnthropicCodec(
        ClaudeSettings(CLAUDE, profile_of(CLAUDE), "Be quick.", 8000), tools, AnthropicDoor(client, **more)
    )


def _responses_codec(tools: Toolbox, client: Any, **more: Any) -> ModelAdapter:
    settings = Settings(GPT, profile_of(GPT), "Be quick.", native=True)
    return ResponsesCodec(settings, tools, OpenAIDoor(client, "responses", **more))


def _chat_codec(tools: Toolbox, client: Any, **more: Any) -> ModelAdapter:
    return ChatCodec(Settings(GPT, profile_of(GPT), "Be quick."), tools, OpenAIDoor(client, "chat", **more))


def _anthropic_client(transport: httpx2.AsyncBaseTransport) -> Any:
    return anthropic.AsyncAnthropic(api_key="k", http_client=httpx2.AsyncClient(transport=transport))


def _openai_client(transport: httpx2.AsyncBaseTransport) -> Any:
    return openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport))


FORMATS: Mapping[str, Format] = {
    "claude": Format(
        FakeAnthropic,
        529,
        ClaudeComputerUseHarness,
        _claude_codec,
        _anthropic_client,
        lambda x, y, call_id=None: ToolUse("left_click", {"coordinate": [x, y]}, "computer", id=call_id),
    ),
    "responses": Format(
        FakeOpenAI,
        503,
        OpenAIComputerUseHarness,
        _responses_codec,
        _openai_client,
        lambda x, y, call_id=None: computer_call(action("click", x=x, y=y), call_id=call_id),
    ),
    "chat": Format(
        FakeOpenAI,
        503,
        lambda *args, **more: OpenAIFunctionHarness(*args, api="chat", **more),
        _chat_codec,
        _openai_client,
        lambda x, y, call_id=None: ToolUse("left_click", {"x": x, "y": y}, id=call_id),
    ),
}
"""Every format by its name."""

EVERY = pytest.mark.parametrize("name", FORMATS)


def look(name: str) -> Any:
    """Ask for a screenshot as the format does."""
    if name == "claude":
        return member("screenshot")
    return computer_call(action("screenshot")) if name == "responses" else tool_use("screenshot")


def click_once(name: str) -> Callable[[ModelView], FakeTurn]:
    """Play a model that thinks, speaks, clicks once, and is done."""
    asked = FORMATS[name].click(10, 20)
    return lambda view: FakeTurn("Done.") if view.turn else FakeTurn([thinking("hm"), text("Ich klicke, ö."), asked])


async def run(fake: Any, name: str, computer: RecordingComputer | None = None, **more: Any) -> RunResult[str]:
    """Run the format's loop against a fake without waiting between attempts; every history must be legal."""
    given = {key: more.pop(key) for key in ("stuck", "budget") if key in more}
    more.setdefault("patience", AT_ONCE)
    async with fake.client() as client:
        harness = FORMATS[name].harness(client=client, **more)
        result: RunResult[str] = await harness.run(computer or small_computer(), "Go.", **given)
    fake.raise_script_errors()
    return result


def refused(fake: Any) -> list[str]:
    """Return what the vendor found wrong with the requests that it got."""
    return [request.error for request in fake.requests if request.status == 400]


class Seen:
    """Plays turns, then says that it is done; keeps what the model saw before each."""

    def __init__(self, *turns: FakeTurn) -> None:
        self.turns = turns
        self.views: list[ModelView] = []

    def __call__(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        return self.turns[len(self.views) - 1] if len(self.views) <= len(self.turns) else FakeTurn("Done.")


class Timed(Harness[str]):
    """The bundled loop of a format, with a clock of the test's."""

    def __init__(self, name: str, client: Any, clock: Clock, patience: Patience | None = None) -> None:
        self._format = FORMATS[name]
        self._client = client
        self._rules: Rules[str] = Rules(
            model=CLAUDE if name == "claude" else GPT,
            read=str,
            max_turns=20,
            max_tokens=None,
            patience=patience or Patience(),
            deadlines=Deadlines(),
            clock=clock,
        )

    def within(self, deadlines: Deadlines) -> Timed:
        """Set how long an answer may take."""
        self._rules = replace(self._rules, deadlines=deadlines)
        return self

    async def drive(self, run: RunContext) -> str | None:
        codec = self._format.codec(Toolbox.of(run), self._client, clock=self._rules.clock)
        return await Conversation(self._rules, run, codec).pursue()


async def answer_of(name: str, script: Script | None = None) -> bytes:
    """Record the bytes of an answer; of the one that asks for a click, where no script is given."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    await run(FORMATS[name].fake(script or [click_once(name)], on_chunk=keep), name, max_turns=1)
    return b"".join(chunks)


class Pieces(httpx2.AsyncByteStream):
    """A body as the network brings it."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


STREAM = {"content-type": "text/event-stream"}


@asynccontextmanager
async def reading(name: str, respond: Callable[[], httpx2.Response], **more: Any) -> AsyncIterator[Callable[[], Any]]:
    """Give a function that receives one answer, whatever the response to it is."""
    transport = httpx2.MockTransport(lambda _: respond())
    async with FORMATS[name].client(transport) as client:
        codec = FORMATS[name].codec(Toolbox({"box": computer_tools(small_computer())}), client, **more)
        request = codec.transcript().request()

        async def read() -> Turn:
            decoder = codec.decoder()
            async with codec.stream(request) as batches:
                async for batch in batches:
                    decoder.feed(batch)
            return decoder.turn()

        yield read
