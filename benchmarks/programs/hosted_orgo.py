"""The same command and screenshot through the vendor's own package, which blocks."""

from __future__ import annotations

import base64
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

from measuring import arguments, cpu, report

if sys.version_info < (3, 12):  # its module of prompts is no Python 3.11, and is not needed here
    prompt: Any = types.ModuleType("orgo.prompt")
    prompt.get_provider = lambda *_words, **_options: None
    sys.modules["orgo.prompt"] = prompt

from orgo import Computer

_COMMAND = "echo done"


def main() -> None:
    """Measure one after the other."""
    given = arguments()
    options = {"api_key": given["key"], "base_api_url": given["base_url"], "verbose": False}
    computer = Computer(project="benchmark", name="peer", ram=4, cpu=1, **options)
    each: dict[str, Callable[[], Any]] = {
        "exec": lambda: computer.bash(_COMMAND),
        "screenshot": lambda: base64.b64decode(computer.screenshot_base64()),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in each}
    assert each["exec"]() == "done\n"
    assert each["screenshot"]()[:4] == b"\x89PNG"
    for _ in range(given["times"]):
        for name, do in each.items():
            used, began = cpu(), time.perf_counter()
            do()
            took[name].append((time.perf_counter() - began, cpu() - used))
    computer.destroy()
    seconds = {name: statistics.median(wall for wall, _ in values) for name, values in took.items()}
    report(**seconds, **{f"{name}.cpu": statistics.mean(used for _, used in values) for name, values in took.items()})


if __name__ == "__main__":
    main()
