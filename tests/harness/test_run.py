"""A run from its first event to its last: what is recorded, what can be told from outside, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from deskhand import MemoryLog, RunContext, RunError, ToolCall, ToolError, open_run
from deskhand.errors import (
    BudgetExceededError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    JournalError,
    OutcomeUnknownError,
    RefusedError,
    RunStoppedError,
)
from deskhand.harness import Engine, FrameLimits, Run
from deskhand.harness.events import (
    ActionFinished,
    ActionStarted,
    CustomEvent,
    Event,
    FrameCaptured,
    RunFinished,
    Usage,
)
from deskhand.providers import Click, Drag, InputAction, MouseDown, MouseUp, Region, Screen, Type
from deskhand.redaction import Redactor
from deskhand.tools import ToolContext, ToolRegistry
from tests.harness.driving import Driver, computer_with_screen, png
from tests.tools.recording import RecordingComputer


async def events_of(run: Run[str]) -> list[Event]:
    """Read a run's durable events to its end."""
    return [event async for event in run.events() if event.seq is not None]


async def test_run_records_every_action_as_numbered_events() -> None:
    """Numbers from 1 without a gap; an intent before each outcome; one end."""

    async def drive(run: RunContext) -> str:
        await run.look()
        await run.act("left_click", x=640, y=400)
        await run.act("exec", command="uname")
        return "done"

    computer = computer_with_screen()
    with anyio.fail_after(10):
        async with Driver(drive).start(computer, "look around", user="u1", metadata={"k": "v"}) as run:
            events = await events_of(run)
            result = await run.result()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events] == [
        "run.started",
        "computer.status",
        "action.started",
        "frame.captured",
        "action.finished",
        "action.started",
        "action.finished",
        "action.started",
        "action.finished",
        "run.finished",
    ]
    assert {event.user_id for event in events} == {"u1"}
    assert events[0].id == f"{run.id}/1"
    assert events[5].summary == "left_click x=640 y=400"
    assert events[6].summary == "left_click → ok: clicked"
    assert (result.outcome, result.output, result.actions) == ("completed", "done", 3)
    assert computer.performed == [Click(640, 400)]
    assert await run.result() == result


async def test_events_work_the_same_on_a_run_that_has_ended() -> None:
    """A second reader, later and from the middle, gets the same rest."""

    async def drive(run: RunContext) -> None:
        for n in range(5):
            run.emit("test.count", n)

    async with MemoryLog() as log, Engine(log=log) as engine:
        run = await engine.start(Driver(drive), computer_with_screen(), "count")
        await run.result()
        later = await engine.get(run.id)
        rest = [event async for event in later.events(after=3)]
        assert [event.seq for event in rest] == [4, 5, 6, 7, 8]
        only = [event.data.value async for event in later.events(types=["cus*"]) if isinstance(event, CustomEvent)]
        assert only == [0, 1, 2, 3, 4]
        assert (await later.result()).outcome == "completed"


async def test_bad_calls_are_observations_and_the_run_goes_on() -> None:
    """Everything that a model could handle comes back as an observation."""

    async def drive(run: RunContext) -> str:
        said = []
        for call in (
            ToolCall("left_clack", {}),
            ToolCall("left_click", '{"x": 1, "x": 2}'),
            ToolCall("left_click", {"x": "a", "y": 2}),
            ToolCall("left_click", {"x": 1, "y": 2}, computer_id="cmp_other"),
            ToolCall("left_click", {"x": 1, "y": 2}, frame_id="f99"),
            ToolCall("left_click", {"x": 1280, "y": 2}),
            ToolCall("left_click", {"x": -1, "y": 2}),
            ToolCall("key", {"key": "qwertz"}),
        ):
            observation = await run.act(call)
            assert observation.outcome == "error"
            assert observation.effect == "no"
            said.append(observation.text)
        return "\n".join(said)

    computer = computer_with_screen()
    result = await Driver(drive).run(computer, "try everything")
    result.raise_for_outcome()
    said = (result.output or "").splitlines()
    assert "did you mean 'left_click'" in said[0]
    assert "x=1280 is off the frame, which is 1280x800 pixels" in said[5]
    assert computer.performed == []


