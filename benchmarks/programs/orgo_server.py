"""The simulated Orgo with one computer, a local desktop; it prints what leads there, and ends with its input."""

from __future__ import annotations

import asyncio
import json
import sys

from deskhand.providers.orgo import OrgoProvider
from deskhand.testing.simulators import OrgoSimulator


async def main() -> None:
    """Serve until standard input ends."""
    async with (
        OrgoSimulator(keep_requests=10) as simulator,
        OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as provider,
    ):
        computer = await provider.create(name="benchmark")
        where = {"base_url": simulator.base_url, "key": simulator.key, "computer_id": computer.info.id}
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
