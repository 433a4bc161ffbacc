"""A command and a screenshot on a hosted computer, through the adapter."""

from __future__ import annotations

import asyncio

from hosting import COMMAND, serve
from measuring import arguments

from deskhand.providers.orgo import OrgoProvider

_IDLE = 6.0
"""Seconds, after which the pool has dropped the connections over which it looked around in parallel."""


async def main() -> None:
    """Measure."""
    given = arguments()
    async with OrgoProvider(api_key=given["key"], base_url=given["base_url"]) as provider:
        computer = await provider.get(given["computer_id"])
        await asyncio.sleep(_IDLE)

        async def command() -> str:
            return (await computer.exec(COMMAND)).output

        await serve(command, computer.screenshot)


if __name__ == "__main__":
    asyncio.run(main())
