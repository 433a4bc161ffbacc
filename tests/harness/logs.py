"""Logs and events for the tests of logs and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deskhand import MemoryLog, SqliteLog
from deskhand.harness import EventLog
from deskhand.harness.events import CustomEvent, EventBase, RunFinished

MakeLog = Callable[[Path], EventLog]

LOGS: dict[str, MakeLog] = {"memory": lambda path: MemoryLog(), "sqlite": lambda path: SqliteLog(path / "log.db")}


def custom(run_id: str, value: int, *, workspace: str | None = None, user: str | None = None) -> CustomEvent:
    """Make a durable event that can be told from others."""
    return CustomEvent.model_validate(
        {
            "source": f"/runs/{run_id}",
            "run_id": run_id,
            "workspace_id": workspace,
            "user_id": user,
            "data": {"name": "test.count", "value": value},
        }
    )


def finished(run_id: str) -> RunFinished:
    """Make a run's last event."""
    return RunFinished.model_validate({"source": f"/runs/{run_id}", "run_id": run_id, "data": {"outcome": "completed"}})


def value_of(event: EventBase) -> object:
    """Return what `custom` was given."""
    return event.data.value if isinstance(event, CustomEvent) else event.type


@contextmanager
def attribute(target: object, name: str, value: object) -> Iterator[None]:
    """Set a module's attribute while the block lasts."""
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)
