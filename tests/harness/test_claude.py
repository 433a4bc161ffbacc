"""The loop for Claude against the strict fake."""

from __future__ import annotations

from deskhand import ClaudeComputerUseHarness
from deskhand.providers import Click
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member, text, thinking, tool_use
from tests.harness.driving import computer_with_screen


async def test_loop_acts_on_what_the_model_asks_for_and_returns_what_it_says() -> None:
    """A batch of toolset members and a function is run in order, its results go back, the last text is the output."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        if view.turn == 0:
            calls = [member("left_click", coordinate=[10, 20]), tool_use("exec", command="echo hi")]
            return FakeTurn([thinking("hm"), text("I click."), *calls])
        return FakeTurn("Done ö.")

    fake = FakeAnthropic(play)
    computer = computer_with_screen()
    async with fake.client() as client:
        result = await ClaudeComputerUseHarness(client=client).run(computer, "Click there.")
    fake.raise_script_errors()
    assert (result.outcome, result.output, result.turns) == ("completed", "Done ö.", 2)
    assert computer.performed == [Click(10, 20)]
    assert views[0].text == "Click there."
    assert views[0].frame is not None
    assert [(seen.name, seen.text) for seen in views[1].results] == [("left_click", "clicked"), ("exec", "echo hi")]
    assert views[1].results[0].image is not None
