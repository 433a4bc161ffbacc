"""Providers like for like: the same things done through the contract, timed, one column a provider."""

from deskhand.benchmark.chart import as_svg
from deskhand.benchmark.columns import Column, column_of, references
from deskhand.benchmark.figures import Cell, Figures
from deskhand.benchmark.measure import METRICS, Metric, Progress
from deskhand.benchmark.report import as_records, as_table

__all__ = [
    "METRICS",
    "Cell",
    "Column",
    "Figures",
    "Metric",
    "Progress",
    "as_records",
    "as_svg",
    "as_table",
    "column_of",
    "references",
]
