"""The command: measure rows and print them, those first in which a peer is better or a goal is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import environments
from benchmarks.cells import Settings
from benchmarks.environments import UnavailableError
from benchmarks.report import Line, Missing, markdown, rewritten
from benchmarks.rows import ROWS

_PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BUSY = 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure deskhand beside floors and peers.")
    names = ", ".join(f"{row.name} ({', '.join(map(str, row.numbers))})" for row in ROWS)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"what to measure, by name; all where none: {names}")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller repetitions: shows that it works")
    parser.add_argument("--json", action="store_true", help="print JSON with the values themselves")
    parser.add_argument("--write", action="store_true", help=f"put what was found into {_PAGE.name} as well")
    given = parser.parse_args()
    unknown = set(given.rows) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    if given.write and given.quick:
        parser.error("--write measures thoroughly: the page shows no quick look")
    return given


def _measured(names: list[str], settings: Settings) -> tuple[list[Line], list[Missing]]:
    """Measure rows, each for itself: what fails is said and the others are measured all the same."""
    lines: list[Line] = []
    missing: list[Missing] = []
    for row in ROWS:
        if names and row.name not in names:
            continue
        print(f"{row.name}: {row.title}", file=sys.stderr)
        try:
            found, gone = row.measure(settings)
        except UnavailableError as error:
            found, gone = [], [Missing(number, row.title, str(error)) for number in row.numbers]
        lines += found
        missing += gone
    return lines, missing


def _run(versions: list[str]) -> str:
    beside = f"; beside it {', '.join(versions)}" if versions else ""
    return f"{datetime.now(UTC).date()}, {_machine()}{beside}"


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    """Measure and print."""
    given = _arguments()
    load = os.getloadavg()[0]
    if load > _BUSY and not given.quick:
        print(f"this machine has something else to do (load {load:.1f}): only ratios will mean much", file=sys.stderr)
    lines, missing = _measured(given.rows, Settings(quick=given.quick))
    versions = environments.versions()
    if given.json:
        machine = {"python": platform.python_version(), "system": platform.platform(), "quick": given.quick}
        gone_json = [{"row": gone.row, "what": gone.what, "why": gone.why} for gone in missing]
        shown = {
            "machine": machine,
            "peers": versions,
            "lines": [line.as_json() for line in lines],
            "missing": gone_json,
        }
        print(json.dumps(shown, indent=1))
    else:
        print(markdown(lines, missing))
    if given.write:
        page = rewritten(_PAGE.read_text(encoding="utf-8"), lines, missing, _run(versions))
        _PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
