"""Rows 10, 11 and 12: events to many subscribers, to one that stalls, and what publishing costs."""

from __future__ import annotations

from benchmarks.cells import Cell, Settings, Values, least, run
from benchmarks.report import Goal, Line
from benchmarks.rows.row import Found, Row

_QUEUE, _ANYIO = "asyncio.Queue", "anyio streams"


def _fanned(mode: str, settings: Settings, subscribers: int, events: int, *, ours: str = "") -> dict[str, Values]:
    arguments = {"mode": mode, "subscribers": subscribers, "events": events}
    cells = {
        "ours": Cell("fanout_deskhand", {**arguments, "mode": ours or mode}),
        _QUEUE: Cell("fanout_queue", arguments, "streams"),
        _ANYIO: Cell("fanout_anyio", arguments, "streams"),
    }
    return least(cells, settings.times(3))


def _rates(settings: Settings, mode: str, how: str, *, beside: bool, ours: str = "") -> Line:
    found = _fanned(mode, settings, settings.times(1000, 200), settings.times(512, 128), ours=ours)
    rates = {name: 1 / values["seconds"] for name, values in found.items()}
    value = rates.pop("ours")
    goals = [Goal.at_least("events a CPU second", value, 500 if mode == "paced" else 5000)]
    if beside:
        goals.append(Goal.at_least(f"than {_QUEUE}", value / rates[_QUEUE], 5, "x"))
        goals.append(Goal.at_least(f"than {_ANYIO}", value / rates[_ANYIO], 30, "x"))
    metric = f"{settings.times(1000, 200)} subscribers, {how}"
    return Line(row=10, metric=metric, unit="events/CPU-s", ours=value, peers=rates, better="more", goals=goals)


def _fanout(settings: Settings) -> Found:
    found = _fanned("idle", settings, settings.times(10_000, 1000), 1)
    memory = {name: values["memory"] for name, values in found.items()}
    held = memory.pop("ours")
    return [
        _rates(settings, "burst", "bursts of 64, taken in batches (peers one by one)", beside=True, ours="batch"),
        _rates(settings, "burst", "bursts of 64, taken one by one", beside=False),
        _rates(settings, "paced", "one event a turn of the loop", beside=False),
        Line(
            row=10,
            metric="a subscriber that waits, its task included",
            unit="bytes",
            ours=held,
            peers=memory,
            floor=("a bare waiting task", found["ours"]["bare"]),
            goals=[Goal.at_most("bytes", held, 1200)],
        ),
    ], []


def _stalled(settings: Settings) -> Found:
    arguments = {"events": settings.times(100_000, 10_000)}
    ours = run(Cell("stalled_deskhand", arguments))
    peers = {
        f"{_QUEUE}, unbounded": run(Cell("stalled_queue", arguments, "streams")),
        f"{_ANYIO}, unbounded": run(Cell("stalled_anyio", arguments, "streams")),
    }
    goals = [
        Goal.at_most("growth", ours["memory"] / 1e6, 16, " MB"),
        Goal("the healthy one gets all", ours["healthy"] == arguments["events"]),
        Goal("the stalled one learns its gap and gets the rest", ours["told"] == 1),
    ]
    line = Line(
        row=11,
        metric=f"one healthy subscriber and one that never reads, {arguments['events']} events of 1 kB: growth",
        unit="MB",
        ours=ours["memory"] / 1e6,
        peers={name: values["memory"] / 1e6 for name, values in peers.items()},
        goals=goals,
        note="the run is never blocked",
    )
    return [line], []


def _publish(settings: Settings) -> Found:
    cells = {
        mode: Cell("publishing", {"mode": mode, "events": settings.times(20_000, 2_000)})
        for mode in ("transient", "durable", "sqlite")
    }
    found = least(cells, settings.times(5))
    micro = {mode: values["seconds"] * 1e6 for mode, values in found.items()}
    floor = {mode: ("a list's append", values["floor"] * 1e6) for mode, values in found.items()}
    return [
        Line(
            row=12,
            metric="publish a transient event, no subscriber",
            unit="µs",
            ours=micro["transient"],
            floor=floor["transient"],
            goals=[Goal.at_most("CPU", micro["transient"], 1, " µs")],
        ),
        Line(
            row=12,
            metric="publish a numbered event, log in memory, no subscriber",
            unit="µs",
            ours=micro["durable"],
            goals=[Goal.at_most("CPU", micro["durable"], 1, " µs")],
        ),
        Line(
            row=12,
            metric="publish a numbered event to the SQLite log, in group commit, its thread included",
            unit="µs",
            ours=micro["sqlite"],
            floor=("executemany of the same rows", found["sqlite"]["floor"] * 1e6),
            goals=[Goal.at_most("CPU", micro["sqlite"], 25, " µs")],
        ),
    ], []


ROWS = (
    Row("fanout", (10,), "one run, many subscribers", _fanout),
    Row("stalled", (11,), "a subscriber that stalls", _stalled),
    Row("publish", (12,), "what publishing costs", _publish),
)
