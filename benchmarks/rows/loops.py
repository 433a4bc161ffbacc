"""Rows 1, 3, 4, 5 and 9: a loop for Claude against the vendor's clients."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.cells import Cell, Settings, least, model_server, run
from benchmarks.report import Goal, Line
from benchmarks.rows.row import Found, Row

_FLOOR = "bytes through the vendor's client"
_HAND, _RUNNER = "anthropic by hand", "anthropic tool_runner"
_EPISODE = "a model turn clicks and looks, all frames stay"


def _cells(arguments: Mapping[str, object]) -> dict[str, Cell]:
    return {
        "ours": Cell("loop_deskhand", arguments),
        _FLOOR: Cell("loop_bytes", arguments, "anthropic"),
        _HAND: Cell("loop_hand", arguments, "anthropic"),
        _RUNNER: Cell("loop_runner", arguments, "anthropic"),
    }


def _values(
    found: Mapping[str, Mapping[str, float]], key: str, scale: float
) -> tuple[float, tuple[str, float], dict[str, float]]:
    scaled = {name: values[key] * scale for name, values in found.items()}
    ours, floor = scaled.pop("ours"), scaled.pop(_FLOOR)
    return ours, (_FLOOR, floor), scaled


def _cpu(settings: Settings) -> Found:
    with model_server() as url:
        found = least(_cells({"url": url, "actions": 30}), settings.times(7))
    ours, floor, peers = _values(found, "cpu", 1000)
    line = Line(
        row=1,
        metric="client CPU an action: 30 actions, streaming, events and SQLite log on",
        unit="ms",
        ours=ours,
        floor=floor,
        peers=peers,
        goals=[
            Goal.at_most("over the floor", ours / floor[1], 1.5, "x"),
            Goal.at_least("below the typed client", peers[_HAND] / ours, 2, "x"),
        ],
        note=_EPISODE,
    )
    return [line], []


def _long(settings: Settings) -> Found:
    """Rows 3 and 5 from runs of several lengths."""
    short, middle, long = (30, 60, 60) if settings.quick else (30, 120, 240)
    with model_server() as url:
        found = {
            actions: least(_cells({"url": url, "actions": actions}), settings.times(3))
            for actions in sorted({short, middle, long})
        }
    growth = {name: {"growth": found[long][name]["cpu"] / found[short][name]["cpu"]} for name in found[short]}
    ours, floor, peers = _values(growth, "growth", 1)
    memory, least_memory, peer_memory = _values(found[middle], "memory", 1e-6)
    return [
        Line(
            row=3,
            metric=f"growth of the CPU an action from {short} to {long} actions, whole history",
            unit="x",
            ours=ours,
            floor=floor,
            peers=peers,
            goals=[Goal.at_most("growth", ours, 2.3, "x")],
            note="a ratio of ratios: who starts cheap grows more; see row 1",
        ),
        Line(
            row=5,
            metric=f"peak memory of a run of {middle} actions, whole history",
            unit="MB",
            ours=memory,
            floor=least_memory,
            peers=peer_memory,
            goals=[Goal.at_most("peak", memory, 30, " MB")],
            note="its frames and its log included",
        ),
    ], []


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


def _first(settings: Settings) -> Found:
    with model_server() as url:
        cells = _cells({"url": url, "firsts": settings.times(15, 3)})
        found = {name: {"seconds": run(cell).median("seconds")} for name, cell in cells.items()}
    ours, floor, peers = _values(found, "seconds", 1000)
    line = Line(
        row=9,
        metric="first turn done on a new client in a warm process, p50",
        unit="ms",
        ours=ours,
        floor=floor,
        peers=peers,
        goals=[Goal.at_most("p50", ours, 120, " ms")],
        note="one click and one look",
    )
    return [line], []


ROWS = (
    Row("cpu", (1,), "client CPU an action", _cpu),
    Row("growth", (3, 5), "growth and peak memory with the whole history", _long),
    Row("counters", (4,), "how often anything is encoded", _counters),
    Row("first", (9,), "the first action on a new client", _first),
)
