"""One realistic instance of every error, made through public code wherever it can be."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from PIL import Image

from deskhand import (
    Capability,
    DeskhandError,
    DirectoryBlobs,
    Engine,
    Harness,
    MemoryLog,
    RunContext,
    SqliteLog,
    ToolCall,
    ToolContext,
    ToolRegistry,
    attach,
    open_computer,
    open_run,
    provider,
)
from deskhand.errors import ConnectionLostError, OutcomeUnknownError, QuarantinedError, TruncatedStreamError
from deskhand.harness import FrameLimits, Stuck
from deskhand.harness.events import RunPaused
from deskhand.harness.frames import prepare_frame
from deskhand.harness.loops.claude import ClaudeComputerUseHarness
from deskhand.harness.loops.openai import OpenAIComputerUseHarness
from deskhand.harness.models.anthropic_door import ANTHROPIC
from deskhand.testing import FakeComputer
from deskhand.testing.models import FakeAnthropic, FakeTurn, text, tool_use
from deskhand.testing.simulators import OrgoPlan, OrgoSimulator
from deskhand.tools.calls import ErrorInfo

Case = Callable[[Path], Awaitable[object]]

CASES: dict[str, Case] = {}


def case(title: str) -> Callable[[Case], Case]:
    """Add a situation: a function that raises, or returns a run's error."""

    def add(function: Case) -> Case:
        assert title not in CASES
        CASES[title] = function
        return function

    return add


async def seen(title: str, folder: Path) -> ErrorInfo:
    """Bring a situation about and return the error."""
    try:
        error = await CASES[title](folder)
    except DeskhandError as raised:
        return ErrorInfo.of(raised)
    assert isinstance(error, ErrorInfo), f"{title}: no error but {error!r}"
    return error


# What is missing or wrong around the program


@case("no provider of that name")
async def _(folder: Path) -> object:
    return provider("locl")


@case("a computer's name without an id")
async def _(folder: Path) -> object:
    async with attach("local"):
        return None
    return None


@case("an existing computer's name where a fresh one is opened")
async def _(folder: Path) -> object:
    async with open_computer("local:cmp_01"):
        return None
    return None


@case("a model that does not take the computer tool")
async def _(folder: Path) -> object:
    return OpenAIComputerUseHarness(model="gpt-4.1")


@case("no key")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer:
        return (await ClaudeComputerUseHarness().run(computer, "greet")).error


# The model's API


async def asked(fake: FakeAnthropic, *, api_key: str | None = None, model: str = "claude-sonnet-5-5") -> object:
    """Let the loop ask the fake; return what ended the run."""
    client = fake.client(api_key=api_key, max_retries=0)
    async with FakeComputer() as computer:
        return (await ClaudeComputerUseHarness(model=model, client=client).run(computer, "greet")).error


