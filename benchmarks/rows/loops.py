"""Rows 1, 2, 3, 5 and 9: the loops for Claude and OpenAI against the vendors' clients and other people's loops."""

from __future__ import annotations

import functools

from benchmarks.cells import Settings, Values, model_server, run, side_by_side
from benchmarks.report import Goal, Line
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
        metric=f"{family.title}, client CPU an action: 30 actions, streaming, events and SQLite log on",
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


def _long(family: Family, settings: Settings) -> Found:
    """Rows 3 and 5 from runs of several lengths, against the vendor's own loops."""
    short, middle, long = (30, 60, 60) if settings.quick else (30, 120, 240)
    vendors = [name for name, peer in family.peers.items() if peer.program.startswith(family.vendor)]
    with model_server() as url:
        found: dict[int, dict[str, Values]] = {}
        gone: dict[str, str] = {}
        for actions in sorted({short, middle, long}):
            cells = family.cells({"url": url, "actions": actions}, vendors)
            found[actions], failed = side_by_side(cells, settings.times(3))
            gone |= failed
    ours, floor, peers = family.values(growth(found[short], found[long]), "growth", 1)
    memory, least_memory, peer_memory = family.values(found[middle], "memory", 1e-6)
    return [
        Line(
            row=3,
            metric=f"{family.title}, growth of the CPU an action from {short} to {long} actions, whole history",
            unit="x",
            ours=ours,
            floor=floor,
            peers=peers,
            goals=[Goal.at_most("growth", ours, 2.3, "x")],
            note="a ratio of ratios: who starts cheap grows more; see rows 1 and 2",
        ),
        Line(
            row=5,
            metric=f"{family.title}, peak memory of a run of {middle} actions, whole history",
            unit="MB",
            ours=memory,
            floor=least_memory,
            peers=peer_memory,
            goals=[Goal.at_most("peak", memory, 30, " MB")],
            note="its frames and its log included",
        ),
    ], missing([3, 5], gone)


def _first(settings: Settings) -> Found:
    vendors = [name for name, peer in CLAUDE.peers.items() if peer.program.startswith("claude")]
    with model_server() as url:
        cells = CLAUDE.cells({"url": url, "firsts": settings.times(15, 3)}, vendors)
        found = {name: {"seconds": run(cell).median("seconds")} for name, cell in cells.items()}
    ours, floor, peers = CLAUDE.values(found, "seconds", 1000)
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
    Row("cpu", (1,), "client CPU an action, Claude", functools.partial(_cpu, 1, CLAUDE)),
    Row("cpu-openai", (2,), "client CPU an action, OpenAI", _openai_cpu),
    Row("growth", (3, 5), "growth and peak memory with the whole history, Claude", functools.partial(_long, CLAUDE)),
    Row("growth-openai", (3, 5), "the same, OpenAI", functools.partial(_long, OPENAI)),
)
FIRST = Row("first", (9,), "the first action on a new client", _first)
