"""What a row is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.cells import Settings
from benchmarks.report import Line, Missing

Found = tuple[list[Line], list[Missing]]


@dataclass(frozen=True, slots=True)
class Row:
    """One or more rows that are measured together.

    Attributes:
        name: What the command calls it.
        numbers: The rows' numbers.
        title: What is measured.
        measure: Measures it.
    """

    name: str
    numbers: Sequence[int]
    title: str
    measure: Callable[[Settings], Found]
