"""What is done on a hosted computer, by whomever: a command and a screenshot, whenever a line comes."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from measuring import cpu

COMMAND, OUTPUT = "echo done", "done\n"


async def serve(command: Callable[[], Awaitable[str]], screenshot: Callable[[], Awaitable[bytes]]) -> None:
    """Do both once, and then for each line of standard input, and say what each took: seconds, and seconds of CPU."""
    while True:
        used, began = cpu(), time.perf_counter()
        output = await command()
        took = {"exec": time.perf_counter() - began, "exec.cpu": cpu() - used}
        used, began = cpu(), time.perf_counter()
        image = await screenshot()
        took |= {"screenshot": time.perf_counter() - began, "screenshot.cpu": cpu() - used}
        assert output == OUTPUT
        assert image.startswith(b"\x89PNG")
        sys.stdout.write(json.dumps(took) + "\n")
        sys.stdout.flush()
        if not await asyncio.to_thread(sys.stdin.readline):
            return
