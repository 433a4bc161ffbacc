"""Seeing: a look waits for rest, and a call on a screen that is another one by now is answered, not done."""

from __future__ import annotations

import io

import anyio
import pytest
from PIL import Image, ImageDraw

from deskhand import ClaudeComputerUseHarness, OpenAIComputerUseHarness, Policy, Rule, RunContext, ToolCall, open_run
from deskhand.harness import ApprovalRequest, Decision, FrameLimits, Harness, Seeing
from deskhand.providers import Capability, Click, ExternalComputer, InputAction, Region, Screen, Type
from deskhand.testing.models import FakeAnthropic, FakeOpenAI, FakeTurn, ModelView, action, computer_call, member
from deskhand.tools import OPENAI_ACTION_TOOLS, Observation
from tests.harness.driving import Driver, computer_with_screen, png
from tests.tools.recording import RecordingComputer

ASK = Policy([Rule(verdict="ask", tool="left_click")])
IMPATIENT = Seeing(patience=0.0)


def patched(box: tuple[int, int, int, int], size: tuple[int, int] = (1280, 800)) -> bytes:
    """Draw the usual picture with something in a place of it."""
    image = Image.new("RGB", size, "navy")
    ImageDraw.Draw(image).rectangle(box, fill="white")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Telling(RecordingComputer):
    """A computer that is told whether something was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.image = png(1280, 800)
        self.drawn: bool | None = False
        self.asked: list[Region] = []

    async def changed(self, region: Region, *, within: float) -> bool | None:
        self.asked.append(region)
        assert within >= 0
        return self.drawn


def click(x: int = 100, y: int = 100) -> ToolCall:
    return ToolCall("left_click", {"x": x, "y": y})


async def test_click_where_the_screen_has_changed_is_answered_with_a_fresh_frame() -> None:
    """It is not done; the frame is the run's newest, so that the next call is planned on it."""
    computer = Telling()
    async with open_run(computer, "go") as run:
        await run.look()
        computer.image, computer.drawn = patched((60, 60, 200, 200)), True
        refused = await run.act(click())
        assert (refused.outcome, refused.effect, computer.performed) == ("skipped", "no", [])
        assert refused.error is not None
        assert refused.error.code == "stale"
        assert refused.frame == run.last_frame
        assert refused.image == computer.image
        computer.drawn = False
        assert (await run.act(click())).ok
    assert computer.performed == [Click(100, 100)]
    assert computer.asked[0] == Region(76, 76, 125, 125)


@pytest.mark.parametrize(
    ("after", "seeing", "looks"),
    [
        (patched((600, 600, 700, 700)), None, 2),
        (patched((98, 98, 101, 101)), None, 2),
        (patched((60, 60, 200, 200)), Seeing(refuse_stale=False), 1),
        (patched((60, 60, 200, 200)), Seeing.off(), 1),
        (patched((60, 60, 200, 200)), Seeing(tolerance=1.0), 2),
    ],
    ids=["elsewhere", "a few pixels", "not refused", "off", "all tolerated"],
)
async def test_click_is_done_where_nothing_material_has_changed(
    after: bytes, seeing: Seeing | None, looks: int
) -> None:
    """What was drawn elsewhere, or is hardly to be seen, refuses nothing; who wants no refusal gets none."""
    computer = Telling()
    async with open_run(computer, "go", seeing=seeing) as run:
        await run.look()
        computer.image, computer.drawn = after, True
        assert (await run.act(click())).ok
    assert len(computer.regions) == looks


async def test_frame_that_was_scaled_is_compared_with_the_screen() -> None:
    """A model's smaller frame of an unchanged screen is no other screen; a changed one is."""
    computer = Telling()
    image = Image.effect_noise((1280, 800), 80).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    computer.image = buffer.getvalue()
    async with open_run(computer, "go", frame_limits=FrameLimits(max_edge=640)) as run:
        await run.look()
        computer.drawn = True
        assert (await run.act(click(50, 50))).ok
        await run.look()
        computer.image = patched((60, 60, 200, 200))
        assert (await run.act(click(50, 50))).outcome == "skipped"


