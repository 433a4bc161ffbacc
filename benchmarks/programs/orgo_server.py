"""The simulated Orgo, a local desktop behind each computer; it prints address and key and ends with its input."""

from __future__ import annotations

import asyncio
import json
import sys

from deskhand.testing.simulators import OrgoSimulator


async def main() -> None:
    """Serve until standard input ends."""
    async with OrgoSimulator(keep_requests=10) as simulator:
        sys.stdout.write(json.dumps({"base_url": simulator.base_url, "key": simulator.key}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
