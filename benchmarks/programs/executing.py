"""Run a command on a local computer, beside a plain subprocess of the same kind."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from measuring import arguments, report

from deskhand import open_computer

_COMMAND = "echo done"


async def _bare() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("bash", "-c", _COMMAND, stdout=pipe, stderr=pipe)
    output, _ = await process.communicate()
    assert output == b"done\n"


async def _timed(do: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await do()
    return time.perf_counter() - began


async def main() -> None:
    """Measure all in turn, so that what disturbs one disturbs the others."""
    times = arguments()["times"]
    took: dict[str, list[float]] = {"exec": [], "shell": [], "bare": []}
    async with open_computer("local") as computer, computer.shell() as shell:
        assert (await computer.exec(_COMMAND)).output == "done\n"
        assert (await shell.run(_COMMAND)).output == "done\n"
        for _ in range(times):
            took["exec"].append(await _timed(lambda: computer.exec(_COMMAND)))
            took["shell"].append(await _timed(lambda: shell.run(_COMMAND)))
            took["bare"].append(await _timed(_bare))
    report(**{name: statistics.median(values) for name, values in took.items()})


if __name__ == "__main__":
    asyncio.run(main())
