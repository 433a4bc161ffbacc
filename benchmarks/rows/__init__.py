"""The rows that can be measured, in order."""

from __future__ import annotations

from benchmarks.rows import control, counted, fanout, hosted, imports, local, loops, many, recovery
from benchmarks.rows.row import Row

ROWS: tuple[Row, ...] = (
    *loops.ROWS,
    *many.ROWS,
    counted.ROW,
    imports.ROW,
    loops.FIRST,
    *fanout.ROWS,
    *local.ROWS,
    hosted.ROW,
    recovery.ROW,
    *control.ROWS,
)
