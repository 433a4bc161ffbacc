"""Whether an action may still start, now that all looking and waiting before it is over."""

from __future__ import annotations

from typing import Final

from deskhand.harness.stages.action import Action, Stage
from deskhand.harness.stages.admission import gate, lock, recheck
from deskhand.harness.stages.effect import settle
from deskhand.harness.stages.fresh import current, fresh
from deskhand.tools.calls import Observation, ToolCall

__all__ = ["last_word"]

_AGAIN: Final[tuple[Stage, ...]] = (gate, lock, recheck, current, fresh, settle)


async def last_word(call: ToolCall, action: Action) -> ToolCall | Observation:
    """Heed what the run was told while the action looked and waited for rest: from here to its intent nothing waits.

    So once the run has been told to pause or to stop, no action starts. One that is held holds no computer meanwhile,
    and looks anew afterwards.
    """
    while action.run.control.holds(stepped=action.stepped):
        await action.stack.aclose()
        action.settle = action.picture = None
        for stage in _AGAIN:
            answer = await stage(call, action)
            if isinstance(answer, Observation):
                return answer
            call = answer
    action.run.control.check()
    return call
