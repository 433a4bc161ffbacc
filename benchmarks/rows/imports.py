"""Row 8: what an import costs."""

from __future__ import annotations

from benchmarks.cells import Cell, Settings, least
from benchmarks.report import Goal, Line
from benchmarks.rows.row import Found, Row

_BASE = "import pydantic, anyio, structlog, httpx2"
_HEAVY = ("anthropic", "openai", "pydantic", "numpy", "starlette", "fastapi", "uvicorn", "PIL", "httpx2")


def _measure(settings: Settings) -> Found:
    cells = {
        "package": Cell("importing", {"statement": "import deskhand", "absent": _HEAVY}),
        "opening": Cell("importing", {"statement": "from deskhand import open_computer", "absent": _HEAVY}),
        "base": Cell("importing", {"statement": _BASE}),
        "anthropic": Cell("importing", {"statement": "import anthropic"}, "anthropic"),
    }
    found = least(cells, settings.times(9, 2))
    milliseconds = {name: values["cpu"] * 1000 for name, values in found.items()}
    package, opening = milliseconds["package"], milliseconds["opening"]
    peers = {"import anthropic": milliseconds["anthropic"]}
    return [
        Line(
            row=8,
            metric="`import deskhand`, CPU over a bare interpreter",
            unit="ms",
            ours=package,
            floor=("pydantic, anyio, structlog and httpx2 alone", milliseconds["base"]),
            peers=peers,
            goals=[Goal.at_most("CPU", package, 150, " ms"), _absent(found["package"]["heavy"])],
        ),
        Line(
            row=8,
            metric="`from deskhand import open_computer`, CPU over a bare interpreter",
            unit="ms",
            ours=opening,
            floor=("pydantic, anyio, structlog and httpx2 alone", milliseconds["base"]),
            peers=peers,
            goals=[Goal.at_most("CPU", opening, 400, " ms")],
        ),
    ], []


def _absent(count: float) -> Goal:
    return Goal("no vendor SDK, pydantic, numpy or server package loaded", count == 0)


ROW = Row("import", (8,), "what an import costs", _measure)
