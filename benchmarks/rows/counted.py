"""Row 4: how often anything is encoded."""

from __future__ import annotations

from benchmarks.cells import Cell, Settings, model_server, run
from benchmarks.report import Goal, Line
from benchmarks.rows.row import Found, Row


def _counters(settings: Settings) -> Found:
    with model_server() as url:
        found = run(Cell("counters", {"url": url, "actions": settings.times(30, 10)}))
    names = {
        "json": "JSON encodes of an item of the history",
        "base64": "base64 encodes of a frame",
        "hashes": "hashes of a frame",
    }
    lines = [
        Line(
            row=4,
            metric=f"{what}, in a whole run",
            unit="",
            ours=found[key],
            goals=[Goal("exactly 1", found[key] == 1)],
        )
        for key, what in names.items()
    ]
    return lines, []


ROW = Row("counters", (4,), "how often anything is encoded", _counters)
