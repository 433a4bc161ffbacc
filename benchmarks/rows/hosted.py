"""Row 18: an adapter against bare requests to the same service."""

from __future__ import annotations

import json

from benchmarks.cells import Cell, Settings, Values, run, served
from benchmarks.environments import UnavailableError
from benchmarks.report import Goal, Line, Missing
from benchmarks.rows.local import needs_x
from benchmarks.rows.row import Found, Row

_BARE, _VENDOR = "bare httpx2 requests", "orgo's own package"


def _line(kind: str, ours: Values, peer: Values | None, what: str) -> Line:
    took, floor = ours[f"{kind}.ours"] * 1000, ours[f"{kind}.floor"] * 1000
    used, least = ours[f"{kind}.ours.cpu"] * 1000, ours[f"{kind}.floor.cpu"] * 1000
    return Line(
        row=18,
        metric=f"{what} on a simulated Orgo, p50",
        unit="ms",
        ours=took,
        floor=(_BARE, floor),
        peers={} if peer is None else {_VENDOR: peer[kind] * 1000},
        goals=[Goal.at_most("over the floor", took / floor, 1.3, "x")],
        note=f"client CPU {used:.2f} ms, {used / least:.2f}x the floor's",
    )


def _orgo(settings: Settings) -> Found:
    needs_x()
    missing: list[Missing] = []
    peer: Values | None = None
    with served("orgo_server") as said:
        arguments = {**json.loads(said), "times": settings.times(200, 10)}
        ours = run(Cell("hosted_deskhand", arguments))
        try:
            peer = run(Cell("hosted_orgo", arguments, "orgo"))
        except UnavailableError as error:
            missing.append(Missing(18, _VENDOR, str(error)))
    return [
        _line("exec", ours, peer, "a command"),
        _line("screenshot", ours, peer, "a screenshot, PNG in hand,"),
    ], missing


ROW = Row("orgo", (18,), "an adapter over bare requests", _orgo)
