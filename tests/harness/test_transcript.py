"""The history as bytes: encoded once, marked by splicing, sent piece by piece."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand import ClaudeComputerUseHarness
from deskhand.harness import Stuck
from deskhand.harness.models import anthropic as codec
from deskhand.harness.models import decoder
from deskhand.harness.models import transcript as module
from deskhand.harness.models.blocks import CACHE_MARK, MESSAGES, assistant_item, encode_image, user_item
from deskhand.harness.models.layout import Item, Layout
from deskhand.harness.models.transcript import Transcript, encode_json
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView, member, text, thinking
from tests.harness.driving import computer_with_screen

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_json_is_encoded_without_change(value: Any) -> None:
    """Whatever a model says comes back as it was."""
    assert json.loads(encode_json(value)) == value


def test_lone_surrogate_survives_encoding() -> None:
    """Half a character has no UTF-8, and stays an escape."""
    assert json.loads(encode_json({"text": "\ud800ö"})) == {"text": "\ud800ö"}


def test_image_block_holds_the_image() -> None:
    """An image is base64, once, without passing a JSON encoder."""
    block = json.loads(encode_image(b"\x00\xff", "image/png"))
    assert block["source"] == {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(b"\x00\xff").decode(),
    }


def user(text: str) -> Item:
    return user_item([encode_json({"type": "text", "text": "first"}), encode_json({"type": "text", "text": text})])


def assistant(text: str) -> Item:
    return assistant_item(encode_json([{"type": "text", "text": text}]))


def marks(body: Any) -> list[str]:
    return [block["text"] for message in body["messages"] for block in message["content"] if "cache_control" in block]


def test_newest_user_items_bear_the_marks() -> None:
    """The marks move on with the conversation; what an item says stays the same bytes."""
    transcript = Transcript(MESSAGES, {"model": "m", "max_tokens": 5})
    before = b""
    for turn in range(6):
        transcript.append(user(f"u{turn}"))
        request = transcript.request()
        body = json.loads(request.joined())
        assert body["model"] == "m"
        assert marks(body) == [f"u{n}" for n in range(max(0, turn - 2), turn + 1)]
        plain = request.joined().replace(CACHE_MARK, b"").removesuffix(b"]}")
        assert plain.startswith(before)
        before = plain
        transcript.append(assistant(f"a{turn}"))


def test_old_pieces_are_sent_again_without_a_copy() -> None:
    """A large item is one piece with what is small around it, and the very same in every later request."""
    transcript = Transcript(MESSAGES, {"model": "m"})
    for turn in range(8):
        transcript.append(user(f"u{turn}" * 300_000), assistant("a"))
    early = transcript.request()
    transcript.append(user("short"), assistant("b"), user("y" * 600_000), assistant("c"))
    later = {id(fragment) for fragment in transcript.request().fragments}
    large = [fragment for fragment in early.fragments if len(fragment) > 512 * 1024]
    assert len(large) == 8
    assert all(id(fragment) in later for fragment in large)


@settings(deadline=None)
@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=8))
async def test_chunks_are_the_body(sizes: list[int]) -> None:
    """A request is sent in few pieces, in order, as long as it says."""
    transcript = Transcript(MESSAGES, {"model": "m"})
    for size in sizes:
        transcript.append(user("x" * size), assistant("ö"))
    request = transcript.request()
    chunks = [chunk async for chunk in request]
    assert b"".join(chunks) == request.joined()
    assert chunks == [chunk async for chunk in request], "a client may send it twice"
    assert request.size == sum(map(len, chunks))
    assert len(chunks) <= 3 + request.size // 30_000


def seen(picture: bytes, remark: str = "look") -> Item:
    return user_item([encode_json({"type": "text", "text": remark}), encode_image(picture, "image/png")], images=1)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=9), st.text(), st.integers(0, 3000), st.integers(0, 9))
def test_history_that_is_too_large_loses_its_oldest_images(
    pictures: list[bytes], remark: str, max_bytes: int, max_images: int
) -> None:
    """The oldest go first, no more than must; what remains is the same JSON with a remark in place of each image."""
    transcript = Transcript(MESSAGES, {"model": "m"})
    for picture in pictures:
        transcript.append(seen(picture, remark), assistant(remark))
    before = json.loads(transcript.request().joined())["messages"]
    lost = transcript.shrink(max_bytes, max_images)
    after = json.loads(transcript.request().joined())["messages"]
    kinds = [message["content"][1]["type"] for message in after[::2]]
    assert kinds == ["text"] * lost + ["image"] * (len(pictures) - lost)
    assert transcript.images == len(pictures) - lost
    for old, new in zip(before, after, strict=True):
        assert new["content"][0]["text"] == old["content"][0]["text"] == remark
    enough = transcript.images <= max_images and transcript.size <= max_bytes
    assert enough or lost == len(pictures)


def test_words_about_an_image_are_no_image() -> None:
    """A text that quotes an image block is left alone."""
    quoted = '{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}'
    item = seen(b"x", quoted)
    shortened, lost, _ = MESSAGES.without_images(item.body + item.tail)
    content = json.loads(shortened)["content"]
    assert lost == 1
    assert [block["text"] for block in content] == [quoted, "[an older screenshot was left out]"]


def test_request_can_be_looked_at() -> None:
    """A request reads as a mapping of its parameters and messages."""
    transcript = Transcript(MESSAGES, {"model": "m", "max_tokens": 5})
    transcript.append(user("hi"))
    view = transcript.request().view()
    assert dict(view)["model"] == "m"
    assert list(view) == ["model", "max_tokens", "messages"]
    messages: Any = view["messages"]
    assert messages[0]["content"][1]["text"] == "hi"
    assert len(view) == 3
    assert "bytes" in repr(view)


def test_layout_without_marks_has_none() -> None:
    """A vendor that finds its cached prefix by itself gets the bare items, under its own key."""
    transcript = Transcript(Layout("input", ()), {"model": "m"})
    transcript.append(Item("user", b'{"a":1},{"b":2}'), Item("assistant", b'{"c":3}'), Item("user", b'{"d":4}'))
    request = transcript.request()
    assert json.loads(request.joined()) == {"model": "m", "input": [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]}
    assert request.size == transcript.size == len(request.joined())
    assert request.view()["input"] == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]


def test_restarted_history_is_forgotten() -> None:
    """What the vendor keeps is not sent again."""
    transcript = Transcript(Layout("input", ()), {"model": "m"})
    transcript.append(Item("user", b'{"a":1}', images=1), Item("assistant", b'{"b":2}'))
    transcript.restart({"model": "m", "previous_response_id": "resp_1"})
    transcript.append(Item("user", b'{"c":3}'))
    assert transcript.images == 0
    assert json.loads(transcript.request().joined()) == {
        "model": "m",
        "previous_response_id": "resp_1",
        "input": [{"c": 3}],
    }


class Counter:
    """Counts the calls of a function, by the size of what it is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.sizes: list[int] = []

    def __call__(self, data: Any, *rest: Any, **more: Any) -> Any:
        self.sizes.append(len(data) if isinstance(data, bytes) else 0)
        return self.function(data, *rest, **more)


