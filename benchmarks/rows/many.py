"""Rows 6 and 7: many runs in one process, waiting or working."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.cells import Settings, model_server, side_by_side
from benchmarks.report import Goal, Line
from benchmarks.rows.families import CLAUDE, OPENAI, Family, missing
from benchmarks.rows.row import Found, Row

_KIB, _MB = 1024, 1_000_000
_FRAME = 217_580
"""Bytes of a frame as the APIs take it."""
_BELOW = {"anthropic by hand": 2, "openai-agents": 4}


def _held(family: Family, settings: Settings) -> Found:
    """Memory of a run that waits for its model, with frames of next to nothing and with real ones."""
    held = replace(family, kind=f"held-{family.kind}")
    many = settings.times(100, 5)
    with model_server() as url:
        arguments = {"url": url, "actions": 10, "many": many, "on_disk": True}
        small, gone = side_by_side(held.cells({**arguments, "frame": 0}, [family.hand]), settings.times(2))
        real, more_gone = side_by_side(held.cells(arguments, [family.hand]), settings.times(2))
    ours, floor, peers = held.values(small, "memory", 1 / _KIB)
    with_frames, floor_with, peers_with = held.values(real, "memory", 1 / _MB)
    once = (6 * _FRAME + 256 * _KIB) / _MB
    return [
        Line(
            row=6,
            metric=f"{family.title}, a run that waits for its model after 10 actions, of {many}: memory beside frames",
            unit="KiB",
            ours=ours,
            floor=floor,
            peers=peers,
            goals=[Goal.at_most("each", ours, 256, " KiB")],
        ),
        Line(
            row=6,
            metric=f"{family.title}, the same with its 6 frames",
            unit="MB",
            ours=with_frames,
            floor=floor_with,
            peers=peers_with,
            goals=[Goal.at_most("each frame once", with_frames, round(once, 2), " MB")],
        ),
    ], missing([6], gone | more_gone)


def _waiting(settings: Settings) -> Found:
    lines, gone = _held(CLAUDE, settings)
    more, more_gone = _held(OPENAI, settings)
    return lines + more, gone + more_gone


def _at_once(family: Family, peers: list[str], settings: Settings) -> Found:
    many = settings.times(500, 10)
    together = replace(family, kind=f"together-{many}-{family.kind}")
    with model_server() as url:
        found, gone = side_by_side(together.cells({"url": url, "actions": 6, "many": many}, peers), settings.times(3))
    ours, floor, others = family.values(found, "cpu", 1000)
    wanted = {name: times for name, times in _BELOW.items() if name in others}
    line = Line(
        row=7,
        metric=f"{family.title}, {many} runs at once of 6 actions each, client CPU an action",
        unit="ms",
        ours=ours,
        floor=floor,
        peers=others,
        goals=[
            Goal.at_most("over the floor", ours / floor[1], 1.67, "x"),
            *(Goal.at_least(f"below {name}", others[name] / ours, times, "x") for name, times in wanted.items()),
        ],
        note=f"{found['ours']['memory'] / _MB:.2g} MB a run at the peak",
    )
    return [line], missing([7], gone)


def _many(settings: Settings) -> Found:
    lines, gone = _at_once(CLAUDE, ["anthropic by hand"], settings)
    more, more_gone = _at_once(OPENAI, ["openai by hand", "openai-agents"], settings)
    return lines + more, gone + more_gone


ROWS = (
    Row("waiting", (6,), "what a run holds while it waits", _waiting),
    Row("many", (7,), "many runs at once", _many),
)
