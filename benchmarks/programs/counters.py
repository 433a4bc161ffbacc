"""Count, in one run, how often each item of the history is encoded and each frame is encoded and hashed."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from bench_computer import BenchComputer
from episode import FRAME_SIZE, GOAL, frames
from measuring import arguments, report

from deskhand import ClaudeComputerUseHarness, OpenAIComputerUseHarness

_ITEMS = {
    "claude": re.compile(r'"(id|tool_use_id)": ?"(toolu_\w+)"'),
    "openai": re.compile(r'"type": ?"(\w+_call(?:_output)?)"[^{}]*?"call_id": ?"(call_\w+)"'),
}


class _Counts:
    def __init__(self, item: re.Pattern[str]) -> None:
        self._item = item
        self.base64: Counter[bytes] = Counter()
        self.hashed: Counter[bytes] = Counter()
        self.encoded: Counter[tuple[str, str]] = Counter()

    def frames(self, counter: Counter[bytes], function: Callable[..., Any]) -> Callable[..., Any]:
        """Count the frames that a function is given."""

        def counted(data: Any = b"", *rest: Any, **more: Any) -> Any:
            if isinstance(data, bytes) and len(data) >= FRAME_SIZE:
                counter[data] += 1
            return function(data, *rest, **more)

        return counted

    def items(self, function: Callable[..., str]) -> Callable[..., str]:
        """Count the calls and results that a JSON encoder writes."""

        def counted(*given: Any, **more: Any) -> str:
            text = function(*given, **more)
            self.encoded.update(self._item.findall(text))
            return text

        return counted


def _connect(vendor: str, url: str) -> Any:
    if vendor == "claude":
        import episode_claude

        return episode_claude.connect(url)
    import episode_openai

    return episode_openai.connect(url)


async def main() -> None:
    """Play an episode with everything that encodes or hashes replaced by something that counts."""
    given = arguments()
    vendor = given["vendor"]
    counts = _Counts(_ITEMS[vendor])
    json.dumps = counts.items(json.dumps)
    binascii.b2a_base64 = counts.frames(counts.base64, binascii.b2a_base64)
    base64.b64encode = counts.frames(counts.base64, base64.b64encode)
    hashlib.sha256 = counts.frames(counts.hashed, hashlib.sha256)
    shown = 0

    def counted_frames() -> Iterator[bytes]:
        nonlocal shown
        for frame in frames():
            shown += 1
            yield frame

    url = f"{given['url']}/{given['actions']}/computer"
    async with _connect(vendor, url) as client:
        harness = (ClaudeComputerUseHarness if vendor == "claude" else OpenAIComputerUseHarness)(client=client)
        result = await harness.run(BenchComputer(counted_frames()), GOAL)
    result.raise_for_outcome()
    items = given["actions"] * (2 if vendor == "claude" else 1)  # (one call of OpenAI's tool has both actions)
    assert len(counts.encoded) == items
    assert len(counts.base64) == len(counts.hashed) == shown
    report(
        json=sum(counts.encoded.values()) / items,
        base64=sum(counts.base64.values()) / shown,
        hashes=sum(counts.hashed.values()) / shown,
    )


if __name__ == "__main__":
    asyncio.run(main())
