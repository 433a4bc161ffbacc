"""A program that appends to a log as fast as it can, and says which numbers are durable; made to be killed."""

from __future__ import annotations

import sys

import anyio

from deskhand import SqliteLog
from tests.harness.logs import custom


async def main(path: str, every: int) -> None:
    """Append until killed."""
    async with SqliteLog(path) as log:
        epoch = await log.claim("a")
        while True:
            for _ in range(every):
                [event] = log.append("a", epoch, [custom("a", 0)])
            await log.barrier("a")
            sys.stdout.write(f"{event.seq}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
