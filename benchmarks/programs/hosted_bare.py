"""What bare requests need to read of each vendor's answers."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

Decode = Callable[[httpx2.Response], Any]


def _events(answer: httpx2.Response) -> Iterator[dict[str, Any]]:
    """Return what server-sent events hold."""
    for line in answer.text.splitlines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


def _messages(answer: httpx2.Response) -> Iterator[dict[str, Any]]:
    """Return the messages of a Connect stream."""
    data, at = answer.content, 0
    while at < len(data):
        _, size = struct.unpack_from(">BI", data, at)
        yield json.loads(data[at + 5 : at + 5 + size])
        at += 5 + size


def _e2b(answer: httpx2.Response) -> bytes:
    written = [message.get("event", {}).get("data", {}).get("stdout", "") for message in _messages(answer)]
    return b"".join(base64.b64decode(piece) for piece in written)


def _opencomputers(answer: httpx2.Response) -> str:
    return "".join(event["data"] for event in _events(answer) if event.get("stream") == "stdout")


def _cua(answer: httpx2.Response) -> dict[str, Any]:
    return next(_events(answer))


def _captured(answer: httpx2.Response) -> str:
    """Return a command's output as the lines around it packed it: how it ended, then what was kept in four parts."""
    _, head, tail, *_ = _cua(answer)["stdout"].split("\n")
    return (base64.b64decode(head) + base64.b64decode(tail)).decode()


def _picture(printed: bytes) -> bytes:
    """Return what stands behind the line that tells its size."""
    return printed.partition(b"\n")[2]


DECODERS: dict[tuple[str, str], Decode] = {
    ("orgo", "exec"): lambda answer: answer.json()["output"],
    ("orgo", "screenshot"): lambda answer: base64.b64decode(answer.json()["image"]),
    ("miosa", "exec"): lambda answer: answer.json()["stdout"],
    ("miosa", "screenshot"): lambda answer: answer.content,
    ("opencomputers", "exec"): _opencomputers,
    ("opencomputers", "screenshot"): lambda answer: base64.b64decode(_picture(_opencomputers(answer).encode())),
    ("e2b", "exec"): lambda answer: _e2b(answer).decode(),
    ("e2b", "screenshot"): lambda answer: _picture(_e2b(answer)),
    ("daytona", "exec"): lambda answer: answer.json()["result"],
    ("daytona", "screenshot"): lambda answer: base64.b64decode(answer.json()["screenshot"]),
    ("cua", "exec"): _captured,
    ("cua", "screenshot"): lambda answer: base64.b64decode(_cua(answer)["image_data"]),
}
"""By vendor and kind: the output of a command, the PNG of a screenshot."""
