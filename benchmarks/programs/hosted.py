"""A command and a screenshot on one hosted computer by several programs in turn: what disturbs one disturbs all.

``python hosted.py '{"times": 100, "with": {"name": ["python", "program"]}, ...}'``: the rest is given to each.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path

from measuring import arguments, report

_HERE = Path(__file__).parent


def main() -> None:
    """Measure."""
    given = arguments()
    times, programs = given.pop("times"), given.pop("with")
    took: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    with ExitStack() as stack:
        running = {}
        for name, (python, program) in programs.items():
            command = [python, str(_HERE / f"{program}.py"), json.dumps(given)]
            pipe = subprocess.PIPE
            running[name] = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        for each in running.values():
            _read(each)  # the first of each is not counted
        for _ in range(times):
            for name, each in running.items():
                assert each.stdin is not None
                each.stdin.write("\n")
                each.stdin.flush()
                took[name].append(_read(each))
        for each in running.values():
            each.communicate(timeout=60)
    report(
        **{
            f"{name}/{key}": (statistics.mean if key.endswith(".cpu") else statistics.median)([x[key] for x in values])
            for name, values in took.items()
            for key in values[0]
        }
    )


def _read(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args} ended")
    said: dict[str, float] = json.loads(line)
    return said


if __name__ == "__main__":
    main()