async def test_what_the_run_itself_did_makes_no_frame_stale() -> None:
    """A batch is planned on what its own actions will show; keys go where the focus is."""
    computer = Telling()
    async with open_run(computer, "go") as run:
        await run.look()
        computer.drawn = True
        computer.image = patched((60, 60, 200, 200))
        batch = await run.act_batch([ToolCall("type", {"text": "a"}), click(), click(300, 300)])
    assert [one.outcome for one in batch] == ["ok", "ok", "ok"]
    assert len(computer.regions) == 1


async def test_computer_that_cannot_tell_is_looked_at_only_after_a_wait() -> None:
    """No request is spent on a click that follows its frame; one is, where a pause came between."""
    computer = computer_with_screen()
    async with open_run(computer, "go", seeing=IMPATIENT) as run:
        await run.look()
        assert (await run.act(click())).ok
        assert len(computer.regions) == 1
        await run.look()
        await run.pause()
        seen: list[Observation] = []

        async def act() -> None:
            seen.append(await run.act(click()))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(act)
                await anyio.wait_all_tasks_blocked()
                computer.image = patched((60, 60, 200, 200))
                await run.resume()
    assert seen[0].outcome == "skipped"
    assert computer.performed == [Click(100, 100)]


@pytest.mark.parametrize("changes", [1, 2])
async def test_approved_call_on_a_changed_screen_is_asked_about_again_once(changes: int) -> None:
    """With the new frame as evidence; a screen that has changed once more refuses it."""
    computer = computer_with_screen()
    asked: list[ApprovalRequest] = []
    pictures = [patched((60, 60, 200, 200)), patched((0, 0, 90, 300))][:changes]

    async def on_approval(request: ApprovalRequest) -> Decision:
        asked.append(request)
        if pictures:
            computer.image = pictures.pop(0)
        return Decision("approved", "ann")

    seen: list[Observation] = []

    async def drive(run: RunContext) -> None:
        await run.look()
        seen.append(await run.act(click()))

    await Driver(drive).run(computer, "go", policy=ASK, on_approval=on_approval, seeing=IMPATIENT)
    assert [one.call.frame_id for one in asked] == ["f1", "f2"]
    assert asked[0].digest != asked[1].digest
    assert asked[1].reason == "the screen at its target has changed since it was approved"
    assert [one.outcome for one in seen] == (["ok"] if changes == 1 else ["skipped"])
    assert len(computer.performed) == (1 if changes == 1 else 0)


async def test_second_answer_may_be_no() -> None:
    """What is denied then is not done."""
    computer = computer_with_screen()

    async def on_approval(request: ApprovalRequest) -> bool:
        computer.image = patched((60, 60, 200, 200))
        return request.call.frame_id == "f1"

    async with open_run(computer, "go", policy=ASK, on_approval=on_approval, seeing=IMPATIENT) as run:
        await run.look()
        assert (await run.act(click())).outcome == "denied"
    assert computer.performed == []


async def test_person_who_takes_over_during_the_second_question_gets_the_computer() -> None:
    """While a person is asked again, no action holds the computer."""
    computer = computer_with_screen()
    answers: list[str] = []
    again = anyio.Event()

    async def on_approval(request: ApprovalRequest) -> bool:
        answers.append(str(request.call.frame_id))
        computer.image = patched((60, 60, 200, 200))
        if len(answers) == 2:
            again.set()
            await release.wait()
        return True

    release = anyio.Event()
    seen: list[Observation] = []

    async def drive(run: RunContext) -> None:
        await run.look()
        seen.append(await run.act(click()))

    harness = Driver(drive)
    with anyio.fail_after(10):
        async with harness.start(computer, "go", policy=ASK, on_approval=on_approval, seeing=IMPATIENT) as run:
            await again.wait()
            async with await run.takeover("ann") as hands:
                await hands.act("type", text="by hand")
                release.set()
            await run.result()
    assert computer.performed == [Type("by hand")]
    assert [one.outcome for one in seen] == ["skipped"]
    assert "ann had the computer" in seen[0].text
    assert seen[0].image is not None


