"""Whether a call is one at all, and when it may start: the tool's schema, the run's switch, the computer's lock."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final, cast

from pydantic import JsonValue

from deskhand.errors import NotFoundError
from deskhand.harness.stages.action import Action
from deskhand.tools.calls import ErrorInfo, Observation, ToolCall

__all__ = ["INTERRUPTED", "gate", "lock", "recheck", "validate"]

INTERRUPTED: Final = "Not executed: a person said something first."


async def validate(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Find the computer and the tool, and check the arguments against the tool's schema.

    Raises:
        NotFoundError: If there is no such tool, and where there are several computers, none of them is named.
    """
    action.target = action.run.computer(call.computer_id)
    if call.computer_id is None and len(action.run.computers) > 1 and call.name not in action.target.tools:
        raise NotFoundError(
            f"no tool is called {call.name!r}, and no computer is named",
            hint=f"say which computer it is for: {', '.join(action.run.computers)}",
        )
    action.tool = action.target.tools.get(call.name)
    action.arguments = action.target.tools.validate(call.name, call.arguments)
    plain = cast("dict[str, JsonValue]", action.arguments.model_dump(mode="json", exclude_none=True))
    return replace(call, arguments=plain, computer_id=action.target.id)


async def gate(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Wait while the run is paused, or a person has the computers; that time counts in no deadline and no budget.

    What a person could not let wait, said meanwhile, is said about what is held: it is not done then.
    """
    control, inbox = action.run.control, action.run.inbox
    if not control.waits:
        action.stepped = await control.passed()
        return call
    waited_from, heard = time.monotonic(), inbox.urgent
    with action.run.stopwatch.held():
        action.stepped = await control.passed()
    waited = time.monotonic() - waited_from
    action.began += waited
    action.waited += waited
    if inbox.urgent and not heard:
        error = ErrorInfo("skipped", INTERRUPTED, effect="no")
        return Observation(call, "skipped", "no", text=INTERRUPTED, error=error)
    return call


async def lock(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Have the computer for this action alone, so that effects happen in the order of their intents."""
    await action.stack.enter_async_context(action.on.lock)
    return call


async def recheck(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Having waited for the computer, heed what the run was told meanwhile; a paused action holds no computer."""
    while action.run.control.holds(stepped=action.stepped):
        await action.stack.aclose()
        held = await gate(call, action)
        if isinstance(held, Observation):
            return held
        await lock(call, action)
    action.run.control.check()
    return call