async def test_check_raises_what_went_wrong() -> None:
    """With ``check`` anything but success is an exception that ends the run as failed."""

    async def drive(run: RunContext) -> None:
        await run.act("key", check=True, key="qwertz")

    result = await Driver(drive).run(computer_with_screen(), "fail")
    assert result.outcome == "failed"
    assert result.error is not None
    assert result.error.code == "invalid_input"
    with pytest.raises(RunError, match="no key is called 'qwertz'"):
        result.raise_for_outcome()


@pytest.mark.parametrize(
    ("sent", "real"),
    [((0, 0), (1, 1)), ((639, 399), (1279, 799)), ((1279, 799), (2559, 1599))],
    ids=["origin", "middle", "corner"],
)
async def test_coordinates_are_scaled_from_the_frame_to_the_screen(
    sent: tuple[int, int], real: tuple[int, int]
) -> None:
    """A click on a pixel of a halved frame lands in the middle of what that pixel shows."""

    async def drive(run: RunContext) -> None:
        frame = await run.look()
        assert (frame.width, frame.height, frame.screen) == (1280, 800, Screen(2560, 1600))
        await run.act("left_click", x=sent[0], y=sent[1])
        await run.act("left_click_drag", start_x=sent[0], start_y=sent[1], x=0, y=0)

    computer = computer_with_screen(2560, 1600)
    result = await Driver(drive, FrameLimits(max_edge=1280)).run(computer, "click")
    result.raise_for_outcome()
    assert computer.performed == [Click(*real), Drag((real, (1, 1)))]


async def test_zoom_does_not_change_what_coordinates_refer_to() -> None:
    """A zoomed region is shown as large as a screenshot; clicks still refer to the whole screen."""

    async def drive(run: RunContext) -> None:
        await run.look()
        computer.image = png(400, 400)
        zoomed = await run.act("zoom", x0=0, y0=0, x1=200, y1=200)
        assert zoomed.frame is not None
        assert (zoomed.frame.width, zoomed.frame.height) == (800, 800)
        await run.act("zoom", x0=0, y0=0, x1=1280, y1=800)
        await run.act("left_click", x=100, y=100)

    computer = computer_with_screen(2560, 1600)
    (await Driver(drive, FrameLimits(max_edge=1280)).run(computer, "zoom")).raise_for_outcome()
    assert computer.regions == [None, Region(1, 1, 401, 401), Region(1, 1, 2560, 1600)]
    assert computer.performed == [Click(201, 201)]


