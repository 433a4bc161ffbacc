"""The columns as a picture: bars on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as Xml

from deskhand.benchmark.columns import Column
from deskhand.benchmark.figures import duration
from deskhand.benchmark.measure import METRICS

__all__ = ["as_svg"]

WIDTH: Final = 860
_LEFT, _RIGHT, _TOP = 270, 90, 16
_BAR, _GAP, _LINE = 14, 14, 18
_COLOURS: Final = ("#3465a4", "#4e9a06", "#c17d11", "#75507b", "#cc0000", "#06989a", "#8f5902", "#555753")
_TEXT: Final = "font-family: sans-serif; font-size: 12px; fill: #2e3436"


def as_svg(columns: Sequence[Column]) -> str:
    """Return the chart of all times: a group of bars for each metric, a bar for each column that has it.

    A provider has one colour; a simulator's bars are pale, those of published figures hollow. The legend has the words.
    """
    metrics = [metric for metric in METRICS if any(_time(metric.name, column) for column in columns)]
    times = [time for metric in metrics for column in columns if (time := _time(metric.name, column))]
    low = 10 ** math.floor(math.log10(min(times, default=1)))
    high = max(10 ** math.ceil(math.log10(max(times, default=10))), low * 10)
    groups = [(metric, [column for column in columns if _time(metric.name, column)]) for metric in metrics]
    height = _TOP + sum(len(group) * _BAR + _GAP for _, group in groups) + _LINE * (len(columns) + 2) + 6
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(dict.fromkeys(c.provider for c in columns))}
    root = Xml.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", width=str(WIDTH), role="img"
    )
    Xml.SubElement(root, "title").text = "Providers like for like: milliseconds, on a logarithmic scale"
    Xml.SubElement(root, "rect", width="100%", height="100%", fill="#ffffff")
    y = _TOP
    bottom = height - _LINE * (len(columns) + 1) - 6
    _scale(root, low, high, bottom)
    for metric, group in groups:
        _words(root, _LEFT - 8, y + len(group) * _BAR / 2 + 4, metric.title, anchor="end")
        for column in group:
            time = _time(metric.name, column) or low
            x = _place(time, low, high)
            _bar(root, colours[column.provider], column, (_LEFT, y, max(2.0, x - _LEFT)))
            _words(root, x + 5, y + _BAR - 3, duration(time))
            y += _BAR
        y += _GAP
    for place, column in enumerate(columns):
        y = bottom + _LINE * (place + 1)
        _bar(root, colours[column.provider], column, (_LEFT, y - _BAR + 4, 22))
        _words(root, _LEFT + 30, y, column.heading)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"


def _time(name: str, column: Column) -> float | None:
    """Return the milliseconds to draw, if there are any."""
    cell = column.cells.get(name)
    if cell is None:
        return None
    return cell.figures.p50 if cell.figures is not None else cell.published


def _place(time: float, low: float, high: float) -> float:
    share = (math.log10(max(time, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _scale(root: Xml.Element, low: float, high: float, bottom: float) -> None:
    step = low
    while step <= high * 1.001:
        x = f"{_place(step, low, high):.1f}"
        Xml.SubElement(root, "line", x1=x, x2=x, y1=str(_TOP - 8), y2=f"{bottom - 14:.1f}", stroke="#d3d7cf")
        _words(root, float(x), bottom - 2, duration(step), anchor="middle")
        step *= 10


def _bar(root: Xml.Element, colour: str, column: Column, box: tuple[float, float, float]) -> None:
    x, y, width = box
    hollow = column.published is not None
    Xml.SubElement(
        root,
        "rect",
        {
            "x": f"{x:.1f}",
            "y": f"{y + 1:.1f}",
            "width": f"{width:.1f}",
            "height": str(_BAR - 2),
            "fill": "none" if hollow else colour,
            "fill-opacity": "0.55" if column.simulated else "1",
            "stroke": colour,
        },
    )


def _words(root: Xml.Element, x: float, y: float, text: str, *, anchor: str = "start") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "style": _TEXT}
    Xml.SubElement(root, "text", place).text = text
