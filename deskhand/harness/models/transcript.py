"""A conversation as it is sent: every item encoded once, every request made of the same bytes.

A request repeats the whole history. Encoding it anew each time is what makes loops slow, so an item becomes bytes when
it enters and stays those bytes; a request is a list of references to them. A cache mark moves from turn to turn by
being spliced between two pieces of an item, not by encoding the item again.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

__all__ = ["ImageForm", "Item", "Layout", "Request", "Transcript", "encode_json"]

_CLOSE: Final = b"]}"

SMALL: Final = 512 * 1024
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

    def without(self, piece: bytes, images: float = math.inf, size: int = 0) -> tuple[bytes, int]:
        """Return a part of a history with the stub in place of its first images, and how many of them.

        Args:
            piece: The part.
            images: How many are enough, as soon as they make up ``size``; all go where not given.
            size: Bytes that are enough.
        """
        kept: list[bytes] = []
        at = lost = freed = 0
        while (lost < images or freed < size) and (begins := piece.find(self.begin, at)) >= 0:
            kept += [piece[at:begins], self.stub]
            at = piece.index(self.end, begins + len(self.begin)) + len(self.end)
            lost += 1
            freed += at - begins - len(self.stub)
        return (b"".join((*kept, piece[at:])), lost) if lost else (piece, 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a vendor's requests are laid out.

    Attributes:
        key: The parameter that holds the history.
        images: How images are written in it.
        mark: What marks the end of a cached prefix; empty where the vendor finds it by itself.
        recent: How many user items at the end keep their images as long as that can be; as many marks may be set.
    """

    key: str
    images: Sequence[ImageForm]
    mark: bytes = b""
    recent: int = 3

    def without_images(self, piece: bytes, images: float = math.inf, size: int = 0) -> tuple[bytes, int]:
        """Return a part of a history without its first images, and how many there were.

        Args:
            piece: The part.
            images: How many are enough, as soon as they make up ``size``; all go where not given.
            size: Bytes that are enough.
        """
        total, before = 0, len(piece)
        for form in self.images:
            piece, lost = form.without(piece, images - total, size - (before - len(piece)))
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


@dataclass(slots=True)
class _Piece:
    """Neighbouring items as one run of bytes, each ending where a mark may stand; and their lengths and images."""

    data: bytes
    items: list[tuple[int, int]]

    @property
    def images(self) -> int:
        """How many images it holds."""
        return sum(images for _, images in self.items)

    def joined(self, other: _Piece) -> _Piece:
        """Return this and what follows it as one."""
        return _Piece(self.data + other.data, self.items + other.items)

    def split(self, images: int) -> tuple[_Piece, _Piece | None]:
        """Return the first items, as many as hold no more than so many images, and the rest."""
        held = length = 0
        for index, (size, more) in enumerate(self.items):
            held += more
            if held > images:
                return _Piece(self.data[:length], self.items[:index]), _Piece(self.data[length:], self.items[index:])
            length += size
        return self, None


class Transcript:
    """The history of one conversation; it only grows, unless old images are left out.

    It is kept as pieces that end where a cache mark may stand, behind a user item. A piece that is too old to be marked
    is joined with small ones before it, so that a request is as few writes as it can be, and none of them a new copy.

    Where images have been left out, what is before them does not change any more. One mark stays at its end, so that
    leaving out more does not cost what is cached up to there.

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
        self._old: list[_Piece] = []
        self._new: deque[_Piece] = deque()
        self._end: list[bytes] = []
        self._items: int = 0
        self._images: int = 0
        self._settled: int = 0  # (how many of the old pieces are behind the mark that stays)
        self._settling: int = 0

    def _encoded_head(self, params: Mapping[str, JsonValue]) -> bytes:
        return encode_json(dict(params))[:-1] + f',"{self.layout.key}":['.encode()

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<Transcript {self._items} items, {self._images} images>"

    @property
    def items(self) -> int:
        """How many items it holds."""
        return self._items

    @property
    def images(self) -> int:
        """How many images it holds."""
        return self._images

    @property
    def size(self) -> int:
        """How many bytes the next request will have."""
        return sum(map(len, self._fragments()))

    def replace(self, params: Mapping[str, JsonValue], betas: Sequence[str] = ()) -> None:
        """Ask with other parameters from now on."""
        self._head = self._encoded_head(params)
        self.params = params
        self.betas = tuple(betas)

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
                data = b"".join(pieces)
                self._new.append(_Piece(data, [(len(data), item.images)]))
                self._end = [item.tail]
            else:
                self._end = [*pieces, item.tail]
        while len(self._new) > self.layout.recent:
            self._retire(self._new.popleft())

    def _retire(self, piece: _Piece) -> None:
        """Take in a piece that bears no mark any more."""
        if len(self._old) > max(self._settled, self._settling) and len(self._old[-1].data) < SMALL:
            piece = self._old.pop().joined(piece)
        self._old.append(piece)

    def prune(self, keep: int) -> int:
        """Leave out all images but the newest, whole items at a time, and return how many.

        The newest user items keep theirs. What is before the oldest image that stays is settled: it does not change any
        more.

        Args:
            keep: How many images stay at least.
        """
        self.settle()
        spare = self._images - keep
        lost = 0
        index = self._settled
        while index < len(self._old) and lost < spare:
            first, rest = self._old[index].split(spare - lost)
            if rest is not None:
                self._old[index : index + 1] = [first, rest] if first.data else [rest]
                if not first.data:
                    break
            first.data, gone = self.layout.without_images(first.data)
            first.items = [(len(first.data), 0)]
            lost += gone
            index += 1
            if rest is not None:
                break
        self._settling = index
        self._images -= lost
        return lost

    def settle(self) -> None:
        """Have the mark that stays move on to where images were left out last.

        That is one request after they were: what is cached up to where it stood before is thereby still found.
        """
        if self._settling > self._settled:
            joined = self._old[: self._settling]
            data = b"".join(piece.data for piece in joined)
            self._old[: self._settling] = [_Piece(data, [(len(data), 0)])]
            self._settled = self._settling = 1

    def shrink(self, max_bytes: int, max_images: int) -> int:
        """Leave out the oldest images, of the newest items too, until a request fits; return how many.

        Args:
            max_bytes: The size that the next request may have.
            max_images: How many images it may hold.
        """
        before, size = self._images, self.size
        for piece in (*self._old, *self._new):
            over, many = size - max_bytes, self._images - max_images
            if over <= 0 and many <= 0:
                break
            data, lost = self.layout.without_images(piece.data, many, over)
            size -= len(piece.data) - len(data)
            self._images -= lost
            piece.items = [(len(data), piece.images - lost)]
            piece.data = data
        return before - self._images

    def request(self) -> Request:
        """Return the next request: the newest user items bear the cache marks."""
        fragments = self._fragments()
        return Request(self.params, fragments, sum(map(len, fragments)), self.betas, self.layout.key)

    def _fragments(self) -> list[bytes]:
        fragments = [self._head, *(piece.data for piece in self._old)]
        mark = self.layout.mark
        if mark and self._settled:
            fragments.insert(1 + self._settled, mark)
        bare = max(0, len(self._new) + bool(self._settled) - self.layout.recent)
        for index, piece in enumerate(self._new):
            fragments.append(piece.data)
            if mark and index >= bare:
                fragments.append(mark)
        return [*fragments, *self._end, _CLOSE]
