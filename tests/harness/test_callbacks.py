"""What people plug into a run may raise anything, and may stop it from within: the run stays whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import anyio
import pytest

from deskhand import MemoryLog, Policy, RunContext, ToolError
from deskhand.errors import DeskhandError
from deskhand.harness import ApprovalRequest, Decision, Judgement, PolicyRequest, Rule, Run, lag
from deskhand.harness.events import ActionFinished, Event, LoopBlocked
from deskhand.tools import ToolRegistry
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.logs import attribute


class Odd(BaseException):
    """An exception that is no `Exception`."""


def tools_that(act: Callable[[], object]) -> ToolRegistry:
    """Make a registry whose tools do something odd, on the loop and in a thread."""
    registry = ToolRegistry()

    @registry.tool
    async def odd() -> str:
        """Do something odd."""
        return str(act())

    @registry.tool
    def odd_in_thread() -> str:
        """Do something odd in a thread."""
        return str(act())

    return registry


def raises(error: BaseException) -> Callable[[], object]:
    """Raise an exception when called."""

    def act() -> object:
        raise error

    return act


@pytest.mark.parametrize("tool", ["odd", "odd_in_thread"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ToolError("plainly wrong"), "plainly wrong"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (SystemExit(3), "SystemExit: 3"),
        (ExceptionGroup("g", [ExceptionGroup("h", [ToolError("inner")]), ValueError("w")]), "inner"),
        (BaseExceptionGroup("g", [SystemExit(4)]), "SystemExit: 4"),
    ],
    ids=["tool-error", "exception", "system-exit", "group", "exit-in-a-group"],
)
async def test_whatever_a_tool_raises_is_one_typed_error(tool: str, error: BaseException, said: str) -> None:
    """The model reads it, the log holds it, and the loop goes on."""

    async def drive(run: RunContext) -> str:
        return (await run.act(tool)).text + (await run.act("exec", command="still here")).text

    with anyio.fail_after(10):
        async with MemoryLog() as log:
            result = await Driver(drive).run(computer_with_screen(), "odd", tools=tools_that(raises(error)), log=log)
            ends = await log.read(result.run_id, types=["action.finished"])
    result.raise_for_outcome()
    assert result.output == f"{said}still here"
    assert [end.data.outcome for end in ends if isinstance(end, ActionFinished)][1] == "ok"


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError("v")]), Odd("odd")],
    ids=["interrupt", "interrupt-in-a-group", "base-exception"],
)
def test_what_wants_the_program_to_end_ends_the_run_cleanly(error: BaseException) -> None:
    """Each action and the run have their end in the log, whatever way it takes out of the loop."""
    computer = computer_with_screen()
    log = MemoryLog()

    async def drive(run: RunContext) -> None:
        await run.act("left_mouse_down")
        await run.act("odd")

    async def main() -> None:
        result = await Driver(drive).run(computer, "odd", tools=tools_that(raises(error)), log=log)
        assert result.outcome in {"stopped", "failed"}

    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
    else:
        asyncio.run(main())
    kinds = [entry.event.type for entry in asyncio.run(log.read_all())]
    assert kinds.count("action.started") == kinds.count("action.finished") == 3  # the third releases the button
    assert kinds[-1] == "run.finished"
    assert kinds.count("run.finished") == 1
    [end] = [entry.event for entry in asyncio.run(log.read_all()) if entry.event.type == "run.finished"]
    assert end.summary in {"run stopped (signal)", "run failed (error)"}


async def test_subscriber_that_raises_ends_its_own_block_and_the_run_is_stopped() -> None:
    """Its error is the caller's, unwrapped; the run ends as left, not as failed."""

    async def drive(run: RunContext) -> None:
        while True:
            await run.act("left_click", x=1, y=1)
            await anyio.lowlevel.checkpoint()

    runs: list[Run[str]] = []

    async def follow() -> None:
        async with Driver(drive).start(computer_with_screen(), "click") as run:
            runs.append(run)
            async for event in run.events(types=["action.finished"]):
                raise LookupError(event.type)

    with anyio.fail_after(10), pytest.raises(LookupError, match=r"action\.finished"):
        await follow()
    result = await runs[0].result()
    assert (result.outcome, result.reason) == ("stopped", "left")


