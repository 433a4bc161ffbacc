"""False positives of stuck detection on the recorded runs: none of them goes in circles.

``python -m tests.golden.stuck`` counts and prints them, and fails where there are more than ``MOST``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from deskhand import MemoryLog
from deskhand.harness import History, Stuck
from deskhand.harness.stages.progress import step_of
from deskhand.harness.steps import Acted
from deskhand.harness.stuck import Finding, Watch
from deskhand.tools import OPENAI_ACTION_TOOLS, ToolCall, computer_tools
from tests.golden.recording import RUNS, load
from tests.tools.recording import RecordingComputer

MOST = 0
"""False positives that are put up with."""


@dataclass
class Count:
    """What was gone through, and what was found: in which run, and what."""

    runs: int = 0
    calls: int = 0
    found: list[tuple[str, Finding]] = field(default_factory=list)

    def __str__(self) -> str:
        """In lines."""
        lines = [f"{name}: {finding.text}" for name, finding in self.found]
        return "\n".join([*lines, f"{self.runs} recorded runs, {self.calls} calls: {len(self.found)} false positives"])


async def count(paths: Sequence[Path], limits: Stuck) -> Count:
    """Let the detector go through recorded runs, call by call, as it did when they were live.

    Args:
        paths: The files.
        limits: When a run counts as stuck.
    """
    tools = computer_tools(RecordingComputer()).merged(OPENAI_ACTION_TOOLS)
    counted = Count(len(paths))
    for path in paths:
        async with MemoryLog() as log:
            _, run_id, blobs = await load(path, log)
            history = await History.read(log, blobs, run_id)
        watches: dict[str | None, Watch] = {}
        for acted in history.steps:
            if not isinstance(acted, Acted) or acted.finished is None:
                continue
            counted.calls += 1
            name = acted.finished.data.name
            call = ToolCall(name, acted.started.data.arguments if acted.started is not None else {})
            seen = await history.observation(acted, call)
            step = None if seen is None else step_of(seen, tools.get(name) if name in tools else None)
            watch = watches.setdefault(acted.computer_id, Watch(limits))
            if step is not None and (finding := watch.take(step)) is not None:
                counted.found.append((path.stem, finding))
    return counted


def main() -> int:
    """Count with the default thresholds; return the exit code."""
    counted = anyio.run(count, sorted(RUNS.glob("*.json")), Stuck())
    sys.stdout.write(f"{counted}\n")
    if len(counted.found) > MOST:
        sys.stdout.write(f"allowed are {MOST}: the thresholds of deskhand.harness.Stuck are too strict\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
