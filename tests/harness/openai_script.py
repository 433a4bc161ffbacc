"""Every way in which OpenAI's models are asked, and a script that keeps what the model saw."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from deskhand import (
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
    RunResult,
)
from deskhand.harness import Stuck
from deskhand.harness.models.transport import Patience
from deskhand.testing.models import (
    FakeOpenAI,
    FakeTurn,
    ModelView,
    action,
    computer_call,
    tool_use,
)
from tests.harness.driving import computer_with_screen
from tests.tools.recording import RecordingComputer

MODES: dict[str, dict[str, Any]] = {
    "computer": {"harness": OpenAIComputerUseHarness},
    "kept": {"harness": OpenAIComputerUseHarness, "keep_on_server": True},
    "functions": {"harness": OpenAIFunctionHarness},
    "functions-kept": {"harness": OpenAIFunctionHarness, "keep_on_server": True},
    "chat": {"harness": OpenAIFunctionHarness, "api": "chat"},
}
"""Every way in which a model of OpenAI is asked."""

EVERY = pytest.mark.parametrize("mode", MODES)
NATIVE = pytest.mark.parametrize("mode", ["computer", "kept"])
FUNCTIONS = pytest.mark.parametrize("mode", ["functions", "functions-kept", "chat"])


def click(mode: str, x: int, y: int) -> Any:
    """Ask for a click as the mode does."""
    if MODES[mode]["harness"] is OpenAIComputerUseHarness:
        return computer_call(action("click", x=x, y=y))
    return tool_use("left_click", x=x, y=y)


def made(mode: str, client: openai.AsyncOpenAI, **more: Any) -> Any:
    """Make the harness of a mode."""
    options = {"patience": Patience(base=0), **MODES[mode], **more}
    harness = options.pop("harness")
    return harness(client=client, **options)


class Script:
    """Plays turns and keeps what the model saw before each."""

    def __init__(self, *turns: FakeTurn) -> None:
        self.turns = turns
        self.views: list[ModelView] = []
        self.fake = FakeOpenAI(self.play)

    def play(self, view: ModelView) -> FakeTurn:
        self.views.append(view)
        return self.turns[len(self.views) - 1]

    async def run(
        self,
        mode: str = "computer",
        computer: RecordingComputer | None = None,
        goal: str = "Go.",
        on_approval: Any = None,
        stuck: Stuck | None = None,
        **more: Any,
    ) -> RunResult[Any]:
        """Run the loop; every request must have been legal."""
        async with self.fake.client() as client:
            harness = made(mode, client, **more)
            result = await harness.run(computer or computer_with_screen(), goal, on_approval=on_approval, stuck=stuck)
        self.fake.raise_script_errors()
        assert [request.error for request in self.fake.requests if request.error] == []
        return result  # type: ignore[no-any-return]
