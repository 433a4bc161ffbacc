"""The rows that can be measured, in order."""

from __future__ import annotations

from benchmarks.rows import fanout, imports, local, loops
from benchmarks.rows.row import Row

ROWS: tuple[Row, ...] = (*loops.ROWS, imports.ROW, *fanout.ROWS, *local.ROWS)
