"""A process that meets what is too large, and says how far its memory has grown meanwhile."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute
from pydantic import SecretStr

from deskhand.errors import DeskhandError
from deskhand.providers.http import HttpClient, Operation
from deskhand.testing.models import FakeTurn
from tests.harness.driving import small_computer
from tests.harness.every_api import AT_ONCE, FORMATS, Seen, look, refused, run
from tests.harness.pictures import BAD

HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: "
SSE, JSON, HTML = b"text/event-stream\r\n", b"application/json\r\n", b"text/html\r\n"


def peak() -> int:
    """Return the most memory since it was last forgotten, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell")


def forgotten() -> int:
    """Forget the most so far, and return what it is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


async def grown(work: Callable[[], Awaitable[str]]) -> dict[str, Any]:
    """Do something, and return what came of it and how many bytes more it took at its height."""
    before = forgotten()
    said = await work()
    return {"said": said, "grown": peak() - before}


def packed(kind: bytes, status: bytes = b"200 OK") -> Callable[[], list[bytes]]:
    """Answer with 64 MB that are 64 kB on the wire."""
    body = gzip.compress(bytes(64_000_000), 9)
    head = HEAD.replace(b"200 OK", status) + kind + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    return lambda: [head, body]


def endless(head: bytes, start: bytes = b"") -> Callable[[], list[bytes]]:
    """Answer with 100 MB."""
    return lambda: [head + b"\r\n" + start, *[b"x" * 65_536] * 1600]


def plain(kind: bytes, body: bytes, status: bytes = b"200 OK", announced: int | None = None) -> Any:
    """Answer with a body, and a length that need not be its own."""
    length = len(body) if announced is None else announced
    head = HEAD.replace(b"200 OK", status) + kind + b"content-length: %d\r\n\r\n" % length
    return lambda: [head, body]


PAGE = b"<html>Please log in to the Wi-Fi.</html>"
EVENT = b'data: {"type": "message_start", "message": {}}\n\n'

ANSWERS: dict[str, Callable[[], list[bytes]]] = {
    "page": plain(HTML, PAGE),
    "empty": plain(JSON, b""),
    "no content": lambda: [b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"],
    "bomb": packed(JSON),
    "bomb in place of a stream": packed(SSE),
    "bomb as an error": packed(JSON, b"400 Bad Request"),
    "large error": endless(HEAD.replace(b"200 OK", b"400 Bad Request") + JSON),
    "endless": endless(HEAD + SSE, b"data: "),
    "more announced than comes": plain(SSE, EVENT, announced=9_000),
    "less announced than comes": plain(SSE, EVENT, announced=20),
    "terabytes announced": plain(JSON, b"{}", announced=10**12),
    "length that is none": lambda: [HEAD + JSON + b"content-length: many\r\n\r\n{}"],
}
"""What answers in place of an API."""


@asynccontextmanager
async def answering(parts: Callable[[], list[bytes]]) -> AsyncIterator[str]:
    """Serve one answer to whoever asks; give the address."""

    async def serve(stream: ByteStream) -> None:
        async with stream:
            try:
                heard = b""
                while b"\r\n\r\n" not in heard:
                    heard += await stream.receive()
                for part in parts():
                    await stream.send(part)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def ask_model(name: str, parts: Callable[[], list[bytes]]) -> str:
    """Run the format's loop with a client of its own against an answer; return the error's code."""
    async with answering(parts) as url:
        os.environ |= {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url}
        os.environ |= {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{url}/v1"}
        result = await FORMATS[name].harness(patience=AT_ONCE).run(small_computer(), "Go.")
    return result.error.code if result.error else str(result.outcome)


async def ask_provider(parts: Callable[[], list[bytes]]) -> str:
    """Ask a vendor of computers; return the error's code."""
    async with answering(parts) as url, HttpClient(provider="vendor", base_url=url, key=SecretStr("k")) as client:
        try:
            await client.call(Operation("click"), "/click", {})
        except DeskhandError as error:
            return error.code
    return "answered"


async def show(name: str, image: bytes) -> str:
    """Run the format's loop on a computer that shows a picture; return what the model was told and shown."""
    script, computer = Seen(FakeTurn([look(name)])), small_computer()
    computer.image = image
    fake = FORMATS[name].fake(script)
    result = await run(fake, name, computer)
    seen = script.views[1]
    shown = seen.results[0].image.size if seen.results[0].image else seen.frame and "a frame"
    said = f"{seen.results[0].text} {seen.text}"
    return json.dumps([result.outcome, shown, said, refused(fake)])


async def pictures(name: str) -> dict[str, Any]:
    images = {kind: make() for kind, make in BAD.items()}
    await show(name, images["cut PNG"])
    return {kind: await grown(lambda image=image: show(name, image)) for kind, image in images.items()}  # type: ignore[misc]


async def answers(name: str) -> dict[str, Any]:
    def asked(parts: Callable[[], list[bytes]]) -> Callable[[], Awaitable[str]]:
        return lambda: ask_provider(parts) if name == "provider" else ask_model(name, parts)

    for kind in ("page", "large error"):
        await asked(ANSWERS[kind])()
    return {kind: await grown(asked(parts)) for kind, parts in ANSWERS.items()}


if __name__ == "__main__":
    found = anyio.run({"pictures": pictures, "answers": answers}[sys.argv[1]], sys.argv[2])
    print(json.dumps(found))  # noqa: T201 (the answer)
