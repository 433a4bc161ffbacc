"""Coordinates are those of the frame that the model saw: what is off it, or is no number, is refused, never moved."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import JsonValue

from deskhand import ClaudeComputerUseHarness, ToolCall, open_run
from deskhand.harness import FrameLimits
from deskhand.providers import Click, Screen
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, ToolUse, action, computer_call, member
from deskhand.tools.openai_actions import OPENAI_ACTION_TOOLS
from tests.harness.driving import computer_with_screen
from tests.harness.openai_script import FUNCTIONS, Script

SCREEN, FRAME = Screen(1280, 800), Screen(640, 400)
HALF = FrameLimits(max_edge=FRAME.width)

ODD: dict[str, JsonValue] = {
    "negative": -1,
    "far-negative": -(10**30),
    "just-beyond": FRAME.width,
    "on-the-screen-but-off-the-frame": SCREEN.width - 1,
    "beyond-64-bits": 10**30,
    "a-fraction": 1.5,
    "no-number": math.nan,
    "infinite": math.inf,
    "huge": 1e308,
    "true": True,
    "text": "10",
    "words": "left",
    "a-list": [1],
    "an-object": {"x": 1},
}
POINT: dict[str, JsonValue] = {"x": 1, "y": 1}
WAY: dict[str, JsonValue] = {"start_x": 1, "start_y": 1, "x": 2, "y": 2}
PLACES: list[tuple[str, str, dict[str, JsonValue]]] = [
    ("left_click", "x", POINT),
    ("double_click", "x", POINT),
    ("right_click", "x", POINT),
    ("mouse_move", "x", POINT),
    ("left_click_drag", "start_x", WAY),
    ("left_click_drag", "x", WAY),
    ("scroll", "x", {**POINT, "direction": "down"}),
    ("zoom", "x0", {"x0": 1, "y0": 1, "x1": 20, "y1": 20}),
]


@pytest.mark.parametrize("odd", list(ODD))
async def test_coordinate_that_is_none_is_refused_and_nothing_is_done(odd: str) -> None:
    """By every tool that takes one, against the last frame: not rounded, not clamped, not read as a number."""
    computer = computer_with_screen(*SCREEN)
    async with open_run(computer, "go", frame_limits=HALF) as run:
        frame = await run.look()
        assert (frame.width, frame.height) == FRAME
        looked = len(computer.regions)
        for name, place, arguments in PLACES:
            refused = await run.act(ToolCall(name, {**arguments, place: ODD[odd]}))
            assert (refused.outcome, refused.effect) == ("error", "no"), (name, place)
            assert refused.error is not None
            assert refused.error.code == "invalid_input"
    assert computer.performed == []
    assert len(computer.regions) == looked


@pytest.mark.parametrize(("x", "y"), [(0, 0), (639, 399), (320, 200)])
async def test_coordinate_on_the_frame_is_that_place_of_the_screen(x: int, y: int) -> None:
    """Up to the last pixel: what is refused is only what is off it."""
    computer = computer_with_screen(*SCREEN)
    async with open_run(computer, "go", frame_limits=HALF) as run:
        await run.look()
        assert (await run.act("left_click", x=x, y=y)).ok
    assert computer.performed == [Click(2 * x + 1, 2 * y + 1)]


@pytest.mark.parametrize("point", [{"x": 1}, {"y": 1}])
async def test_half_a_point_is_none(point: dict[str, JsonValue]) -> None:
    """Nobody guesses the other half."""
    computer = computer_with_screen()
    async with open_run(computer, "go") as run:
        await run.look()
        assert (await run.act(ToolCall("left_click", point))).outcome == "error"
    assert computer.performed == []


SENT = [name for name in ODD if name not in {"no-number", "infinite", "just-beyond", "on-the-screen-but-off-the-frame"}]
"""What an API's JSON can hold, and is off a frame of the screen's own size too."""


@pytest.mark.parametrize("odd", SENT)
async def test_claude_is_told_that_its_coordinate_is_none(odd: str) -> None:
    """In the result of its call; the loop goes on, and nothing was done."""
    seen: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        seen.append(view)
        if view.turn == 0:
            return FakeTurn([member("left_click", coordinate=[ODD[odd], 5])])
        return FakeTurn("So be it.")

    computer = computer_with_screen()
    fake = FakeAnthropic(play)
    async with fake.client() as client:
        harness = ClaudeComputerUseHarness(model="claude-sonnet-5-5", client=client)
        result = await harness.run(computer, "click")
    assert result.output == "So be it."
    assert computer.performed == []
    assert seen[1].results[0].is_error


@FUNCTIONS
@pytest.mark.parametrize("odd", ["negative", "beyond-64-bits", "a-fraction", "huge", "true", "text", "a-list"])
async def test_function_calls_coordinate_that_is_none_is_refused(mode: str, odd: str) -> None:
    """As the same tool would be for anybody else."""
    call = ToolUse("left_click", {"x": ODD[odd], "y": 5})
    script, computer = Script(FakeTurn([call]), FakeTurn("So be it.")), computer_with_screen()
    assert (await script.run(mode, computer)).output == "So be it."
    assert computer.performed == []


@pytest.mark.parametrize("x", [-1, 1280, 10**30])
async def test_computer_calls_coordinate_that_is_off_the_frame_is_refused(x: int) -> None:
    """With all that was planned behind it."""
    batch = computer_call(action("click", x=x, y=1), action("type", text="x"))
    script, computer = Script(FakeTurn([batch]), FakeTurn("So be it.")), computer_with_screen()
    assert (await script.run("computer", computer)).output == "So be it."
    assert computer.performed == []


async def test_path_of_points_is_refused_whole_for_one_of_them() -> None:
    """No half of a drag is done."""
    path: list[Any] = [{"x": 1, "y": 1}, {"x": 5, "y": 5}, {"x": FRAME.width, "y": 1}]
    computer = computer_with_screen(*SCREEN)
    async with open_run(computer, "go", frame_limits=HALF, tools=list(OPENAI_ACTION_TOOLS)) as run:
        await run.look()
        [drag] = [tool.name for tool in OPENAI_ACTION_TOOLS if tool.paths]
        assert (await run.act(ToolCall(drag, {"path": path}))).outcome == "error"
        assert computer.performed == []
        assert (await run.act(ToolCall(drag, {"path": path[:2]}))).ok
