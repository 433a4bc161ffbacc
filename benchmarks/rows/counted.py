"""Row 4: how often anything is encoded."""

from __future__ import annotations

from benchmarks.cells import Cell, Settings, model_server, run
from benchmarks.report import Goal, Line
from benchmarks.rows.families import CLAUDE, OPENAI
from benchmarks.rows.row import Found, Row

_COUNTED = {
    "json": "JSON encodes of an item of the history",
    "base64": "base64 encodes of a frame",
    "hashes": "hashes of a frame",
}


def _counters(settings: Settings) -> Found:
    lines: list[Line] = []
    with model_server() as url:
        for family in (CLAUDE, OPENAI):
            given = {"url": url, "actions": settings.times(30, 10), "vendor": family.vendor}
            found = run(Cell("counters", given))
            lines += [
                Line(
                    row=4,
                    metric=f"{family.title}, {what}, in a whole run",
                    unit="",
                    ours=found[key],
                    goals=[Goal("exactly 1", found[key] == 1)],
                )
                for key, what in _COUNTED.items()
            ]
    return lines, []


ROW = Row("counters", (4,), "how often anything is encoded", _counters)
