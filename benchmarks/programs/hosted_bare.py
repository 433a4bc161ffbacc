"""The floor of an adapter: the two requests, and what is needed of their answers."""

from __future__ import annotations

import asyncio
import base64

import httpx2
from hosting import COMMAND, serve
from measuring import arguments


async def main() -> None:
    """Measure."""
    given = arguments()
    headers = {"Authorization": f"Bearer {given['key']}"}
    path = f"computers/{given['computer_id']}"
    async with httpx2.AsyncClient(base_url=given["base_url"], headers=headers) as client:

        async def command() -> str:
            answer = await client.post(f"{path}/bash", json={"command": COMMAND})
            answer.raise_for_status()
            output: str = answer.json()["output"]
            return output

        async def screenshot() -> bytes:
            answer = await client.get(f"{path}/screenshot", params={"response_format": "base64"})
            answer.raise_for_status()
            return base64.b64decode(answer.json()["image"])

        await serve(command, screenshot)


if __name__ == "__main__":
    asyncio.run(main())