async def test_subscriber_that_raises_in_its_own_task_disturbs_nobody() -> None:
    """Other subscribers and the run see nothing of it."""
    seen: list[Event] = []

    async def drive(run: RunContext) -> str:
        for n in range(5):
            run.emit("test.count", n)
            await anyio.lowlevel.checkpoint()
        return "done"

    async def raising(run: Run[str]) -> None:
        async for event in run.events():
            raise ZeroDivisionError(event.type)

    async def bad(run: Run[str]) -> None:
        with pytest.raises(ZeroDivisionError):
            await raising(run)

    async def good(run: Run[str]) -> None:
        seen.extend([event async for event in run.events()])

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), "count") as run, anyio.create_task_group() as tasks:
            tasks.start_soon(bad, run)
            tasks.start_soon(good, run)
    assert (await run.result()).output == "done"
    assert [event.seq for event in seen] == list(range(1, 9))


@pytest.mark.parametrize("now", [False, True], ids=["gracefully", "now"])
async def test_subscriber_may_stop_the_run_it_follows(now: bool) -> None:
    """Its stream still ends with the run's end."""

    async def drive(run: RunContext) -> None:
        while True:
            await run.act("left_click", x=1, y=1)
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), "click") as run:
            kinds = []
            async for event in run.events():
                kinds.append(event.type)
                if event.type == "action.finished":
                    await run.stop(now=now)
                    await run.stop(now=now, reason="twice")
            result = await run.result()
    assert kinds[-1] == "run.finished"
    assert (result.outcome, result.reason) == ("stopped", "user")


async def test_subscriber_may_close_its_stream_from_within() -> None:
    """Nothing more comes, and nothing hangs."""

    async def drive(run: RunContext) -> str:
        return "done"

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), "look") as run:
            stream = run.events()
            seen = []
            async for event in stream:
                seen.append(event)
                await stream.aclose()
            assert len(seen) == 1
            assert (await run.result()).output == "done"


@pytest.mark.parametrize("now", [False, True], ids=["gracefully", "now"])
async def test_tool_may_stop_its_own_run(now: bool) -> None:
    """From within an action: that one has its end in the log, none follows, and the run is stopped."""
    registry = ToolRegistry()
    holder: list[Run[str]] = []
    started = anyio.Event()

    @registry.tool
    async def enough() -> str:
        """Stop the run."""
        await holder[0].stop(now=now, reason="enough")
        await anyio.lowlevel.checkpoint()
        return "stopped"

    async def drive(run: RunContext) -> None:
        await started.wait()
        await run.act("enough")
        await run.act("left_click", x=1, y=1)

    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with Driver(drive).start(computer, "stop", tools=registry) as run:
            holder.append(run)
            started.set()
            result = await run.result()
            ends = [event async for event in run.events(types=[ActionFinished])]
    assert (result.outcome, result.reason) == ("stopped", "enough")
    assert computer.performed == []
    outcomes = [event.data.outcome for event in ends if isinstance(event, ActionFinished)]
    assert outcomes == (["cancelled"] if now else ["ok", "cancelled"])


async def test_driver_that_waits_for_its_own_result_is_stopped_by_leaving() -> None:
    """A deadlock of one's own making is bounded by the block."""
    holder: list[Run[str]] = []
    started = anyio.Event()

    async def drive(run: RunContext) -> None:
        await started.wait()
        await holder[0].result()

    from deskhand.harness import engine

    with anyio.fail_after(10), attribute(engine, "GRACE", 0.05):
        async with Driver(drive).start(computer_with_screen(), "wait") as run:
            holder.append(run)
            started.set()
            await anyio.wait_all_tasks_blocked()
    assert (await run.result()).outcome == "stopped"


async def test_event_of_ones_own_that_is_no_json_is_refused_at_once() -> None:
    """Where it is emitted, so that neither the log nor a subscriber meets it."""

    async def drive(run: RunContext) -> str:
        said = []
        deep: list[object] = []
        for _ in range(100):
            deep = [deep]
        for value in (object(), deep, {"x": {1, 2}}):
            try:
                run.emit("test.odd", value)  # type: ignore[arg-type]
            except (DeskhandError, ValueError) as error:
                said.append(type(error).__name__)
        run.emit("test.fine", [1])
        return " ".join(said)

    result = await Driver(drive).run(computer_with_screen(), "emit")
    assert len((result.output or "").split()) == 3


