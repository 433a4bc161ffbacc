"""Rows 19 and 21: what the control of a run costs, and how soon it is heeded."""

from __future__ import annotations

from typing import cast

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


def _halt(settings: Settings) -> Found:
    trials = settings.times(100, 10)
    after = sorted(cast("list[float]", run(Cell("halting", {"trials": trials}))["after"]))
    late = sum(seconds > 0 for seconds in after)
    middle, last = (max(0.0, seconds) * 1000 for seconds in (after[len(after) // 2], after[-1]))
    line = Line(
        row=21,
        metric=f"from a pause or a stop to the start of the last action, the longest of {trials}",
        unit="ms",
        ours=last,
        goals=[Goal.at_most("the longest", last, 200, " ms"), Goal("none starts", met=late == 0)],
        note=f"four loops on slow computers, told at random instants; {late} times one started, p50 {middle:.3g} ms",
    )
    return [line], []


ROWS = (
    Row("control", (19,), "what the control of a run costs", _control),
    Row("halt", (21,), "how soon a pause or a stop is heeded", _halt),
)
