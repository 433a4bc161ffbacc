"""An action on its way: what the stages know of it, and what a stage is."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from deskhand.harness.state import ComputerState, RunState
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.registry import Tool

__all__ = ["EVENT_TEXT", "Action", "Stage"]

EVENT_TEXT: Final = 16_384
"""Characters of an observation's text kept in its event; a blob holds all of a longer one."""


@dataclass(eq=False)
class Action:
    """One call on its way through the stages."""

    run: RunState
    actor: str
    stack: AsyncExitStack
    began: float = field(default_factory=time.monotonic)
    target: ComputerState | None = None
    tool: Tool | None = None
    arguments: BaseModel | None = None
    intended: bool = False
    settle: float | None = None
    picture: bytes | None = None
    waited: float = 0.0
    ask: str | None = None
    approved: bool | None = None
    asked_again: bool = False
    stuck: str | None = None
    stepped: bool = False
    text_blob: str | None = None

    @property
    def on(self) -> ComputerState:
        """The computer it is for, known after `validate`."""
        assert self.target is not None  # noqa: S101 (the stages' order)
        return self.target

    @property
    def with_tool(self) -> Tool:
        """The tool it is for, known after `validate`."""
        assert self.tool is not None  # noqa: S101 (the stages' order)
        return self.tool


Stage = Callable[[ToolCall, Action], Awaitable[ToolCall | Observation]]
"""One step of an action: the call goes on, or an observation ends it."""
