"""A model that is asked over HTTP and answers at once: in each turn a click and a screenshot, and then an end.

Its answers are made beforehand and it does not read what it is sent beyond counting the model's earlier turns, so that
it is fast enough for the fastest client. The path says what it does: ``/30/computer/...`` takes 30 actions with the
vendor's own computer tool, ``/30/functions/...`` with functions of the same meaning, ``/30/legacy/...`` with the tool
of older models. With ``/30/held-computer/...`` it never answers once the actions are done, with
``/30/together-500-computer/...`` it first answers when so many have asked. The end of the path is the vendor's and says
whose format is spoken. It prints its port and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import re
import sys

import answers_claude
import answers_openai

_STREAM = re.compile(rb'"stream":\s*true')
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\nrequest-id: req_%d\r\nx-request-id: req_%d\r\ncontent-length: %d\r\n\r\n"
)


class _Script:
    """Answers, made once each."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], bytes] = {}
        self._together = 0
        self._all = asyncio.Event()

    async def answer(self, path: bytes, body: bytes) -> bytes | None:
        """Return the answer to a request, or nothing where it is to wait for ever."""
        _, actions, how, *rest = path.decode().split("/")
        claude = rest[-1].partition("?")[0] == "messages"
        how, _, kind = how.rpartition("-")
        turn = answers_claude.turns(body) if claude else answers_openai.turns(body, kind)
        last = 2 * turn >= int(actions)
        if last and how == "held":
            return None
        if turn == 0 and how.startswith("together"):
            await self._gather(int(how.partition("-")[2]))
        key = (claude, kind, turn, last, bool(_STREAM.search(body)))
        if key not in self._made:
            said = answers_claude.answer if claude else answers_openai.answer
            text = said(turn, kind, last=last, stream=key[-1])
            form = b"text/event-stream" if key[-1] else b"application/json"
            self._made[key] = _HEAD % (form, turn, turn, len(text)) + text
        return self._made[key]

    async def _gather(self, many: int) -> None:
        """Wait until so many have asked."""
        self._together += 1
        everybody = self._all
        if self._together == many:
            self._together, self._all = 0, asyncio.Event()
            everybody.set()
        await everybody.wait()


async def _serve(script: _Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = await script.answer(head.split(b" ", 2)[1], await reader.readexactly(size))
            if answer is None:
                await reader.read()  # until the client has left
                return
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until standard input ends."""
    script = _Script()
    server = await asyncio.start_server(lambda r, w: _serve(script, r, w), "127.0.0.1", 0, limit=1 << 20, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
