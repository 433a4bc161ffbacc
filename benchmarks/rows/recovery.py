"""Row 20: how soon a run that died goes on."""

from __future__ import annotations

from benchmarks.cells import Cell, Settings, model_server, run
from benchmarks.report import Goal, Line
from benchmarks.rows.row import Found, Row


def _recovery(settings: Settings) -> Found:
    actions = settings.times(500, 50)
    with model_server() as url:
        found = run(Cell("recovering", {"url": url, "actions": actions, "times": settings.times(5)}))
    line = Line(
        row=20,
        metric=f"a run that died after {actions} actions: until its first new action is sent",
        unit="ms",
        ours=found["seconds"] * 1000,
        floor=("its events read from SQLite, as bytes", found["floor"] * 1000),
        goals=[Goal.at_most("wall", found["seconds"], 1, " s")],
        note="log opened, history rebuilt with its frames, one model turn over HTTP",
    )
    return [line], []


ROW = Row("recovery", (20,), "how soon a run that died goes on", _recovery)