class FailingComputer(RecordingComputer):
    """Raises what it is told to, once per call."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)

    async def perform(self, action: InputAction) -> None:
        await super().perform(action)
        if self.errors:
            raise self.errors.pop(0)


async def test_halt_rule_skips_later_screen_actions_but_not_functions() -> None:
    """What was planned on a screen that is not there is not done."""

    async def drive(run: RunContext) -> str:
        calls = [
            ToolCall("left_click", {"x": 1, "y": 1}),
            ToolCall("type", {"text": "a"}),
            ToolCall("exec", {"command": "true"}),
            ToolCall("key", {"key": "enter"}),
        ]
        return " ".join(observation.outcome for observation in await run.act_batch(calls))

    computer = FailingComputer(DeskhandError("no", effect="no"))
    result = await Driver(drive).run(computer, "batch")
    assert result.output == "error skipped ok skipped"
    assert computer.performed == [Click(1, 1)]


async def test_unknown_outcome_is_told_and_never_repeated() -> None:
    """A request that may have taken effect is sent once."""

    async def drive(run: RunContext) -> str:
        observation = await run.act("type", text="pay")
        return f"{observation.outcome} {observation.effect}"

    computer = FailingComputer(OutcomeUnknownError("no answer"))
    result = await Driver(drive).run(computer, "type once")
    assert result.output == "unknown unknown"
    assert computer.performed == [Type("pay")]


@pytest.mark.parametrize(
    "error",
    [ValueError("v"), SystemExit(3), ExceptionGroup("g", [ValueError("v"), ValueError("w")]), ToolError("text")],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_users_tool_raises_the_run_outlives_it(error: BaseException) -> None:
    """One typed error, and the loop goes on."""
    registry = ToolRegistry()

    @registry.tool
    async def burst() -> str:
        """Raise."""
        raise error

    async def drive(run: RunContext) -> str:
        observation = await run.act("burst")
        assert observation.error is not None
        return observation.error.code

    result = await Driver(drive).run(computer_with_screen(), "burst", tools=registry)
    assert (result.outcome, result.output) == ("completed", "tool")


async def test_tool_gets_deps_ids_and_output_events() -> None:
    """A tool's context knows its run, and its progress reaches the subscribers."""
    registry = ToolRegistry()

    @registry.tool(effect="pure")
    async def price(context: ToolContext[dict[str, int]], item: str) -> str:
        """Tell a price."""
        context.progress("looking")
        return f"{context.call_id} {context.deps[item]}"

    async def drive(run: RunContext) -> str:
        return (await run.act("price", item="pen")).text

    async with Driver(drive).start(computer_with_screen(), "price", tools=registry, deps={"pen": 3}) as run:
        seen = [event async for event in run.events(types=["action.output"])]
        result = await run.result()
    assert result.output == f"{run.id}/0/1 3"
    assert [event.summary for event in seen] == ["looking"]
    assert seen[0].seq is None


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (RefusedError("no"), "refused", "refused"),
        (BudgetExceededError("much", reason="turns"), "budget_exceeded", "turns"),
        (ValueError("odd"), "failed", "error"),
        (ExceptionGroup("g", [RefusedError("no")]), "refused", "refused"),
        (ExceptionGroup("g", [JournalError("full"), JournalError("full")]), "failed", "journal"),
        (ExceptionGroup("g", [RunStoppedError("x", reason="user"), RefusedError("no")]), "refused", "refused"),
        (ExceptionGroup("g", [RefusedError("no"), ValueError("x")]), "failed", "error"),
        (DeskhandError("odd", code="x"), "failed", "error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_what_ends_a_drive_maps_to_one_outcome(error: Exception, outcome: str, reason: str) -> None:
    """One table; the result does not raise."""

    async def drive(run: RunContext) -> str:
        raise error

    result = await Driver(drive).run(computer_with_screen(), "end")
    assert (result.outcome, result.reason) == (outcome, reason)
    assert result.error is not None


class Stepper:
    """A drive of clicks, one at a time, that tells when each is done."""

    def __init__(self, clicks: int) -> None:
        self.clicks = clicks

    async def __call__(self, run: RunContext) -> str:
        calls = [ToolCall("left_click", {"x": n, "y": n}) for n in range(self.clicks)]
        await run.act_batch(calls)
        return "all"


class GatedComputer(RecordingComputer):
    """Performs an action only when it is let, and tells when one has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = anyio.Event()
        self.let = anyio.Semaphore(0)

    async def perform(self, action: InputAction) -> None:
        self.begun.set()
        await self.let.acquire()
        self.begun = anyio.Event()
        await super().perform(action)


async def test_pause_holds_inside_a_batch_and_step_does_one_action() -> None:
    """What is in flight ends; the next waits; a step lets exactly one through."""
    computer = GatedComputer()
    with anyio.fail_after(10):
        async with Driver(Stepper(3)).start(computer, "click") as run:
            stream = run.events(types=[ActionFinished, "run.*"])
            await computer.begun.wait()
            await run.pause(actor="ann")
            for _ in range(3):
                computer.let.release()
            seen = [event.type async for event in _until(stream, "action.finished")]
            assert seen == ["run.started", "run.paused", "action.finished"]
            await run.step()
            assert [event.type async for event in _until(stream, "action.finished")] == ["action.finished"]
            assert len(computer.performed) == 2
            await run.resume()
            rest = [event.type async for event in stream]
    assert rest == ["run.resumed", "action.finished", "run.finished"]
    assert len(computer.performed) == 3


async def test_pause_holds_an_action_that_waits_for_its_computer() -> None:
    """It had passed the gate when the computer was in use; it waits at the gate again, and holds nothing meanwhile."""
    computer = GatedComputer()

    async def click(run: RunContext, n: int) -> None:
        await run.act("left_click", x=n, y=n)

    with anyio.fail_after(10):
        async with open_run(computer, "click") as run, anyio.create_task_group() as tasks:
            for n in range(2):
                tasks.start_soon(click, run, n)
            await computer.begun.wait()
            await anyio.wait_all_tasks_blocked()
            await run.pause()
            for _ in range(3):
                computer.let.release()
            await anyio.wait_all_tasks_blocked()
            assert len(computer.performed) == 1
            await run.step()
            await anyio.wait_all_tasks_blocked()
            assert len(computer.performed) == 2


async def _until(stream: object, kind: str):  # type: ignore[no-untyped-def]
    async for event in stream:  # type: ignore[attr-defined]
        yield event
        if event.type == kind:
            return


async def test_stop_lets_the_action_in_flight_end_and_starts_no_other() -> None:
    """Graceful: the effect in flight is recorded with its outcome."""
    computer = GatedComputer()
    with anyio.fail_after(10):
        async with Driver(Stepper(3)).start(computer, "click") as run:
            await computer.begun.wait()
            await run.stop()
            computer.let.release()
            result = await run.result()
            with pytest.raises(ConflictError, match="has ended"):
                await run.pause()
            await run.stop()
    assert (result.outcome, result.reason) == ("stopped", "user")
    assert len(computer.performed) == 1


async def test_stop_now_cancels_what_is_in_flight_and_says_that_its_effect_is_unknown() -> None:
    """Nobody can tell whether a cancelled click happened."""
    computer = GatedComputer()
    with anyio.fail_after(10):
        async with Driver(Stepper(3)).start(computer, "click") as run:
            await computer.begun.wait()
            await run.stop(now=True)
            events = await events_of(run)
    finished = [event for event in events if isinstance(event, ActionFinished)]
    assert [(event.data.outcome, event.data.effect) for event in finished] == [("cancelled", "unknown")]
    assert isinstance(events[-1], RunFinished)
    assert (events[-1].data.outcome, events[-1].data.reason) == ("stopped", "user")


async def test_leaving_the_block_stops_the_run() -> None:
    """No agent acts on after its block."""

    async def drive(run: RunContext) -> None:
        while True:
            await run.act("left_click", x=1, y=1)
            await anyio.lowlevel.checkpoint()

    computer = computer_with_screen()
    async with Driver(drive).start(computer, "click for ever") as run:
        async for event in run.events(types=["action.finished"]):
            assert event.seq
            break
    result = await run.result()
    assert (result.outcome, result.reason) == ("stopped", "left")
    done = len(computer.performed)
    await anyio.lowlevel.checkpoint()
    assert len(computer.performed) == done


async def test_cancelling_the_caller_ends_the_run_with_one_outcome() -> None:
    """Scope cancellation and native cancellation alike; the log ends in run.finished."""

    async def drive(run: RunContext) -> None:
        await run.act("left_mouse_down")
        started.set()
        await anyio.sleep_forever()

    async def main(log: MemoryLog, computer: RecordingComputer) -> None:
        await Driver(drive).run(computer, "wait", log=log)

    for native in (False, True):
        computer = computer_with_screen()
        async with MemoryLog() as log:
            started = anyio.Event()
            with anyio.fail_after(10):
                if native:
                    task = asyncio.get_running_loop().create_task(main(log, computer))
                    await started.wait()
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                else:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(main, log, computer)
                        await started.wait()
                        tasks.cancel_scope.cancel()
            [run_id] = [info.run_id for info in await log.runs()]
            events = await log.read(run_id)
        assert [event.type for event in events].count("run.finished") == 1
        assert isinstance(events[-1], RunFinished)
        assert events[-1].data.outcome == "stopped"
        assert computer.performed == [MouseDown("left"), MouseUp("left")]


async def test_held_button_is_released_whatever_ends_the_run() -> None:
    """A crash of the driver leaves no button down, and the release is an action like any other."""

    async def drive(run: RunContext) -> None:
        await run.act("left_mouse_down")
        raise ValueError("odd")

    computer = computer_with_screen()
    async with Driver(drive).start(computer, "hold") as run:
        events = await events_of(run)
    assert computer.performed == [MouseDown("left"), MouseUp("left")]
    released = [event for event in events if isinstance(event, ActionStarted)][-1]
    assert (released.data.name, released.data.actor) == ("left_mouse_up", "deskhand")


class WitnessLog(MemoryLog):
    """Counts its barriers, and fails them when told to."""

    def __init__(self, computer: RecordingComputer) -> None:
        super().__init__()
        self.witnessed: list[tuple[str, int]] = []
        self.computer = computer
        self.fail = False

    async def barrier(self, run_id: str) -> None:
        if self.fail:
            raise JournalError("the disk is full")
        await super().barrier(run_id)
        self.witnessed.append(("barrier", len(self.computer.performed)))


async def test_intent_is_durable_before_the_effect_is_sent() -> None:
    """A barrier lies between each intent and its effect; pure actions need none."""

    async def drive(run: RunContext) -> None:
        await run.look()
        await run.act("left_click", x=1, y=1)
        await run.act("left_click", x=2, y=2)

    computer = computer_with_screen()
    async with WitnessLog(computer) as log:
        (await Driver(drive).run(computer, "click", log=log)).raise_for_outcome()
    assert log.witnessed == [("barrier", 0), ("barrier", 1), ("barrier", 2)]  # the last is run.finished's


async def test_effect_is_not_sent_when_its_intent_cannot_be_kept() -> None:
    """A full disk ends the run before the click."""

    async def drive(run: RunContext) -> None:
        log.fail = True
        await run.act("left_click", x=1, y=1)

    computer = computer_with_screen()
    async with WitnessLog(computer) as log:
        result = await Driver(drive).run(computer, "click", log=log)
    assert (result.outcome, result.reason) == ("failed", "journal")
    assert computer.performed == []


@pytest.mark.parametrize(
    "image",
    [b"", b"not an image", png(8, 8)[:-20], b"<svg/>", b"GIF89a" + bytes(40)],
    ids=["empty", "text", "cut", "svg", "gif"],
)
async def test_unsafe_screenshot_is_an_error_observation(image: bytes) -> None:
    """A computer may lie; its picture is checked before anything decodes it."""

    async def drive(run: RunContext) -> str:
        observation = await run.act("screenshot")
        assert observation.frame is None
        assert observation.error is not None
        return observation.error.code

    computer = computer_with_screen()
    computer.image = image
    assert (await Driver(drive).run(computer, "look")).output == "unsafe_content"


async def test_two_runs_on_one_computer_conflict() -> None:
    """A computer belongs to one run at a time, and is free again afterwards."""

    async def drive(run: RunContext) -> None:
        await anyio.sleep_forever()

    async def nothing(run: RunContext) -> None:
        await run.look()

    computer = computer_with_screen()
    async with Driver(drive).start(computer, "one") as run:
        with pytest.raises(ConflictError, match=run.id):
            await Driver(nothing).run(computer, "two")
        await run.stop(now=True)
    (await Driver(nothing).run(computer, "three")).raise_for_outcome()


@pytest.mark.parametrize(
    "text",
    ["cat disk-usage-report-for-november-2026.txt", "task-list-for-the-whole-of-november", "the sk- prefix"],
)
def test_text_that_only_looks_like_a_key_stays(text: str) -> None:
    """A word that ends in ``sk-`` is no key."""
    assert Redactor().text(text) == text
    assert Redactor().clean({"text": text}) == {"text": text}


async def test_keys_never_reach_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this process's keys nor what looks like one, wherever it comes from."""
    monkeypatch.setenv("MY_API_KEY", "canary-in-the-environment")
    shape = "sk-ant-REDACTED"

    async def drive(run: RunContext) -> str:
        await run.act("exec", command=f"echo {shape} canary-in-the-environment")
        run.emit("test.secret", {"key": shape})
        async with run.turn(model="claude-sonnet-5-5") as turn:
            turn.delta(shape)
            await turn.record(f"the key is {shape}", usage=Usage(input=1))
        raise DeskhandError(f"bad key {shape}")

    async with Driver(drive).start(computer_with_screen(), f"use {shape}") as run:
        everything = "".join([event.to_json().decode() async for event in run.events()])
    assert "action.finished" in everything
    assert shape not in everything
    assert "canary" not in everything


async def test_open_run_gives_a_loop_of_ones_own_the_same_path() -> None:
    """Calls as a vendor gives them, observations as it takes them."""
    computer = computer_with_screen()
    async with MemoryLog() as log:
        async with open_run(computer, goal="mine", log=log) as run:
            block = {"type": "tool_use", "id": "t1", "name": "exec", "input": {"command": "ls"}}
            answer = (await run.act(ToolCall.from_anthropic(block))).to_anthropic()
            run.finish("mine")
            live = run.events(types=[ActionStarted])
        assert [event.summary async for event in live] == ["exec command='ls'"]
        assert answer["tool_use_id"] == "t1"
        assert (await run.result()).output == "mine"

        with pytest.raises(ZeroDivisionError):
            async with open_run(computer, goal="fails", log=log) as failed:
                raise ZeroDivisionError
        assert (await failed.result()).outcome == "failed"

        async with open_run(computer, goal="stopped", log=log) as stopped:
            await stopped.stop(now=True)
            await anyio.sleep_forever()
        assert (await stopped.result()).outcome == "stopped"
        with pytest.raises(ConflictError):
            await stopped.act("screenshot")


async def test_several_computers_act_in_parallel_in_one_run() -> None:
    """One event stream, one lock a computer."""

    class Second(GatedComputer):
        @property
        def info(self):  # type: ignore[no-untyped-def]
            return replace(super().info, id="cmp_2")

    first, second = GatedComputer(), Second()

    async def drive(run: RunContext) -> str:
        calls = [ToolCall("left_click", {"x": 1, "y": 1}, computer_id=name) for name in ("cmp_1", "cmp_2")]
        observations = await run.act_batch(calls)
        assert (await run.on("cmp_2").act("exec", command="x")).call.computer_id == "cmp_2"
        with pytest.raises(InvalidInputError):
            run.on("cmp_3")
        return " ".join(observation.outcome for observation in observations)

    with anyio.fail_after(10):
        async with Driver(drive).start([first, second], "both") as run:
            await first.begun.wait()
            await second.begun.wait()
            first.let.release()
            second.let.release()
            assert (await run.result()).output == "ok ok"


async def test_stop_between_two_computers_cuts_neither_short() -> None:
    """One has something in flight when the other is refused its next action; the run ends as stopped."""

    class Second(GatedComputer):
        @property
        def info(self):  # type: ignore[no-untyped-def]
            return replace(super().info, id="cmp_2")

    first, second = GatedComputer(), Second()
    raised: list[BaseException] = []

    async def drive(run: RunContext) -> str:
        calls = [ToolCall("left_click", {"x": 1, "y": 1}, computer_id=name) for name in ("cmp_1", "cmp_2")]
        try:
            await run.act_batch(calls * 2)
        except RunStoppedError as error:
            raised.append(error)
            raise
        return "all"

    with anyio.fail_after(10):
        async with Driver(drive).start([first, second], "both") as run:
            await first.begun.wait()
            await second.begun.wait()
            await run.stop()
            first.let.release()
            await anyio.wait_all_tasks_blocked()
            second.let.release()
            result = await run.result()
            outcomes = [event.data.outcome async for event in run.events(types=[ActionFinished])]  # type: ignore[union-attr]
    assert (result.outcome, result.reason) == ("stopped", "user")
    assert outcomes == ["ok", "cancelled", "ok", "cancelled"]
    assert len(raised) == 1


async def test_usage_of_turns_adds_up_and_an_unknown_price_stays_unknown() -> None:
    """Known prices add up; one unknown price makes the sum unknown, not smaller."""

    async def turns(run: RunContext, models: Sequence[str]) -> None:
        for model in models:
            async with run.turn(model=model) as turn:
                await turn.record("text", usage=Usage(input=1000, output=100))

    async def known(run: RunContext) -> None:
        await turns(run, ["claude-sonnet-5-5", "claude-sonnet-5-5"])

    async def unknown(run: RunContext) -> None:
        await turns(run, ["claude-sonnet-5-5", "no-such-model"])

    priced = await Driver(known).run(computer_with_screen(), "spend")
    assert priced.usage == Usage(input=2000, output=200)
    assert priced.cost == pytest.approx(2 * (1000 * 2 + 100 * 10) / 1e6)
    assert (await Driver(unknown).run(computer_with_screen(), "spend")).cost is None


async def test_frames_are_kept_as_blobs_and_named_by_events() -> None:
    """Bytes never inline; the frame can be had from the run."""

    async def drive(run: RunContext) -> None:
        frame = await run.look()
        assert await run.image(frame) == computer.image

    computer = computer_with_screen()
    async with Driver(drive).start(computer, "look") as run:
        [frame] = [event async for event in run.events(types=[FrameCaptured])]
        assert isinstance(frame, FrameCaptured)
        assert await run.frame(frame.data.frame_id) == computer.image
        assert frame.data.bytes == len(computer.image)
        assert len(frame.to_json()) < 1000