async def test_each_item_is_encoded_once_and_each_frame_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a whole run: one base64 and one digest of each frame, one JSON encoding of each item."""
    turns = 12
    bodies: list[bytes] = []

    def play(view: ModelView) -> FakeTurn:
        if view.turn == turns:
            return FakeTurn("Done.")
        return FakeTurn([thinking("hm"), text("go"), member("left_click", coordinate=[view.turn, 1])])

    fake = FakeAnthropic(play)

    async def pass_on(request: httpx2.Request) -> httpx2.Response:
        bodies.append(await request.aread())
        return await inner.handle_async_request(request)

    from deskhand.testing.models.transport import FakeTransport

    inner = FakeTransport(fake.handle)
    encoded, based = Counter(encode_json), Counter(binascii.b2a_base64)
    hashed = Counter(hashlib.sha256)
    monkeypatch.setattr(module, "encode_json", encoded)
    monkeypatch.setattr(codec, "encode_json", encoded)
    monkeypatch.setattr(decoder, "encode_json", encoded)
    monkeypatch.setattr(binascii, "b2a_base64", based)
    monkeypatch.setattr(hashlib, "sha256", hashed)
    computer = computer_with_screen()
    async with anthropic.AsyncAnthropic(
        api_key=fake.api_key, http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(pass_on))
    ) as client:
        result = await ClaudeComputerUseHarness(client=client).run(computer, "Go.", stuck=Stuck.off())
    assert (result.outcome, result.turns) == ("completed", turns + 1)
    frames = turns + 1
    assert len(encoded.sizes) == 2 + 3 * turns + 1, (
        "the fixed part and the goal, then an answer and two parts of a result"
    )
    assert [size for size in based.sizes if size == len(computer.image)] == [len(computer.image)] * frames
    assert [size for size in hashed.sizes if size == len(computer.image)] == [len(computer.image)] * frames
    histories = [json.loads(body)["messages"] for body in bodies]
    for older, newer in itertools.pairwise(histories):
        assert [unmarked(message) for message in newer[: len(older)]] == [unmarked(message) for message in older]


def unmarked(message: Any) -> Any:
    return [{key: value for key, value in block.items() if key != "cache_control"} for block in message["content"]]