class Slow(RecordingComputer):
    """Somebody's service: it cannot tell whether its screen is at rest."""

    settle = ExternalComputer.settle

    def __init__(self, pictures: list[bytes]) -> None:
        super().__init__()
        self.pictures = pictures

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        self.regions.append(region)
        return self.pictures.pop(0) if len(self.pictures) > 1 else self.pictures[0]


A, B, C, D = (png(64, 48, colour) for colour in ("navy", "white", "red", "green"))
QUICK = Seeing(quiet=0.001)


@pytest.mark.parametrize(
    ("pictures", "seeing", "requests", "shown"),
    [
        ([A, B, B], QUICK, 2, B),
        ([A, B, C, C], QUICK, 3, C),
        ([A, B, C, D, A], QUICK, 3, D),
        ([A, B, C], Seeing(settle=0.0), 1, B),
    ],
    ids=["at rest", "comes to rest", "never at rest", "not waited for"],
)
async def test_look_at_a_computer_that_cannot_tell_costs_a_bounded_number_of_requests(
    pictures: list[bytes], seeing: Seeing, requests: int, shown: bytes
) -> None:
    """Two where the screen is at rest, never more than three, and the last picture is the frame."""
    computer = Slow(pictures)
    async with open_run(computer, "go", seeing=seeing) as run:
        await run.look()
        assert len(computer.regions) == 1
        await run.act("type", text="x")
        frame = await run.look()
        assert len(computer.regions) == 1 + requests
        assert await run.image(frame) == shown
        await run.look()
        assert len(computer.regions) == 2 + requests


async def test_contract_settles_by_pictures_and_not_without_a_screen() -> None:
    """The default is bounded, and nothing where there is nothing to see."""
    computer = Slow([A, B, B])
    assert not computer.settles_itself
    assert await computer.settle(quiet=0.001) > 0
    assert len(computer.regions) == 3
    blind = Slow([A])
    blind._without = frozenset({Capability.SCREENSHOT})
    assert await blind.settle() == 0.0
    assert await computer.settle(limit=0) == 0.0
    assert RecordingComputer(Screen(64, 48)).settles_itself


@pytest.mark.parametrize("api", ["claude", "openai"])
async def test_model_is_shown_the_screen_that_its_click_was_refused_for(api: str) -> None:
    """Both vendors' strict fakes take the answer; the next call is planned on the new frame."""
    computer = Telling()
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        if len(views) == 1:
            computer.image, computer.drawn = patched((60, 60, 200, 200)), True
        if len(views) == 2:
            computer.drawn = False
        if len(views) == 3:
            return FakeTurn("Done.")
        if api == "claude":
            return FakeTurn([member("left_click", coordinate=[100, 100]), member("type", text="hello")])
        return FakeTurn([computer_call(action("click", x=100, y=100), action("type", text="hello"))])

    fake: FakeAnthropic | FakeOpenAI
    harness: Harness[str]
    if api == "claude":
        fake = FakeAnthropic(play)
        harness = ClaudeComputerUseHarness(client=fake.client())
    else:
        fake = FakeOpenAI(play)
        harness = OpenAIComputerUseHarness(client=fake.client())
    result = await harness.run(computer, "Go.")
    fake.raise_script_errors()
    assert result.outcome == "completed", result.error
    assert [request.error for request in fake.requests if request.error] == []
    assert computer.performed == [Click(100, 100), Type("hello")]
    frame = views[1].frame
    assert frame is not None
    assert Image.open(io.BytesIO(frame.data)).convert("RGB").getpixel((100, 100)) == (255, 255, 255)
    assert "has changed since the screenshot" in str(fake.requests[1].body)


