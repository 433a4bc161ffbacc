"""A run during which the wall clock is set, in an approval and in an action; it prints what came of it, as JSON.

    python -m tests.harness.clock_worker SECONDS LOG

It is started with the library of ``jumping_clock.c``.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from itertools import pairwise

import anyio

from deskhand import Budget, RunContext, SqliteLog, ToolCall
from deskhand.harness import ApprovalRequest, approvals
from deskhand.harness.events import ActionFinished
from deskhand.tools import SafetyCheck
from tests.harness.driving import Driver, computer_with_screen

CHECK = SafetyCheck("sc_1", "malicious_instructions", "the page asks for a password")
SOON = 0.2
"""Seconds that an approval waits here."""


def jump(seconds: int) -> None:
    """Set the clock so many seconds away from where it was at first."""
    with open(os.environ["JUMPING_CLOCK"], "r+b") as file:
        file.write(struct.pack("q", seconds))


async def main(seconds: int, log: str) -> None:
    """Run, and tell."""
    outcomes: list[str] = []

    async def ask(request: ApprovalRequest) -> bool:
        jump(seconds if not outcomes else 0)
        if outcomes:
            await anyio.sleep_forever()
        return True

    async def drive(run: RunContext) -> None:
        for x in range(2):
            seen = await run.act_batch([ToolCall("left_click", {"x": x, "y": 1}, checks=(CHECK,))])
            outcomes.append(seen[0].outcome)
            approvals.ANSWER = SOON  # type: ignore[misc]
        jump(seconds)
        await run.look()
        jump(0)
        outcomes.append((await run.act("wait", duration=0.05)).outcome)

    async with SqliteLog(log) as opened:
        with anyio.fail_after(30):
            driver = Driver(drive)
            result = await driver.run(
                computer_with_screen(), "act", log=opened, on_approval=ask, budget=Budget(time=300)
            )
        events = await opened.read(result.run_id)
    told = {
        "outcome": result.outcome,
        "error": str(result.error),
        "outcomes": outcomes,
        "numbers": [event.seq for event in events],
        "steps": [(later.time - earlier.time).total_seconds() for earlier, later in pairwise(events)],
        "durations": [event.data.duration for event in events if isinstance(event, ActionFinished)],
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), sys.argv[2])
