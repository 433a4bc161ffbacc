"""A command and a screenshot on a hosted computer through the adapter, in turn with bare requests to the same one."""

from __future__ import annotations

import asyncio
import base64
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from measuring import arguments, cpu, report

from deskhand.providers.orgo import OrgoProvider

_COMMAND = "echo done"


class _Bare:
    """The two requests, and what is needed of their answers."""

    def __init__(self, client: httpx2.AsyncClient, computer_id: str) -> None:
        self._client = client
        self._path = f"computers/{computer_id}"

    async def exec(self) -> str:
        answer = await self._client.post(f"{self._path}/bash", json={"command": _COMMAND})
        answer.raise_for_status()
        output: str = answer.json()["output"]
        return output

    async def screenshot(self) -> bytes:
        answer = await self._client.get(f"{self._path}/screenshot", params={"response_format": "base64"})
        answer.raise_for_status()
        return base64.b64decode(answer.json()["image"])


async def _measured(do: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Return the seconds and the seconds of this process's CPU that something takes."""
    used, began = cpu(), time.perf_counter()
    await do()
    return time.perf_counter() - began, cpu() - used


async def main() -> None:
    """Measure all in turn, so that what disturbs one disturbs the others."""
    given = arguments()
    headers = {"Authorization": f"Bearer {given['key']}"}
    async with (
        OrgoProvider(api_key=given["key"], base_url=given["base_url"]) as provider,
        httpx2.AsyncClient(base_url=given["base_url"], headers=headers) as client,
    ):
        computer = await provider.create(name="benchmark")
        bare = _Bare(client, computer.info.id)
        assert (await computer.exec(_COMMAND)).output == await bare.exec() == "done\n"
        assert (await computer.screenshot())[:4] == (await bare.screenshot())[:4] == b"\x89PNG"
        each: dict[str, Callable[[], Awaitable[Any]]] = {
            "exec.ours": lambda: computer.exec(_COMMAND),
            "exec.floor": bare.exec,
            "screenshot.ours": computer.screenshot,
            "screenshot.floor": bare.screenshot,
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in each}
        for _ in range(given["times"]):
            for name, do in each.items():
                took[name].append(await _measured(do))
    seconds = {name: statistics.median(wall for wall, _ in values) for name, values in took.items()}
    used = {f"{name}.cpu": statistics.mean(used for _, used in values) for name, values in took.items()}
    report(**seconds, **used)


if __name__ == "__main__":
    asyncio.run(main())
