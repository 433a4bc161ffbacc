"""What checkers infer for programs that use the blocking names; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import assert_type

from pydantic import BaseModel, JsonValue

import deskhand
from deskhand import Event, ExecResult, Frame, Observation, RunResult, ToolCall
from deskhand.providers import ExecChunk
from deskhand.sync import (
    ClaudeComputerUseHarness,
    Engine,
    ExternalComputer,
    LocalComputer,
    LocalProvider,
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
    OrgoComputer,
    OrgoProvider,
    ProbeHarness,
    Run,
    Shell,
    SqliteLog,
    attach,
    blocking,
    dispatch,
    open_computer,
    open_run,
    provider,
)


class Receipt(BaseModel):
    """Somebody's output."""

    total: float


class Counter(deskhand.Harness[int]):
    """Somebody's driver."""

    async def drive(self, run: deskhand.RunContext) -> int:
        """Count."""
        return 1


def use() -> None:
    """Whole programs."""
    computer = LocalProvider(pool=1).create(name="box")
    assert_type(computer, LocalComputer)
    assert_type(computer.exec("true"), ExecResult)
    assert_type(computer.screenshot(), bytes)
    assert_type(provider("local").create(name="box"), ExternalComputer)
    assert_type(dispatch(computer, "exec", {"command": "true"}), dict[str, JsonValue])
    assert_type(attach("local:id"), AbstractContextManager[ExternalComputer])
    assert_type(OrgoProvider(api_key="key").create(name="box"), OrgoComputer)
    with LocalProvider() as owner:
        assert_type(owner, LocalProvider)
    with open_computer("local") as opened, opened.shell() as shell, opened.exec_stream("ls") as stream:
        assert_type(opened, ExternalComputer)
        assert_type(shell, Shell)
        assert_type(iter(stream), Iterator[ExecChunk])
    with SqliteLog("runs.db") as log:
        assert_type(ProbeHarness().run(opened, "probe", log=log), RunResult[str])
    with ClaudeComputerUseHarness(output_type=Receipt).start([opened, computer], "do it") as run:
        assert_type(run, Run[Receipt])
        for event in run.events():
            assert_type(event, Event)
        assert_type(run.result().output, Receipt | None)
    assert_type(OpenAIComputerUseHarness(effort="none").run(opened, "do it"), RunResult[str])
    assert_type(OpenAIFunctionHarness(api="chat", output_type=Receipt).run(opened, "do it"), RunResult[Receipt])
    with open_run(computer, goal="mine") as mine:
        assert_type(mine.look(), Frame)
        assert_type(mine.act("exec", command="true"), Observation)
        assert_type(mine.act_batch([ToolCall("screenshot")]), list[Observation])
    with Engine() as engine:
        assert_type(engine.list(), list[Run[object]])
    assert_type(blocking(Counter()).run(computer, "count"), RunResult[int])
