"""A scripted model: a harness that decides what a test says."""

from __future__ import annotations

import pytest

from deskhand.errors import InvalidInputError
from deskhand.harness.events import Usage
from deskhand.providers import Click
from deskhand.testing import FakeComputer, ScriptedModel, ScriptedView, call, capture_events
from deskhand.testing.scripted import Decision


async def test_script_plays_its_turns_and_answers() -> None:
    """Calls are done in order, a function sees what came of them, and the text alone is the output."""
    model = ScriptedModel(
        [
            ["I look first.", call("screenshot"), call("left_click", x=12, y=34)],
            call("exec", command="echo hello"),
            lambda seen: f"It says {seen.text}.",
        ]
    )
    async with FakeComputer() as computer:
        result = await model.run(computer, "say hello")
        result.raise_for_outcome()
        assert result.output == "It says hello."
        assert (result.turns, result.actions) == (3, 3)
        assert computer.performed == [Click(12, 34)]


async def test_function_sees_the_goal_the_tools_and_the_frame() -> None:
    """A function is asked turn by turn, async or not, with what a model would see."""
    views: list[ScriptedView] = []

    async def decide(seen: ScriptedView) -> Decision:
        views.append(seen)
        return call("screenshot") if seen.turn == 0 else "done"

    async with FakeComputer() as computer:
        result = await ScriptedModel(decide).run(computer, "look around")
    assert result.output == "done"
    assert [view.turn for view in views] == [0, 1]
    assert views[0].goal == "look around"
    assert views[0].image is None
    assert {"screenshot", "exec", "type"} <= set(views[0].tools)
    assert views[1].image is not None
    assert views[1].image.startswith(b"\x89PNG")


async def test_turns_are_events_like_a_model_s() -> None:
    """Turns, messages and usage stand in the log as any model's do."""
    model = ScriptedModel(["done"], usage=Usage(input=10, output=2))
    async with FakeComputer() as computer, model.start(computer, "nothing") as run, capture_events(run) as events:
        result = await run.result()
    assert events.types == [
        "run.started",
        "computer.status",
        "turn.started",
        "model.delta",
        "model.message",
        "usage.recorded",
        "turn.finished",
        "run.finished",
    ]
    assert result.usage.input == 10


async def test_failed_calls_are_what_the_model_sees() -> None:
    """Bad arguments and unknown tools come back as observations; the script goes on."""
    model = ScriptedModel(
        [
            [call("left_click", x=99_999, y=1), call("teleport")],
            lambda seen: " ".join(observation.error.code for observation in seen.observations if observation.error),
        ]
    )
    async with FakeComputer() as computer:
        result = await model.run(computer, "fail")
    assert result.output is not None
    assert result.output.startswith("invalid_input ")


async def test_too_many_turns_end_the_run() -> None:
    """A function that never answers uses up the turns."""
    async with FakeComputer() as computer:
        result = await ScriptedModel(lambda _: call("cursor_position"), max_turns=3).run(computer, "for ever")
    assert (result.outcome, result.reason, result.turns) == ("budget_exceeded", "turns", 3)


async def test_calls_from_a_last_function_fail_the_run_with_a_hint() -> None:
    """A list whose last function asks for more is the script's mistake, and says so."""
    async with FakeComputer() as computer:
        result = await ScriptedModel([lambda _: call("cursor_position")]).run(computer, "more")
    assert result.outcome == "failed"
    assert result.error is not None
    assert "have been played" in result.error.message


@pytest.mark.parametrize("script", [[], [call("screenshot")]], ids=["empty", "ends-in-calls"])
def test_script_without_an_answer_is_refused(script: list[Decision]) -> None:
    """A script that could not end is refused where it is written."""
    with pytest.raises(InvalidInputError, match="turn"):
        ScriptedModel(script)