@pytest.mark.parametrize("api", ["claude", "openai"])
async def test_model_is_shown_the_screen_after_a_takeover(api: str) -> None:
    """What it had planned before is not done; it gets the frame that the person left."""
    entered, release = anyio.Event(), anyio.Event()

    class Held(Telling):
        async def perform(self, action: InputAction) -> None:
            if action == Type("first"):
                entered.set()
                await release.wait()
            await super().perform(action)

    computer = Held()
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        if len(views) == 2:
            return FakeTurn("Done.")
        if api == "claude":
            return FakeTurn([member("type", text="first"), member("left_click", coordinate=[100, 100])])
        return FakeTurn([computer_call(action("type", text="first"), action("click", x=100, y=100))])

    fake: FakeAnthropic | FakeOpenAI
    harness: Harness[str]
    if api == "claude":
        fake = FakeAnthropic(play)
        harness = ClaudeComputerUseHarness(client=fake.client())
    else:
        fake = FakeOpenAI(play)
        harness = OpenAIComputerUseHarness(client=fake.client())
    with anyio.fail_after(20):
        async with harness.start(computer, "Go.") as run, anyio.create_task_group() as tasks:
            await entered.wait()

            async def take() -> None:
                async with await run.takeover("ann"):
                    computer.image = patched((60, 60, 200, 200))

            tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            release.set()
            result = await run.result()
    assert result.outcome == "completed", result.error
    assert [request.error for request in fake.requests if request.error] == []
    assert computer.performed == [Type("first")]
    frame = views[1].frame
    assert frame is not None
    assert Image.open(io.BytesIO(frame.data)).convert("RGB").getpixel((100, 100)) == (255, 255, 255)
    assert "ann had the computer meanwhile" in str(fake.requests[1].body)


def drag(*, far: tuple[int, int]) -> ToolCall:
    return ToolCall("left_click_drag", {"start_x": 100, "start_y": 100, "x": far[0], "y": far[1]})


def path(*points: tuple[int, int]) -> ToolCall:
    return ToolCall("drag_path", {"path": [{"x": x, "y": y} for x, y in points]})


@pytest.mark.parametrize(
    ("call", "refused"),
    [
        (drag(far=(400, 400)), True),
        (drag(far=(700, 400)), False),
        (path((100, 100), (700, 100), (400, 400)), True),
        (path((400, 400), (700, 100), (100, 100)), True),
        (path((100, 100), (400, 400), (700, 100)), False),
    ],
    ids=["its end", "elsewhere", "a path's end", "a path's beginning", "on a path's way"],
)
async def test_drag_is_compared_at_both_of_its_ends(call: ToolCall, *, refused: bool) -> None:
    """What is picked up and where it is let go of; what lies between is passed over."""
    computer = Telling()
    async with open_run(computer, "go", tools=OPENAI_ACTION_TOOLS) as run:
        await run.look()
        computer.image, computer.drawn = patched((360, 360, 440, 440)), True
        assert (await run.act(call)).outcome == ("skipped" if refused else "ok")
    assert len(computer.performed) == (not refused)


FIELD = ToolCall("left_click", {"x": 400, "y": 400})