async def answered(status: int, message: str | None = None) -> object:
    """Ask the API once, and map what its client raises."""
    fake = FakeAnthropic([FakeTurn("Hello.")])
    fake.fail(status, message=message)
    try:
        await fake.client(max_retries=0).messages.create(
            model="claude-sonnet-5-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    except Exception as error:
        raise ANTHROPIC.map_error(error) from error
    return None


@case("a wrong key")
async def _(folder: Path) -> object:
    return await asked(FakeAnthropic([FakeTurn("Hello.")]), api_key="sk-ant-wrong")


@case("an unknown model")
async def _(folder: Path) -> object:
    return await asked(FakeAnthropic([FakeTurn("Hello.")]), model="claude-nonesuch-9")


@case("a key that may not do this")
async def _(folder: Path) -> object:
    return await answered(403, "Your API key does not have permission to use this model.")


@case("a plan that allows no more")
async def _quota(_: Path) -> object:
    async with OrgoSimulator(plan=OrgoPlan(computers=0)) as simulator, provider("orgo", **simulator.options()) as orgo:
        await orgo.create(name="one more")
    return None


@case("a request that the API finds wrong")
async def _(folder: Path) -> object:
    return await answered(400, "messages: at least one message is required")


@case("a request that is too large")
async def _(folder: Path) -> object:
    return await answered(413, "Request exceeds the maximum size.")


@case("too many requests")
async def _(folder: Path) -> object:
    return await answered(429)


@case("an overloaded API")
async def _(folder: Path) -> object:
    return await answered(529)


@case("an API that failed")
async def _(folder: Path) -> object:
    return await answered(500)


@case("an API that cannot be reached")
async def _(folder: Path) -> object:
    raise ConnectionLostError(
        "Anthropic's API cannot be reached: ConnectError: All connection attempts failed",
        provider="anthropic",
        effect="no",
    )


@case("an answer that was cut off")
async def _(folder: Path) -> object:
    raise TruncatedStreamError("the model's answer ended before its last event", provider="anthropic")


@case("an answer that is invalid, twice")
async def _(folder: Path) -> object:
    turn = FakeTurn([text("I call nothing.")], stop_reason="tool_use")
    return await asked(FakeAnthropic([turn, turn]))


@case("a model that declines")
async def _(folder: Path) -> object:
    return await asked(FakeAnthropic([FakeTurn("", stop_reason="refusal")]))


@case("no turns left")
async def _(folder: Path) -> object:
    client = FakeAnthropic(lambda _: FakeTurn([tool_use("exec", command="true")])).client()
    async with FakeComputer() as computer:
        return (await ClaudeComputerUseHarness(client=client, max_turns=2).run(computer, "greet")).error

    # Calls that cannot be done
    return None


@case("an unknown tool")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        return (await run.act("left_clik", x=1, y=1)).error
    return None


@case("an argument of the wrong type")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        return (await run.act("left_click", x="far left", y=1)).error
    return None


@case("an argument that nobody asked for")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        return (await run.act("exec", command="ls", directory="/tmp")).error
    return None


@case("arguments that are no JSON")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        return (await run.act(ToolCall("exec", '{"command": "ls'))).error
    return None


@case("coordinates off the frame")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        await run.look()
        return (await run.act("left_click", x=1280, y=10)).error
    return None


@case("an unknown key")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer:
        await computer.key("ctrl+entr")
    return None


@case("a file that is not there")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer:
        await computer.read_file("notes.txt")
    return None


@case("a file that is no text")
async def _(folder: Path) -> object:
    async with FakeComputer(files={"photo.png": b"\x89PNG\r\n"}) as computer:
        await computer.read_file("photo.png")
    return None


@case("a computer without a screen")
async def _(folder: Path) -> object:
    async with FakeComputer(capabilities=[Capability.EXEC, Capability.FILES], computer_id="cmp_01") as computer:
        await computer.screenshot()
    return None


@case("a command that never ends")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        return (await run.act("exec", command="sleep 1000", timeout=0.1)).error
    return None


@case("a tool that takes too long")
async def _(folder: Path) -> object:
    registry = ToolRegistry()

    @registry.tool(timeout=0.05)
    async def ponder() -> str:
        """Think for ever."""
        await anyio.sleep_forever()
        return ""

    async with FakeComputer() as computer:
        return await registry.dispatch(computer, "ponder", {})
    return None


@case("a tool that raises")
async def _(folder: Path) -> object:
    registry = ToolRegistry()

    @registry.tool
    async def divide(context: ToolContext[None], by: int) -> float:
        """Divide one."""
        return 1 / by

    async with FakeComputer() as computer, open_run(computer, "try", tools=registry) as run:
        await run.act("divide", by=0, check=True)
    return None


@case("a computer that is gone")
async def _(folder: Path) -> object:
    async with FakeComputer(computer_id="cmp_01") as computer:
        await computer.destroy()
        await computer.exec("true")
    return None


@case("a request without an answer")
async def _(folder: Path) -> object:
    raise OutcomeUnknownError(
        "the connection broke after the click was sent and before it was confirmed",
        hint="look at the screen before anything is done again",
        provider="orgo",
        request_id="req_8aK2",
    )


@case("a screenshot that is no image")
async def _(folder: Path) -> object:
    return await prepare_frame(b"<html>502 Bad Gateway</html>", FrameLimits(), anyio.CapacityLimiter(1))


@case("a screenshot of absurd size")
async def _(folder: Path) -> object:
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    png = bytearray(buffer.getvalue())
    png[16:24] = struct.pack(">II", 40_000, 40_000)  # its header claims what nobody has to draw
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return await prepare_frame(bytes(png), FrameLimits(), anyio.CapacityLimiter(1))


@case("a computer in use by another run")
async def _(folder: Path) -> object:
    async with FakeComputer(computer_id="cmp_01") as computer, open_run(computer, "1"), open_run(computer, "2"):
        return None
    return None


@case("a run that was stopped")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer, open_run(computer, "try") as run:
        await run.stop()
        await run.act("exec", command="true")
    return None


@case("a run that has ended")
async def _(folder: Path) -> object:
    async with FakeComputer() as computer:
        async with open_run(computer, "try") as run:
            pass
        await run.pause()
    return None


@case("an unknown run")
async def _(folder: Path) -> object:
    async with Engine() as engine:
        return await engine.get("run_01K")
    return None


@case("a run that did not complete")
async def _(folder: Path) -> object:
    fake = FakeAnthropic([FakeTurn("", stop_reason="refusal")])
    async with FakeComputer() as computer:
        result = await ClaudeComputerUseHarness(client=fake.client()).run(computer, "greet")
    result.raise_for_outcome()
    return None

    # The log
    return None


@case("a memory log that is full")
async def _(folder: Path) -> object:
    async with MemoryLog(limit=2) as log, FakeComputer() as computer, open_run(computer, "try", log=log) as run:
        await run.act("exec", command="true")
    return None


@case("a log that cannot be opened")
async def _(folder: Path) -> object:
    (folder / "file").write_text("in the way")
    async with SqliteLog(folder / "file" / "events.db"):
        pass
    return None
    return None


@case("a log that is none")
async def _(folder: Path) -> object:
    (folder / "events.db").write_bytes(b"a letter to my aunt, " * 200)
    async with SqliteLog(folder / "events.db"):
        pass
    return None
    return None


@case("a log that another process took over")
async def _(folder: Path) -> object:
    log = MemoryLog()
    old = await log.claim("run_01K")
    await log.claim("run_01K")
    log.append(
        "run_01K", old, [RunPaused.model_validate({"source": "/", "run_id": "run_01K", "data": {"actor": "me"}})]
    )
    return None


@case("a frame that is damaged")
async def _(folder: Path) -> object:
    blobs = DirectoryBlobs(folder / "blobs")
    key = await blobs.put(b"an image")
    (folder / "blobs" / key[:2] / key).write_bytes(b"something else")
    return await blobs.get(key)


@case("a frame that is no longer kept")
async def _(folder: Path) -> object:
    return await DirectoryBlobs(folder / "blobs").get("0" * 64)


@case("a run that goes in circles")
async def _(folder: Path) -> object:
    class Circles(Harness[None]):
        async def drive(self, run: RunContext) -> None:
            while True:
                await run.act("left_click", x=1, y=1)
                await run.look()

    async with FakeComputer() as computer:
        return (await Circles().run(computer, "turn", stuck=Stuck())).error


@case("a run that died too often")
async def _(folder: Path) -> object:
    raise QuarantinedError("the run died 11 times; it is not taken up again")
