"""A conversation as it is sent: every item encoded once, every request made of the same bytes.

A request repeats the whole history. Encoding it anew each time is what makes loops slow, so an item becomes bytes when
it enters and stays those bytes; a request is a list of references to them. A cache mark moves from turn to turn by
being spliced between two pieces of an item, not by encoding the item again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

__all__ = ["ImageForm", "Item", "Layout", "Request", "Transcript", "encode_json"]

_CLOSE: Final = b"]}"

SMALL: Final = 64 * 1024
"""Fragments are sent together up to this size: many small writes cost more than one copy."""


def encode_json(value: JsonValue | Mapping[str, JsonValue]) -> bytes:
    """Encode a value as compact JSON; a lone surrogate stays an escape, since it has no UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class ImageForm:
    """How a vendor's format writes an image, so that an old one can be found among a history's bytes.

    Where an image begins is unmistakable: inside a JSON string every quote would be escaped.

    Attributes:
        begin: The bytes with which it begins.
        end: The first bytes after its data.
        stub: What stands in place of it, from ``begin`` to ``end``, once it is left out.
    """

    begin: bytes
    end: bytes
    stub: bytes

    def without(self, piece: bytes) -> tuple[bytes, int]:
        """Return a part of a history with the stub in place of each image, and how many there were."""
        kept: list[bytes] = []
        at = lost = 0
        while (begins := piece.find(self.begin, at)) >= 0:
            kept += [piece[at:begins], self.stub]
            at = piece.index(self.end, begins + len(self.begin)) + len(self.end)
            lost += 1
        return b"".join((*kept, piece[at:])), lost


@dataclass(frozen=True, slots=True)
class Layout:
    """How a vendor's requests are laid out.

    Attributes:
        key: The parameter that holds the history.
        images: How images are written in it.
        mark: What marks the end of a cached prefix; empty where the vendor finds it by itself.
        recent: How many user items at the end bear the mark; they keep their images.
    """

    key: str
    images: Sequence[ImageForm]
    mark: bytes = b""
    recent: int = 3

    def without_images(self, piece: bytes) -> tuple[bytes, int]:
        """Return a part of a history without its images, and how many there were."""
        total = 0
        for form in self.images:
            piece, lost = form.without(piece)
            total += lost
        return piece, total


@dataclass(frozen=True, slots=True)
class Item:
    """One or several entries of a history, encoded, with commas between them.

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


@dataclass(frozen=True, slots=True)
class Request:
    """A request's body: what it is made of, and how long it is.

    Attributes:
        params: Its parameters, the history left out.
        fragments: Its bytes, in order; many of them are those of earlier requests.
        size: How many bytes it has.
        betas: The beta headers that go with it.
        key: The parameter that holds the history.
    """

    params: Mapping[str, JsonValue]
    fragments: Sequence[bytes] = field(repr=False)
    size: int
    betas: Sequence[str] = ()
    key: str = "messages"

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
        """Return the body as a mapping; the history is only decoded if someone looks at it."""
        return _View(self)


class _View(Mapping[str, JsonValue]):
    """A request as its parameters, for who wants to look at it."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getitem__(self, name: str) -> JsonValue:
        if name != self._request.key:
            return self._request.params[name]
        whole: dict[str, JsonValue] = json.loads(self._request.joined())
        return whole[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._request.params
        yield self._request.key

    def __len__(self) -> int:
        return len(self._request.params) + 1

    def __repr__(self) -> str:
        return f"<request {self._request.size} bytes: {', '.join(self)}>"


class Transcript:
    """The history of one conversation; it only grows, unless it outgrows what can be sent.

    It is kept as pieces that end where a cache mark may stand, behind a user item. A piece that is too old to be marked
    is joined with small ones before it, so that a request is as few writes as it can be, and none of them a new copy.

    Args:
        layout: How the vendor's requests are laid out.
        params: The parameters of every request, the history left out.
        betas: The beta headers of every request.
    """

    layout: Layout
    params: Mapping[str, JsonValue]
    betas: tuple[str, ...]

    def __init__(self, layout: Layout, params: Mapping[str, JsonValue], betas: Sequence[str] = ()) -> None:
        self.layout = layout
        self._begin(params, betas)

    def _begin(self, params: Mapping[str, JsonValue], betas: Sequence[str]) -> None:
        self.params = params
        self.betas = tuple(betas)
        self._head: bytes = self._encoded_head(params)
        self._old: list[bytes] = [self._head]
        self._new: deque[bytes] = deque()
        self._end: list[bytes] = []
        self._items: int = 0
        self._images: int = 0

    def _encoded_head(self, params: Mapping[str, JsonValue]) -> bytes:
        return encode_json(dict(params))[:-1] + f',"{self.layout.key}":['.encode()

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
        return sum(map(len, pieces)) + len(self._new) * len(self.layout.mark) + len(_CLOSE)

    def replace(self, params: Mapping[str, JsonValue], betas: Sequence[str] = ()) -> None:
        """Ask with other parameters from now on."""
        old, self._head = self._head, self._encoded_head(params)
        self.params = params
        self.betas = tuple(betas)
        self._old[0] = self._head + self._old[0][len(old) :]

    def restart(self, params: Mapping[str, JsonValue], betas: Sequence[str] = ()) -> None:
        """Ask with other parameters from now on, and forget the history: the vendor keeps it."""
        self._begin(params, betas)

    def append(self, *items: Item) -> None:
        """Add items."""
        for item in items:
            pieces = [*self._end, b"," if self._items else b"", item.body]
            self._items += 1
            self._images += item.images
            if item.role == "user":
                self._new.append(b"".join(pieces))
                self._end = [item.tail]
            else:
                self._end = [*pieces, item.tail]
        while len(self._new) > self.layout.recent:
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
            self._old[index], lost = self.layout.without_images(piece)
            self._images -= lost
            size -= len(piece) - len(self._old[index])
        return before - self._images

    def request(self) -> Request:
        """Return the next request: the newest user items bear the cache marks."""
        fragments = list(self._old)
        mark = (self.layout.mark,) if self.layout.mark else ()
        for piece in self._new:
            fragments += (piece, *mark)
        fragments += (*self._end, _CLOSE)
        return Request(self.params, fragments, sum(map(len, fragments)), self.betas, self.layout.key)
