"""What is done on a hosted computer, by whomever: a command and a screenshot."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

COMMAND, OUTPUT = "echo done", "done\n"
_LEAST = 40_000
"""Bytes of a picture that has the text in it."""


def check(kind: str, got: object) -> None:
    """Refuse what is no result."""
    if kind == "exec":
        assert got == OUTPUT, got
    else:
        assert isinstance(got, bytes)
        assert got.startswith(b"\x89PNG")
        assert got.endswith(b"IEND\xaeB`\x82")
        assert len(got) > _LEAST


async def serve(command: Callable[[], Awaitable[str]], screenshot: Callable[[], Awaitable[bytes]]) -> None:
    """Do both once, and then for each line of standard input, and say what each took: seconds, and seconds of CPU."""
    while True:
        took = {}
        for kind, do in (("exec", command), ("screenshot", screenshot)):
            used, began = time.process_time(), time.perf_counter()
            got = await do()
            took |= {kind: time.perf_counter() - began, f"{kind}.cpu": time.process_time() - used}
            check(kind, got)
        sys.stdout.write(json.dumps(took) + "\n")
        sys.stdout.flush()
        if not await asyncio.to_thread(sys.stdin.readline):
            return