HELD = 0.1


def hold_the_loop() -> None:
    """Do what no callback should."""
    time.sleep(HELD)


@pytest.mark.parametrize("who", ["the tool odd", "the policy", "on_approval", "the driver", "a subscriber"])
async def test_callback_that_holds_the_loop_is_told_by_name(who: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once, however often it does it: an event for whoever follows, a line in the program's log; the run goes on."""
    registry = tools_that(hold_the_loop if who == "the tool odd" else lambda: "quick")

    def policy(request: PolicyRequest) -> Judgement:
        if who == "the policy":
            hold_the_loop()
        return Judgement("ask" if request.call.name == "odd" else "allow")

    async def on_approval(request: ApprovalRequest) -> bool:
        if who == "on_approval":
            hold_the_loop()
        return True

    async def drive(run: RunContext) -> str:
        for _ in range(3):
            if who == "the driver":
                hold_the_loop()
            await run.act("odd")
            await anyio.lowlevel.checkpoint()
        return "done"

    told: list[LoopBlocked] = []
    with anyio.fail_after(20), attribute(lag, "LIMIT", HELD / 2):
        async with Driver(drive).start(
            computer_with_screen(), "hold", tools=registry, policy=policy, on_approval=on_approval
        ) as run:
            async for event in run.events():
                if isinstance(event, LoopBlocked):
                    told.append(event)
                if who == "a subscriber" and event.type == "action.finished":
                    hold_the_loop()
            assert (await run.result()).output == "done"
    names = [event.data.code for event in told if event.data.code.startswith(who)]
    assert 1 <= len(names) <= 2  # (a second time only where it was held twice as long)
    assert told[0].data.seconds >= HELD / 2
    assert told[0].seq is None
    assert f"{names[0]} held the event loop" in caplog.text


async def test_code_that_awaits_is_not_told_of() -> None:
    """However long it takes: the loop is free meanwhile."""

    async def drive(run: RunContext) -> str:
        for _ in range(3):
            await anyio.sleep(0.05)
            await run.act("left_click", x=1, y=1)
        return "done"

    with anyio.fail_after(20):
        async with Driver(drive).start(computer_with_screen(), "wait") as run:
            events = [event async for event in run.events()]
    assert not [event for event in events if isinstance(event, LoopBlocked)]


@pytest.mark.parametrize("where", ["on_approval", "policy"])
@pytest.mark.parametrize("now", [False, True], ids=["gracefully", "now"])
async def test_callback_may_stop_the_run_that_asks_it(where: str, now: bool) -> None:
    """From within the question: the call is not run, nothing hangs, and the run is stopped."""
    holder: list[Run[str]] = []
    started = anyio.Event()

    async def stop() -> None:
        await holder[0].stop(now=now, reason="enough")

    async def policy(request: PolicyRequest) -> Judgement:
        if where == "policy":
            await stop()
        return Judgement("ask")

    async def on_approval(request: ApprovalRequest) -> bool:
        await stop()
        return True

    async def drive(run: RunContext) -> None:
        await started.wait()
        await run.act("left_click", x=1, y=1)

    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with Driver(drive).start(computer, "stop", policy=policy, on_approval=on_approval) as run:
            holder.append(run)
            started.set()
            result = await run.result()
    assert (result.outcome, result.reason) == ("stopped", "enough")
    assert computer.performed == []


async def test_callback_that_answers_its_own_question_twice_is_told_so() -> None:
    """By the handle and by what it returns: the first counts, and the run goes on."""
    holder: list[Run[str]] = []
    started = anyio.Event()

    async def on_approval(request: ApprovalRequest) -> Decision:
        await holder[0].deny(str(request.call.id), "by the handle", actor="ann")
        return Decision("approved", "bob")

    async def drive(run: RunContext) -> str:
        await started.wait()
        return (await run.act("left_click", x=1, y=1)).text

    computer = computer_with_screen()
    policy = Policy([Rule(verdict="ask", tool="left_click")])
    with anyio.fail_after(10):
        async with Driver(drive).start(computer, "ask", policy=policy, on_approval=on_approval) as run:
            holder.append(run)
            started.set()
            result = await run.result()
    assert result.output == "Not executed: denied by ann: by the handle"
    assert computer.performed == []
