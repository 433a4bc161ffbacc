"""Three ways to drive a computer: without a model, with one, and by code of your own.

All of them act through a run, so that whatever they do is checked, recorded, and shown as it happens.
"""

from collections.abc import Callable
from typing import TypeAlias

from external_compute import ExternalComputer
from harness import ClaudeComputerUseHarness, Harness, ProbeHarness

from deskhand import Observation, RunResult, ToolCall
from deskhand.sync import open_run

Decide: TypeAlias = Callable[[str, Observation | None], ToolCall | str]
"""Sees the goal and what came of the last call; gives the next call, or the answer."""


def probe(computer: ExternalComputer, goal: str = "try what there is") -> RunResult[str]:
    """Try out what the computer has: the quickest way to see that one works."""
    return shown(ProbeHarness(), computer, goal)


def model_backed(computer: ExternalComputer, goal: str, harness: Harness[str] | None = None) -> RunResult[str]:
    """Let a model pursue the goal: Claude, unless the loop of another is given."""
    return shown(harness or ClaudeComputerUseHarness(), computer, goal)


def shown(harness: Harness[str], computer: ExternalComputer, goal: str) -> RunResult[str]:
    """Run a loop and print each action and how it ended; a user interface renders the same events."""
    with harness.start(computer, goal) as run:
        for event in run.events(types=["action.started", "action.finished"]):
            if event.type == "action.started":
                print(event.summary, end=" ", flush=True)
            else:
                print("→", event.summary.partition(" → ")[2])
        return run.result()


def custom(computer: ExternalComputer, goal: str, decide: Decide | None = None) -> RunResult[object]:
    """Your own loop: ask `decide` for the next call, do it, show it what came of it, until it has an answer."""
    decide = decide or write_it_down
    with open_run(computer, goal=goal) as run:
        wanted = decide(run.goal, None)
        while isinstance(wanted, ToolCall):
            seen = run.act(wanted)
            print(f"{wanted.name} → {seen.text or seen.outcome}")
            wanted = decide(run.goal, seen)
        run.finish(wanted)
    return run.result()


def write_it_down(goal: str, seen: Observation | None) -> ToolCall | str:
    """Write the goal to a file and read it back: what a model of yours would decide."""
    if seen is None:
        return ToolCall("write_file", {"path": "goal.txt", "content": goal})
    if seen.call.name == "write_file" and seen.ok:
        return ToolCall("read_file", {"path": "goal.txt"})
    return seen.text
