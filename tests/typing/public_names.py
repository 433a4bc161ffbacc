"""What checkers infer for programs that use the public names; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

from pydantic import BaseModel

from deskhand import (
    ClaudeComputerUseHarness,
    Engine,
    Event,
    ExecResult,
    ExternalComputer,
    Frame,
    Harness,
    Observation,
    ProbeHarness,
    Run,
    RunContext,
    RunResult,
    ToolCall,
    ToolContext,
    ToolRegistry,
    open_computer,
    open_run,
)
from deskhand.errors import Effect

registry = ToolRegistry()


class Shop:
    """Somebody's dependencies."""


class Receipt(BaseModel):
    """Somebody's output."""

    total: float


class Counter(Harness[int, Shop]):
    """A driver with an output and dependencies of its own."""

    async def drive(self, run: RunContext[Shop]) -> int:
        """Use what the run gives."""
        assert_type(run.deps, Shop)
        observation = await run.act("exec", command="true")
        assert_type(observation, Observation)
        assert_type(observation.effect, Effect)
        assert_type(await run.look(), Frame)
        assert_type(await run.act_batch([ToolCall("screenshot")]), list[Observation])
        return 1


@registry.tool
async def price(context: ToolContext[Shop], item: str) -> float:
    """A tool keeps its own type."""
    assert_type(context.deps, Shop)
    return float(len(item))


async def use() -> None:
    """Whole programs."""
    async with open_computer("local") as computer:
        assert_type(computer, ExternalComputer)
        assert_type(await computer.exec("true"), ExecResult)
        assert_type(await computer.screenshot(), bytes)
        assert_type(await Counter().run(computer, "count", deps=Shop()), RunResult[int])
        assert_type(await ProbeHarness().run(computer, "probe"), RunResult[str])
        async with Counter().start(computer, "count") as run:
            assert_type(run, Run[int])
            async for event in run.events():
                assert_type(event, Event)
            assert_type((await run.result()).output, int | None)
        async with ClaudeComputerUseHarness().start(computer, "do it") as said:
            assert_type(said, Run[str])
        async with ClaudeComputerUseHarness(output_type=Receipt).start(computer, "do it") as typed:
            assert_type(typed, Run[Receipt])
        async with Engine() as engine:
            assert_type(await engine.start(Counter(), computer, "count"), Run[int])
        async with open_run(computer, goal="mine") as mine:
            assert_type(mine.tools, ToolRegistry)
    assert_type(await price(ToolContext(computer, Shop()), "pen"), float)
    computers: Sequence[ExternalComputer] = [computer]
    assert_type(await Counter().run(computers, "count"), RunResult[int])
