"""Rows 1, 2, 3, 5 and 9: the loops for Claude and OpenAI against the vendors' clients and other people's loops."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.cells import Settings, Values, model_server, side_by_side
from benchmarks.report import Goal, Line, Missing
from benchmarks.rows.families import CLAUDE, OPENAI, OPENAI_FUNCTIONS, Family, growth, missing
from benchmarks.rows.row import Found, Row

_EPISODE = "a model turn clicks and looks, all frames stay"
_BELOW = {  # how many times below a peer deskhand is to be
    "anthropic by hand": 2,
    "pydantic-ai": 4,
    "cua-agent": 150,
    "openai by hand": 8,
    "openai tool runner": 8,
    "openai-agents": 8,
}


def _cpu(row: int, family: Family, settings: Settings) -> Found:
    with model_server() as url:
        found, gone = side_by_side(family.cells({"url": url, "actions": 30}), settings.times(7))
    ours, floor, peers = family.values(found, "cpu", 1000)
    wanted = {name: times for name, times in _BELOW.items() if name in peers}
    if family is OPENAI_FUNCTIONS:  # (its goal is set against Claude's client)
        wanted.pop("pydantic-ai", None)
    line = Line(
        row=row,
        metric=f"{family.title}, client CPU an action: 30 actions, streaming, events, SQLite log and policy on",
        unit="ms",
        ours=ours,
        floor=floor,
        peers=peers,
        goals=[
            Goal.at_most("over the floor", ours / floor[1], 1.5, "x"),
            *(Goal.at_least(f"below {name}", peers[name] / ours, times, "x") for name, times in wanted.items()),
        ],
        note=_EPISODE,
    )
    return [line], missing([row], gone)


def _openai_cpu(settings: Settings) -> Found:
    lines, gone = _cpu(2, OPENAI, settings)
    more, more_gone = _cpu(2, OPENAI_FUNCTIONS, settings)
    return lines + more, gone + more_gone


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to keep a history.

    Attributes:
        what: What the table calls it.
        arguments: What the programs are told.
        growth: How much the CPU an action may grow at most.
        peak: How much memory a run may take at most, in MB.
    """

    what: str
    arguments: Mapping[str, object]
    growth: float
    peak: float


_WAYS = {
    "claude": (
        _Way("whole history", {}, 2.3, 30),
        _Way("old frames left out", {"model": "claude-sonnet-5", "prune": True}, 1.15, 8),
    ),
    "openai": (
        _Way("old frames left out", {"prune": True}, 1.15, 8),
        _Way("history kept by the server", {"on_server": True}, 1.15, 8),
    ),
}


def _measured(
    family: Family, url: str, lengths: Sequence[int], settings: Settings
) -> tuple[dict[str, dict[int, dict[str, Values]]], dict[str, str]]:
    """Measure each way in each length, and the vendor's own loops, which keep the whole history, once for all ways."""
    vendors = [name for name, peer in family.peers.items() if peer.program.startswith(family.vendor)]
    found: dict[str, dict[int, dict[str, Values]]] = {way.what: {} for way in _WAYS[family.vendor]}
    gone: dict[str, str] = {}
    for actions in lengths:
        peers: dict[str, Values] = {}
        for way in _WAYS[family.vendor]:
            named = () if peers else vendors
            cells = family.cells({"url": url, "actions": actions, "on_disk": True, **way.arguments}, named)
            if actions > 100:  # they take minutes by then
                cells |= {name: replace(cells[name], most=1) for name in named}
            values, failed = side_by_side(cells, settings.times(3))
            gone |= failed
            peers = peers or {name: values[name] for name in named if name in values}
            found[way.what][actions] = values | peers
    return found, gone


def _long(family: Family, settings: Settings) -> Found:
    """Rows 3 and 5 from runs of several lengths, against the vendor's own loops."""
    short, middle, long = (30, 60, 60) if settings.quick else (30, 120, 240)
    with model_server() as url:
        found, gone = _measured(family, url, sorted({short, middle, long}), settings)
    lines: list[Line] = []
    for way in _WAYS[family.vendor]:
        by_length = found[way.what]
        ours, floor, peers = family.values(growth(by_length[short], by_length[long]), "growth", 1)
        memory, least_memory, peer_memory = family.values(by_length[middle], "memory", 1e-6)
        whole = "" if way is _WAYS["claude"][0] else "; peers keep the whole history"
        lines += [
            Line(
                row=3,
                metric=f"{family.title}, growth of the CPU an action from {short} to {long} actions, {way.what}",
                unit="x",
                ours=ours,
                floor=floor,
                peers=peers,
                goals=[Goal.at_most("growth", ours, way.growth, "x")],
                note=f"a ratio of ratios: who starts cheap grows more, see rows 1 and 2{whole}",
            ),
            Line(
                row=5,
                metric=f"{family.title}, peak memory of a run of {middle} actions, {way.what}",
                unit="MB",
                ours=memory,
                floor=least_memory,
                peers=peer_memory,
                goals=[Goal.at_most("peak", memory, way.peak, " MB")],
                note=f"frames that are sent, events; log and blobs are on disk{whole}",
            ),
        ]
    return lines, missing([3, 5], gone)


def _first(settings: Settings) -> Found:
    lines: list[Line] = []
    gone: list[Missing] = []
    for family in (CLAUDE, OPENAI):
        vendors = [name for name, peer in family.peers.items() if peer.program.startswith(family.vendor)]
        with model_server() as url:
            cells = family.cells({"url": url, "firsts": settings.times(15, 3)}, vendors)
            found, failed = side_by_side(cells, 1)
        seconds = {name: {"seconds": values.median("seconds")} for name, values in found.items()}
        ours, floor, peers = family.values(seconds, "seconds", 1000)
        lines.append(
            Line(
                row=9,
                metric=f"{family.title}, first turn done on a new client in a warm process, p50",
                unit="ms",
                ours=ours,
                floor=floor,
                peers=peers,
                goals=[Goal.at_most("p50", ours, 120, " ms")],
                note="one click and one look",
            )
        )
        gone += missing([9], failed)
    return lines, gone


ROWS = (
    Row("cpu", (1,), "client CPU an action, Claude", functools.partial(_cpu, 1, CLAUDE)),
    Row("cpu-openai", (2,), "client CPU an action, OpenAI", _openai_cpu),
    Row("growth", (3, 5), "growth and peak memory, Claude", functools.partial(_long, CLAUDE)),
    Row("growth-openai", (3, 5), "the same, OpenAI", functools.partial(_long, OPENAI)),
)
FIRST = Row("first", (9,), "the first action on a new client", _first)
