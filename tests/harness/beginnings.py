"""Runs that died: the beginning of a log as another process finds it, for the tests of recovery."""

from __future__ import annotations

from collections.abc import Sequence

from deskhand import MemoryLog
from deskhand.harness import EventLog
from deskhand.harness.events import ActionFinished, ActionStarted, Event


async def events_of(log: EventLog, run_id: str) -> list[Event]:
    """Return all events of a run."""
    return await log.read(run_id, limit=100_000)


async def beginning(events: Sequence[Event]) -> MemoryLog:
    """Make a log that holds these events, as a process leaves it that was killed behind the last of them."""
    log = MemoryLog()
    run_id = events[0].run_id
    epoch = await log.claim(run_id)
    log.append(run_id, epoch, list(events))
    return log


def intents(events: Sequence[Event]) -> list[str]:
    """Return the calls of the actions that may have changed something, in the order of their intents."""
    return [event.data.call_id for event in events if isinstance(event, ActionStarted) and event.data.effect != "pure"]


def outcomes(events: Sequence[Event]) -> dict[str, str]:
    """Return how each call ended.

    Raises:
        AssertionError: If one ended twice.
    """
    found: dict[str, str] = {}
    for event in events:
        if isinstance(event, ActionFinished):
            assert event.data.call_id not in found
            found[event.data.call_id] = event.data.outcome
    return found