@pytest.mark.parametrize(
    ("before", "call", "refused"),
    [
        ([FIELD], ToolCall("type", {"text": "secret"}), True),
        ([FIELD], ToolCall("key", {"key": "Return"}), True),
        ([FIELD], ToolCall("hold_key", {"key": "a", "duration": 0.1}), True),
        ([FIELD, ToolCall("type", {"text": "ann"})], ToolCall("type", {"text": "secret"}), True),
        ([FIELD, ToolCall("scroll", {"direction": "down", "amount": 1})], ToolCall("type", {"text": "a"}), True),
        ([FIELD, click()], ToolCall("type", {"text": "a"}), False),
        ([FIELD, ToolCall("type", {"text": "ann\t"})], ToolCall("type", {"text": "secret"}), False),
        ([FIELD, ToolCall("key", {"key": "Tab"})], ToolCall("type", {"text": "secret"}), False),
        ([FIELD, drag(far=(700, 400))], ToolCall("type", {"text": "secret"}), False),
        ([FIELD, ToolCall("left_click")], ToolCall("type", {"text": "secret"}), False),
        ([], ToolCall("type", {"text": "secret"}), False),
    ],
    ids=[
        "typing",
        "a key",
        "a key that is held",
        "more typing",
        "after scrolling",
        "clicked elsewhere",
        "a tab was typed",
        "a key was pressed",
        "something was dragged",
        "clicked nobody knows where",
        "never clicked",
    ],
)
async def test_typing_is_compared_where_the_run_has_clicked_last(
    before: list[ToolCall], call: ToolCall, *, refused: bool
) -> None:
    """As long as the focus is most likely there; where nobody knows it, nothing is refused."""
    computer = Telling()
    async with open_run(computer, "go", seeing=Seeing(settle=0.0)) as run:
        await run.look()
        for one in before:
            assert (await run.act(one)).ok
        await run.look()
        computer.image, computer.drawn = patched((360, 360, 440, 440)), True
        seen = await run.act(call)
    assert seen.outcome == ("skipped" if refused else "ok")
    assert ("around the last click" in seen.text) == refused
    assert len(computer.performed) == len(before) + (not refused)


@pytest.mark.parametrize(
    ("seeing", "refused"), [(Seeing(), True), (Seeing(focus=0), False), (Seeing(focus=4), False), (Seeing.off(), False)]
)
async def test_how_typing_is_compared_can_be_set(seeing: Seeing, *, refused: bool) -> None:
    """Not at all, or only so close to the click."""
    computer = Telling()
    async with open_run(computer, "go", seeing=seeing) as run:
        await run.look()
        await run.act(FIELD)
        await run.look()
        computer.image, computer.drawn = patched((406, 300, 500, 500)), True
        assert (await run.act(ToolCall("type", {"text": "a"}))).outcome == ("skipped" if refused else "ok")


async def test_field_that_changes_all_the_time_refuses_typing_once() -> None:
    """The model has been shown what it is now: a key that ends a program which draws there reaches it."""
    computer = Telling()
    async with open_run(computer, "go") as run:
        await run.look()
        await run.act(FIELD)
        await run.look()
        computer.drawn = True
        outcomes = []
        for colour in ("red", "green"):
            computer.image = png(1280, 800, colour)
            outcomes.append((await run.act(ToolCall("key", {"key": "q"}))).outcome)
    assert outcomes == ["skipped", "ok"]


async def test_focus_on_a_scaled_frame_is_compared_where_it_is_on_the_screen() -> None:
    """The click was scaled to the screen, and its place comes back to the frame."""
    computer = Telling()
    async with open_run(computer, "go", frame_limits=FrameLimits(max_edge=640)) as run:
        await run.look()
        await run.act("left_click", x=200, y=200)
        await run.look()
        computer.image, computer.drawn = patched((360, 360, 440, 440)), True
        assert (await run.act(ToolCall("type", {"text": "a"}))).outcome == "skipped"
    assert computer.asked[-1] == Region(352, 352, 450, 450)


class Counting(Telling):
    """Knows when its screen is at rest, and counts how often it is asked."""

    settled = 0

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        self.settled += 1
        return 0.01


async def test_computer_that_knows_when_it_is_at_rest_is_asked_only_where_something_was_done() -> None:
    """One picture a look, and a wait only before the first one after something was done."""
    computer = Counting()
    counts = []
    async with open_run(computer, "go") as run:
        await run.look()
        for act in (False, True, True, False):
            if act:
                await run.act(click())
            await run.look()
            counts.append(computer.settled)
    assert counts == [1, 2, 3, 3]
    assert len(computer.regions) == 5
