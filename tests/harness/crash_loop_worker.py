"""A bundled loop that is made to be killed, again and again, and each time takes its run up from the log.

    python -m tests.harness.crash_loop_worker LOG BLOBS SOCKET

It loads everything once. For each line ``RUN AT DELAY`` it forks a worker, which starts a run (``-``) or recovers it;
the worker kills itself at its AT-th checkpoint, or is killed after DELAY seconds. Then it prints what became of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.to_thread
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from PIL import Image, ImageChops, ImageSequence  # noqa: F401 (the loop loads them late)
from pydantic import BaseModel, JsonValue

from deskhand import DirectoryBlobs, Engine, RunContext, SqliteLog, Tool, ToolContext
from deskhand.harness import ModelHarness
from deskhand.harness.events import EventBase, Usage
from deskhand.harness.models.adapter import Json, ModelAdapter
from deskhand.harness.models.anthropic import AnthropicCodec
from deskhand.harness.models.offer import Settings
from deskhand.harness.models.profiles import ANTHROPIC_API, DEFAULT_PROFILE
from deskhand.harness.models.retry_budget import RetryBudget
from deskhand.harness.models.toolbox import Toolbox
from deskhand.harness.models.transcript import Request
from deskhand.harness.prices import price_of
from deskhand.tools.registry import Arguments, ToolOutput
from tests.tools.recording import RecordingComputer

TURNS = 8
"""Answers with calls; each asks for three."""


class Checkpoints:
    """Counts the instants at which the worker can die, and dies at one of them."""

    left = 0

    @classmethod
    def passed(cls) -> None:
        """Be at the next one."""
        cls.left -= 1
        if cls.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class CrashingLog(SqliteLog):
    """A log around whose every write the worker may die."""

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        Checkpoints.passed()
        return super().append(run_id, epoch, events)

    async def barrier(self, run_id: str) -> None:
        Checkpoints.passed()
        await super().barrier(run_id)
        Checkpoints.passed()


class Number(Arguments):
    """Which one."""

    n: int


class World:
    """The connection to the ledger."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._answers = BufferedByteReceiveStream(stream)

    async def ask(self, verb: str, name: str) -> bool:
        """Have something done, or ask whether it was."""
        Checkpoints.passed()
        await self._stream.send(f"{verb} {name}\n".encode())
        Checkpoints.passed()
        answer = await self._answers.receive_until(b"\n", 16)
        Checkpoints.passed()
        return answer == b"yes"

    def tools(self) -> list[Tool]:
        """The tools that act on it: one that nobody can ask about, one that the ledger knows by its call."""

        async def press(context: ToolContext[object], arguments: BaseModel) -> ToolOutput:
            await self.ask("do", f"press/{context.call_id}")
            return ToolOutput("pressed")

        async def order(context: ToolContext[object], arguments: BaseModel) -> ToolOutput:
            await self.ask("do", f"order/{context.call_id}")
            return ToolOutput("ordered")

        async def ordered(context: ToolContext[object], arguments: BaseModel) -> ToolOutput | None:
            return ToolOutput("ordered") if await self.ask("did", f"order/{context.call_id}") else None

        return [
            Tool("press", "Press.", Number, press),
            Tool("order", "Order.", Number, order, effect="queryable", happened=ordered),
        ]


class ScriptedDoor:
    """A model without a wire: what it answers depends on the history alone."""

    max_body = 32_000_000
    platform = ANTHROPIC_API
    retries = RetryBudget()

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Json]]]:
        """Answer."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncIterator[AsyncIterator[Sequence[Json]]]:
        messages = request.view()["messages"]
        assert isinstance(messages, list)
        turn = sum(1 for message in messages if isinstance(message, dict) and message["role"] == "assistant")
        yield self._answer(turn)

    async def _answer(self, turn: int) -> AsyncIterator[Sequence[Json]]:
        yield [{"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}]
        names = ["press", "order", "press"] if turn < TURNS else []
        for index, name in enumerate(names):
            block: JsonValue = {"type": "tool_use", "id": f"toolu_{turn}_{index}", "name": name, "input": {}}
            given: JsonValue = {"type": "input_json_delta", "partial_json": json.dumps({"n": 3 * turn + index})}
            yield [
                {"type": "content_block_start", "index": index, "content_block": block},
                {"type": "content_block_delta", "index": index, "delta": given},
                {"type": "content_block_stop", "index": index},
            ]
        if not names:
            done: JsonValue = {"type": "text", "text": "Done."}
            yield [{"type": "content_block_start", "index": 0, "content_block": done}]
            yield [{"type": "content_block_stop", "index": 0}]
        stop: JsonValue = {"stop_reason": "tool_use" if names else "end_turn"}
        yield [{"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}}, {"type": "message_stop"}]


class Loop(ModelHarness[str]):
    """The bundled loop with the scripted model."""

    @asynccontextmanager
    async def adapter(self, run: RunContext) -> AsyncIterator[ModelAdapter]:
        settings = Settings(self.model, DEFAULT_PROFILE, self.instructions, 1000)
        yield AnthropicCodec(settings, Toolbox.of(run), ScriptedDoor())


async def work(log: str, blobs: str, socket: str, run_id: str) -> None:
    """Start a run or take it up, and go on to its end."""
    async with (
        await anyio.connect_unix(socket) as stream,
        CrashingLog(log) as opened,
        Engine(log=opened, blobs=DirectoryBlobs(blobs)) as engine,
    ):
        harness, computer = Loop("scripted"), RecordingComputer(None)
        tools = World(stream).tools()
        if run_id == "-":
            run = await engine.start(harness, computer, "Go.", tools=tools)
        else:
            run = await engine.recover(run_id, harness=harness, computer=computer, tools=tools)
        result = await run.result()
        assert result.outcome == "completed", result


def serve(log: str, blobs: str, socket: str) -> None:
    """Fork a worker for each line, with everything loaded that it will need."""
    anyio.run(anyio.sleep, 0)
    Image.preinit()
    price_of("scripted", Usage())
    for line in sys.stdin:
        run_id, at, delay = line.split()
        worker = os.fork()
        if worker == 0:
            code = 1
            try:
                Checkpoints.left = int(at)
                anyio.run(work, log, blobs, socket, run_id)
                code = 0
            except BaseException as error:  # (nothing of the parent's may run in the fork)
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            finally:
                os._exit(code)
        if float(delay):
            time.sleep(float(delay))
            os.kill(worker, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        print(code, flush=True)  # noqa: T201 (the answer)


if __name__ == "__main__":
    serve(*sys.argv[1:])
