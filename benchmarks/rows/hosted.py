"""Row 18: adapters against bare requests to the same simulated services."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.cells import Cell, Settings, Values, run, served
from benchmarks.environments import UnavailableError, python
from benchmarks.report import Goal, Line, Missing
from benchmarks.rows.local import needs, needs_x
from benchmarks.rows.row import Found, Row

_LIMIT = 1.3
_KINDS = {"exec": "a command", "screenshot": "a screenshot"}


@dataclass(frozen=True, slots=True)
class _Vendor:
    """Whose adapter is measured.

    Attributes:
        title: What the vendor is called.
        peer: The vendor's own package by its name and by the name of its program, where it can do both.
        picture: What is said of its screenshots.
        is_plain: Whether a screenshot is taken without the pointer, which no bare request draws.
    """

    title: str
    peer: tuple[str, str] | None = None
    picture: str = ""
    is_plain: bool = False


_SHELL = "scrot, by a command"
_VENDORS = {
    "orgo": _Vendor("Orgo", peer=("orgo's own package", "orgo")),
    "miosa": _Vendor("MIOSA"),
    "opencomputers": _Vendor("OpenComputers", picture=_SHELL),
    "e2b": _Vendor("E2B", picture=_SHELL),
    "daytona": _Vendor("Daytona"),
    "cua": _Vendor("Cua", picture="without the pointer", is_plain=True),
}


def _line(vendor: _Vendor, kind: str, found: Values) -> Line:
    took = {name.removesuffix(f"/{kind}"): value * 1000 for name, value in found.items() if name.endswith(f"/{kind}")}
    used, least = found[f"ours/{kind}.cpu"] * 1000, found[f"bare/{kind}.cpu"] * 1000
    ours, floor, sent = took.pop("ours"), took.pop("bare"), took.pop("sent") / 1000
    what = _KINDS[kind] + (f" ({vendor.picture})" if kind == "screenshot" and vendor.picture else "")
    return Line(
        row=18,
        metric=f"{what} on a simulated {vendor.title}, p50",
        unit="ms",
        ours=ours,
        floor=("the bare request", floor),
        peers=took,
        goals=[Goal.at_most("over the floor", ours / floor, _LIMIT, "x"), Goal("one request", sent == 1)],
        note=f"client CPU {used:.2f} ms, {used / least:.2f}x the floor's",
    )


def _pointer(vendor: _Vendor, found: Values) -> Line:
    return Line(
        row=18,
        metric=f"a screenshot (with the pointer, drawn into it here) on a simulated {vendor.title}, p50",
        unit="ms",
        ours=found["ours/pointer"] * 1000,
        floor=("the bare request, which shows no pointer", found["bare/screenshot"] * 1000),
        note=f"client CPU {found['ours/pointer.cpu'] * 1000:.2f} ms: the PNG is read and written anew",
    )


def _measured(name: str, vendor: _Vendor, settings: Settings) -> Found:
    peers: dict[str, list[str]] = {}
    gone: list[Missing] = []
    if vendor.peer is not None:
        peer, program = vendor.peer
        try:
            peers[peer] = [python(program), f"hosted_{program}"]
        except UnavailableError as error:
            gone.append(Missing(18, peer, str(error)))
    given = {"vendor": name, "plain": vendor.is_plain, "times": settings.times(200, 10), "peers": peers}
    try:
        with served("hosted_server", {"vendor": name}) as said:
            found = run(Cell("hosted", {**given, **json.loads(said)}))
    except UnavailableError as error:
        return [], [*gone, Missing(18, vendor.title, str(error))]
    lines = [_line(vendor, kind, found) for kind in _KINDS]
    return [*lines, *([_pointer(vendor, found)] if vendor.is_plain else [])], gone


def _hosted(settings: Settings) -> Found:
    needs_x()
    needs("scrot", "xdotool", "xterm")
    lines: list[Line] = []
    missing: list[Missing] = []
    for name, vendor in _VENDORS.items():
        found, gone = _measured(name, vendor, settings)
        lines += found
        missing += gone
    return lines, missing


ROW = Row("hosted", (18,), "adapters over bare requests", _hosted)
