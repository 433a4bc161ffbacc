"""A stream of a model's answer is read as the format of events allows it, however the network brings it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import pairwise
from random import Random

import anyio
import httpx2
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand.errors import DeadlineExceededError, PayloadTooLargeError
from deskhand.harness.models import Turn
from deskhand.harness.models.transport import Deadlines
from tests.harness.every_api import EVERY, STREAM, Pieces, answer_of, reading

_SAME = ("items", "text", "thinking", "stop", "stop_reason", "usage", "call_ids")


def every_line(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda body: b"\n".join(change(line) if line else line for line in body.split(b"\n"))


def mixed_endings(body: bytes) -> bytes:
    """End each line in one of the three ways; not so that two of them become one."""
    ends = Random(1)
    lines = body.split(b"\n")
    return b"".join(line + ends.choice([b"\n", b"\r\n", b"\r\n"]) for line in lines[:-1]) + lines[-1]


def over_several_lines(body: bytes) -> bytes:
    """Spread each object over lines of data, which are joined by line feeds: blanks to JSON."""
    return re.sub(rb"(?m)^data: \{(.*)\}$", rb"data: {\ndata:\ndata:  \1\ndata: }", body)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as sent": bytes,
    "crlf": lambda body: body.replace(b"\n", b"\r\n"),
    "cr": lambda body: body.replace(b"\n", b"\r"),
    "mixed endings": mixed_endings,
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "comments": every_line(lambda line: b": hello, \xc3\xb6\n:\n" + line),
    "no blank after the colon": lambda body: body.replace(b"data: {", b"data:{"),
    "data over several lines": over_several_lines,
    "ids and times to come back": every_line(lambda line: b"id: 7\nretry: 10000\nnonsense: x\nfield\n" + line),
    "unknown events": lambda body: body.replace(b"\n\n", b'\n\nevent: news\ndata: {"type": "news", "x": [1]}\n\n', 3),
    "events without data": lambda body: body.replace(b"\n\n", b"\n\nevent: ping\n\n\n\n", 3),
}
"""Ways to write the same events, all allowed by the format."""


async def read(name: str, body: bytes, cuts: list[int] | None = None) -> Turn:
    """Read an answer that comes in pieces."""
    ends = sorted({*(cuts or []), 0, len(body)})
    pieces = [body[start:end] for start, end in pairwise(ends)]
    async with reading(name, lambda: httpx2.Response(200, headers=STREAM, stream=Pieces(pieces))) as receive:
        turn: Turn = await receive()
    return turn


@EVERY
async def test_every_form_of_a_stream_is_the_same_answer(name: str) -> None:
    """Line ends, comments, a byte order mark, fields and events that nobody knows change nothing."""
    body = await answer_of(name)
    plain = await read(name, body)
    assert [call.name for call in plain.calls] == ["left_click"]
    assert plain.text == "Ich klicke, ö."
    for form, rewrite in FORMS.items():
        odd = rewrite(body)
        for cuts in ([], list(range(0, len(odd), 3))):
            turn = await read(name, odd, cuts)
            for field in _SAME:
                assert getattr(turn, field) == getattr(plain, field), (form, field)


@EVERY
async def test_stream_may_be_cut_anywhere_between_its_bytes(name: str) -> None:
    """Inside a letter, an escape, a line end: pieces are no events."""
    body = await answer_of(name)
    plain = await read(name, body)
    forms = st.sampled_from(sorted(FORMS))

    @given(form=forms, cuts=st.lists(st.integers(0, len(body)), max_size=40))
    @settings(max_examples=25, deadline=None)
    def every_cut(form: str, cuts: list[int]) -> None:
        found.append((form, cuts))

    found: list[tuple[str, list[int]]] = []
    every_cut()
    for form, cuts in found:
        turn = await read(name, FORMS[form](body), cuts)
        assert [getattr(turn, field) for field in _SAME] == [getattr(plain, field) for field in _SAME], (form, cuts)


@EVERY
async def test_endless_line_is_refused(name: str) -> None:
    """A line of 64 MB is left at the limit of one event, wherever in the stream it comes."""
    body = await answer_of(name)
    first = body[: body.index(b"\n\n") + 2]
    pieces = [first, b"data: ", *[b"x" * 1_000_000] * 64]
    async with reading(name, lambda: httpx2.Response(200, headers=STREAM, stream=Pieces(pieces))) as receive:
        with pytest.raises(PayloadTooLargeError, match="an event of the model's answer"):
            await receive()


@EVERY
@pytest.mark.parametrize("noise", [b": ping\n\n", b"event: ping\ndata: {}\n\n", b"\n"], ids=["comment", "ping", "line"])
async def test_flood_without_content_is_silence(name: str, noise: bytes) -> None:
    """What keeps a connection alive keeps nobody waiting, before an answer has begun and within it."""
    body = await answer_of(name)
    first = body[: body.index(b"\n\n") + 2]

    class Flood(httpx2.AsyncByteStream):
        def __init__(self, start: bytes) -> None:
            self._start = start

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._start
            while True:
                await checkpoint()
                yield noise

    for start in (b"", first):
        respond = partial(httpx2.Response, 200, headers=STREAM, stream=Flood(start))
        async with reading(name, respond, deadlines=Deadlines(idle=0.05)) as receive:
            with anyio.fail_after(20), pytest.raises(DeadlineExceededError, match=r"sent nothing for 0.05 s") as caught:
                await receive()
        assert (caught.value.retryable, caught.value.effect) == (True, "no")
