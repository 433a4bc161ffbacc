"""A conversation as it is sent: every item encoded once, every request made of the same bytes.

A request repeats the whole history. Encoding it anew each time is what makes loops slow, so an item becomes bytes when
it enters and stays those bytes; a request is a list of references to them. A cache mark moves from turn to turn by
being spliced between two pieces of an item, not by encoding the item again.
"""

from __future__ import annotations

import binascii
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

__all__ = ["Item", "Request", "Transcript", "encode_image", "encode_json"]

CACHE_MARK: Final = b',"cache_control":{"type":"ephemeral"}'
MOVING_MARKS: Final = 3
"""Cache marks on the newest user items; the fourth that the API allows stands at the end of the fixed part."""

_IMAGE: Final = b'{"type":"image","source":{"type":"base64","media_type":"'
_IMAGE_END: Final = b'"}'
"""The end of an image but for its last brace, which is behind the place for a cache mark."""

_STUB: Final = b'{"type":"text","text":"[an older screenshot was left out]"'

_CLOSE: Final = b"]}"

SMALL: Final = 64 * 1024
"""Fragments are sent together up to this size: many small writes cost more than one copy."""


def encode_json(value: JsonValue | Mapping[str, JsonValue]) -> bytes:
    """Encode a value as compact JSON; a lone surrogate stays an escape, since it has no UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def encode_image(data: bytes, mime: str) -> bytes:
    """Encode an image block."""
    head = _IMAGE + mime.encode() + b'","data":"'
    return b"".join((head, binascii.b2a_base64(data, newline=False), _IMAGE_END, b"}"))


@dataclass(frozen=True, slots=True)
class Item:
    """One message, encoded.

    Attributes:
        role: Who says it.
        body: The bytes up to where a cache mark may stand.
        tail: The bytes after it.
        images: How many images it holds.
    """

    role: Literal["user", "assistant"]
    body: bytes = field(repr=False)
    tail: bytes = field(default=b"", repr=False)
    images: int = 0

    @classmethod
    def user(cls, blocks: Sequence[bytes], *, images: int = 0) -> Item:
        """Make a user message of encoded blocks; a mark would stand at the end of the last."""
        last = memoryview(blocks[-1])[:-1]
        between = [piece for block in blocks[:-1] for piece in (block, b",")]
        return cls("user", b"".join((b'{"role":"user","content":[', *between, last)), b"}]}", images)

    @classmethod
    def assistant(cls, content: bytes) -> Item:
        """Make an assistant message of its encoded content."""
        return cls("assistant", b'{"role":"assistant","content":' + content + b"}")


def without_images(piece: bytes) -> tuple[bytes, int]:
    """Return a part of a history with a remark in place of each image, and how many there were.

    Where an image begins is unmistakable: inside a JSON string every quote would be escaped.
    """
    kept: list[bytes] = []
    at = lost = 0
    while (begins := piece.find(_IMAGE, at)) >= 0:
        kept += [piece[at:begins], _STUB]
        at = piece.index(_IMAGE_END, begins) + len(_IMAGE_END)
        lost += 1
    return b"".join((*kept, piece[at:])), lost


@dataclass(frozen=True, slots=True)
class Request:
    """A request's body: what it is made of, and how long it is.

    Attributes:
        params: Its parameters, the messages left out.
        fragments: Its bytes, in order; many of them are those of earlier requests.
        size: How many bytes it has.
        betas: The beta headers that go with it.
    """

    params: Mapping[str, JsonValue]
    fragments: Sequence[bytes] = field(repr=False)
    size: int
    betas: Sequence[str] = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body, small fragments joined; as often as someone begins to read it."""
        held: list[bytes] = []
        size = 0
        for fragment in self.fragments:
            held.append(fragment)
            size += len(fragment)
            if size >= SMALL:
                yield fragment if len(held) == 1 else b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)

    def joined(self) -> bytes:
        """Return the body in one piece, for who must see all of it."""
        return b"".join(self.fragments)

    def view(self) -> Mapping[str, JsonValue]:
        """Return the body as a mapping; the messages are only decoded if someone looks at them."""
        return _View(self)


class _View(Mapping[str, JsonValue]):
    """A request as its parameters, for who wants to look at it."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getitem__(self, name: str) -> JsonValue:
        if name != "messages":
            return self._request.params[name]
        whole: dict[str, JsonValue] = json.loads(self._request.joined())
        return whole["messages"]

    def __iter__(self) -> Iterator[str]:
        yield from self._request.params
        yield "messages"

    def __len__(self) -> int:
        return len(self._request.params) + 1

    def __repr__(self) -> str:
        return f"<request {self._request.size} bytes: {', '.join(self)}>"


class Transcript:
    """The history of one conversation; it only grows, unless it outgrows what can be sent.

    It is kept as pieces that end where a cache mark may stand, behind a user item. A piece that is too old to be marked
    is joined with small ones before it, so that a request is as few writes as it can be, and none of them a new copy.

    Args:
        params: The parameters of every request, the messages left out.
        betas: The beta headers of every request.
    """

    def __init__(self, params: Mapping[str, JsonValue], betas: Sequence[str] = ()) -> None:
        self.params, self.betas = params, tuple(betas)
        self._head = _head(params)
        self._old = [self._head]
        self._new: deque[bytes] = deque()
        self._end: list[bytes] = []
        self._items = 0
        self._images = 0

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<Transcript {self._items} items, {self._images} images>"

    @property
    def images(self) -> int:
        """How many images it holds."""
        return self._images

    @property
    def size(self) -> int:
        """How many bytes the next request will have."""
        pieces = (*self._old, *self._new, *self._end)
        return sum(map(len, pieces)) + len(self._new) * len(CACHE_MARK) + len(_CLOSE)

    def replace(self, params: Mapping[str, JsonValue], betas: Sequence[str]) -> None:
        """Ask with other parameters from now on."""
        old, self._head = self._head, _head(params)
        self.params, self.betas = params, tuple(betas)
        self._old[0] = self._head + self._old[0][len(old) :]

    def append(self, *items: Item) -> None:
        """Add messages."""
        for item in items:
            pieces = [*self._end, b"," if self._items else b"", item.body]
            self._items += 1
            self._images += item.images
            if item.role == "user":
                self._new.append(b"".join(pieces))
                self._end = [item.tail]
            else:
                self._end = [*pieces, item.tail]
        while len(self._new) > MOVING_MARKS:
            piece = self._new.popleft()
            if len(self._old[-1]) < SMALL:
                piece = self._old.pop() + piece
            self._old.append(piece)

    def shrink(self, max_bytes: int, max_images: int) -> int:
        """Leave out the oldest images, but for those of the newest user items, and return how many.

        Args:
            max_bytes: The size that the next request may have.
            max_images: How many images it may hold.
        """
        before, size = self._images, self.size
        for index, piece in enumerate(self._old):
            if size <= max_bytes and self._images <= max_images:
                break
            self._old[index], lost = without_images(piece)
            self._images -= lost
            size -= len(piece) - len(self._old[index])
        return before - self._images

    def request(self) -> Request:
        """Return the next request: the newest user items bear the cache marks."""
        fragments = list(self._old)
        for piece in self._new:
            fragments += (piece, CACHE_MARK)
        fragments += (*self._end, _CLOSE)
        return Request(self.params, fragments, sum(map(len, fragments)), self.betas)


def _head(params: Mapping[str, JsonValue]) -> bytes:
    return encode_json(dict(params))[:-1] + b',"messages":['
