"""The columns side by side, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from pydantic import JsonValue

from deskhand.benchmark.columns import Column
from deskhand.benchmark.figures import Cell, Figures, duration
from deskhand.benchmark.measure import METRICS

__all__ = ["as_records", "as_table"]

SIMULATED = "(simulated)"
ABSENT = "-"


def as_table(columns: Sequence[Column]) -> list[str]:
    """Return the lines of a Markdown table: a row for each metric, a column for each provider, and notes."""
    headings = ["metric", *(column.heading for column in columns), "notes"]
    rows = [
        [metric.title, *(_shown(metric.name, column) for column in columns), _notes(metric.name, columns)]
        for metric in METRICS
    ]
    widths = [max(len(row[place]) for row in (headings, *rows)) for place in range(len(headings))]
    rule = ["-" * width for width in widths]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (headings, rule, *rows)
    ]


def as_records(columns: Sequence[Column]) -> Iterator[Mapping[str, JsonValue]]:
    """Return a record for each metric of each provider; times in milliseconds."""
    for column in columns:
        for metric in METRICS:
            if column.published is not None and metric.name not in column.cells:
                continue
            cell = _cell(metric.name, column)
            record: dict[str, JsonValue] = {
                "type": "metric",
                "provider": column.provider,
                "metric": metric.name,
                "simulated": column.simulated,
            }
            if column.published is not None:
                record |= {"published": column.published.date, "source": column.published.source}
            if cell.figures is not None:
                record |= {"unit": "ms", **asdict(cell.figures)}
            if cell.text is not None:
                record["text"] = cell.text
            yield record | {"note": cell.note, "failed": cell.failed}


def _cell(name: str, column: Column) -> Cell:
    if name in column.cells:
        return column.cells[name]
    if column.published is not None:
        return Cell()
    return Cell(note=column.error.message if column.error is not None else "not measured", failed=True)


def _shown(name: str, column: Column) -> str:
    cell = _cell(name, column)
    text = cell.text
    if cell.figures is not None:
        text = _figures(name, cell.figures)
    if text is None:
        return ABSENT
    return f"{_escaped(text)} {SIMULATED}" if column.simulated else _escaped(text)


def _figures(name: str, figures: Figures) -> str:
    if name == "exec":
        return f"{duration(figures.p50)} / {duration(figures.p95)}"
    if name == "screenshot":
        return f"{duration(figures.p50)} ({duration(figures.min)} - {duration(figures.max)})"
    return duration(figures.p50)


def _notes(name: str, columns: Sequence[Column]) -> str:
    """Return what must be known of a row; an error that ends a column is told once, where it ended."""
    notes = []
    for column in columns:
        if column.published is not None:
            note = _cell(name, column).note
            notes += [f"{column.heading}: {_escaped(note)}"] if note is not None else []
            continue
        ended = next((metric.name for metric in METRICS if metric.name not in column.cells), None)
        if name in column.cells or name == ended:
            note = _cell(name, column).note
            if note is not None:
                notes.append(f"{column.provider}: {_escaped(note)}")
    return "; ".join(notes)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
