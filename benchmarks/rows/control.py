"""Row 19: what the control of a run costs."""

from __future__ import annotations

from benchmarks.cells import Cell, Settings, run
from benchmarks.report import Goal, Line
from benchmarks.rows.row import Found, Row


def _control(settings: Settings) -> Found:
    found = run(Cell("controlling", {"slices": settings.times(400, 40)}))
    line = Line(
        row=19,
        metric="CPU an action of a run that is controlled: policy, budget, secrets, rest, old frames, circles",
        unit="ms",
        ours=found["on"] * 1000,
        floor=("the same with none of it", found["off"] * 1000),
        goals=[Goal.at_most("over the floor", found["ratio"], 1.1, "x")],
        note="events and SQLite log on; no model is asked",
    )
    return [line], []


ROW = Row("control", (19,), "what the control of a run costs", _control)
