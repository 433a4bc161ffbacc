"""A command and a screenshot on one hosted computer, in turn by the adapter, by bare requests, and by others.

``python hosted.py '{"vendor": "orgo", "options": {...}, "computer_id": "...", "times": 100, "peers": {...}}'``: a peer
is a Python and a program, which are given the same. Adapter and bare requests are in this process, on one loop.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from hosted_bare import DECODERS
from hosting import COMMAND, check
from measuring import arguments, report

from deskhand.providers import ExternalComputer, provider

_HERE = Path(__file__).parent
_IDLE = 6.0
"""Seconds, after which the pool has dropped the connections over which the adapter looked around in parallel."""

Do = Callable[[], Awaitable[Any]]


class _Bare:
    """The requests that the adapter sent for something, as they were, and what is needed of their answers.

    Args:
        client: The client.
        sent: What the adapter sent.
        decode: Reads the answer.
    """

    def __init__(
        self, client: httpx2.AsyncClient, sent: httpx2.Request, decode: Callable[[httpx2.Response], Any]
    ) -> None:
        self._client = client
        self._method = sent.method
        self._url = str(sent.url)
        self._headers = {name: value for name, value in sent.headers.items() if name not in {"host", "content-length"}}
        self._content = sent.content or None
        self._decode = decode

    async def __call__(self) -> Any:
        """Send them again."""
        answer = await self._client.request(self._method, self._url, headers=self._headers, content=self._content)
        answer.raise_for_status()
        return self._decode(answer)


async def _run(computer: ExternalComputer) -> str:
    return (await computer.exec(COMMAND)).output


def _ours(computer: ExternalComputer, *, plain: bool) -> dict[str, Do]:
    """Return what the adapter does, and bare requests do too."""
    return {"exec": partial(_run, computer), "screenshot": partial(computer.screenshot, cursor=not plain)}


async def _sent(given: dict[str, Any]) -> dict[str, list[httpx2.Request]]:
    """Return what the adapter sends for each."""
    sent: list[httpx2.Request] = []
    found: dict[str, list[httpx2.Request]] = {}

    async def note(request: httpx2.Request) -> None:
        sent.append(request)

    async with (
        httpx2.AsyncClient(timeout=None, event_hooks={"request": [note]}) as client,
        provider(given["vendor"], http_client=client, **given["options"]) as entered,
    ):
        computer = await entered.get(given["computer_id"])
        for kind, do in _ours(computer, plain=given["plain"]).items():
            sent.clear()
            check(kind, await do())
            found[kind] = [*sent]
    return found


@contextmanager
def _peers(given: dict[str, Any]) -> Iterator[dict[str, subprocess.Popen[str]]]:
    running = {}
    try:
        for name, (python, program) in given["peers"].items():
            command = [python, str(_HERE / f"{program}.py"), json.dumps(given)]
            running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for each in running.values():
            _read(each)  # the first of each is not counted
        yield running
    finally:
        for each in running.values():
            each.communicate(timeout=60)


def _read(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args} ended")
    said: dict[str, float] = json.loads(line)
    return said


async def _timed(name: str, do: Do) -> dict[str, float]:
    used, began = time.process_time(), time.perf_counter()
    got = await do()
    ended, spent = time.perf_counter(), time.process_time()
    check(name.rpartition("/")[2], got)
    return {name: ended - began, f"{name}.cpu": spent - used}


async def main() -> None:
    """Measure."""
    given = arguments()
    sent = await _sent(given)
    took: defaultdict[str, list[float]] = defaultdict(list)
    async with (
        httpx2.AsyncClient(timeout=None) as client,
        provider(given["vendor"], **given["options"]) as entered,
    ):
        computer = await entered.get(given["computer_id"])
        bare = {kind: _Bare(client, requests[0], DECODERS[given["vendor"], kind]) for kind, requests in sent.items()}
        todo: list[tuple[str, Do]] = []
        for kind, do in _ours(computer, plain=given["plain"]).items():
            todo += [(f"ours/{kind}", do), (f"bare/{kind}", bare[kind])]
        if given["plain"]:
            todo.append(("ours/pointer", computer.screenshot))
        await asyncio.sleep(_IDLE)
        with _peers(given) as peers:
            for number in range(-1, given["times"]):
                for name, do in todo if number % 2 else todo[::-1]:  # neither always comes first
                    values = await _timed(name, do)
                    if number >= 0:
                        for key, value in values.items():
                            took[key].append(value)
                for name, each in peers.items():
                    assert each.stdin is not None
                    each.stdin.write("\n")
                    each.stdin.flush()
                    for key, value in _read(each).items():
                        took[f"{name}/{key}"].append(value)
    requests = {f"sent/{kind}": float(len(each)) for kind, each in sent.items()}
    report(**requests, **{name: statistics.median(values) for name, values in took.items()})


if __name__ == "__main__":
    asyncio.run(main())
