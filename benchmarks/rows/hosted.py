"""Row 18: an adapter against bare requests to the same service."""

from __future__ import annotations

import json
import sys

from benchmarks.cells import Cell, Settings, Values, run, served
from benchmarks.environments import UnavailableError, python
from benchmarks.report import Goal, Line, Missing
from benchmarks.rows.local import needs_x
from benchmarks.rows.row import Found, Row

_BARE, _VENDOR = "bare httpx2 requests", "orgo's own package"


def _line(kind: str, found: Values, what: str) -> Line:
    took = {name.partition("/")[0]: value * 1000 for name, value in found.items() if name.endswith(f"/{kind}")}
    used, least = found[f"ours/{kind}.cpu"] * 1000, found[f"{_BARE}/{kind}.cpu"] * 1000
    ours, floor = took.pop("ours"), took.pop(_BARE)
    return Line(
        row=18,
        metric=f"{what} on a simulated Orgo, p50",
        unit="ms",
        ours=ours,
        floor=(_BARE, floor),
        peers=took,
        goals=[Goal.at_most("over the floor", ours / floor, 1.3, "x")],
        note=f"client CPU {used:.2f} ms, {used / least:.2f}x the floor's",
    )


def _orgo(settings: Settings) -> Found:
    needs_x()
    programs = {"ours": [sys.executable, "hosted_deskhand"], _BARE: [sys.executable, "hosted_bare"]}
    gone: list[Missing] = []
    try:
        programs[_VENDOR] = [python("orgo"), "hosted_orgo"]
    except UnavailableError as error:
        gone.append(Missing(18, _VENDOR, str(error)))
    with served("orgo_server") as said:
        found = run(Cell("hosted", {**json.loads(said), "times": settings.times(200, 10), "with": programs}))
    return [_line("exec", found, "a command"), _line("screenshot", found, "a screenshot, PNG in hand,")], gone


ROW = Row("orgo", (18,), "an adapter over bare requests", _orgo)
