"""The command: measure rows and print them, those first in which a peer is better or a goal is missed."""

from __future__ import annotations

import argparse
import json
import platform
import sys

from benchmarks.cells import Settings
from benchmarks.environments import UnavailableError
from benchmarks.report import Line, Missing, markdown
from benchmarks.rows import ROWS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure deskhand beside floors and peers.")
    names = ", ".join(f"{row.name} ({', '.join(map(str, row.numbers))})" for row in ROWS)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"what to measure, by name; all where none: {names}")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller repetitions: shows that it works")
    parser.add_argument("--json", action="store_true", help="print JSON with the values themselves")
    given = parser.parse_args()
    unknown = set(given.rows) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    return given


def main() -> None:
    """Measure and print."""
    given = _arguments()
    settings = Settings(quick=given.quick)
    lines: list[Line] = []
    missing: list[Missing] = []
    for row in ROWS:
        if given.rows and row.name not in given.rows:
            continue
        print(f"{row.name}: {row.title}", file=sys.stderr)
        try:
            found, gone = row.measure(settings)
        except UnavailableError as error:
            found, gone = [], [Missing(number, row.title, str(error)) for number in row.numbers]
        lines += found
        missing += gone
    if given.json:
        machine = {"python": platform.python_version(), "system": platform.platform(), "quick": given.quick}
        gone_json = [{"row": gone.row, "what": gone.what, "why": gone.why} for gone in missing]
        print(json.dumps({"machine": machine, "lines": [x.as_json() for x in lines], "missing": gone_json}, indent=1))
    else:
        print(markdown(lines, missing))


if __name__ == "__main__":
    main()
