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
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import JsonValue

from deskhand.harness.models.layout import Item, Layout, Part, Piece

__all__ = ["Request", "Transcript", "encode_json"]

_CLOSE: Final = b"]}"

SMALL: Final = 256 * 1024
"""Fragments are sent together up to this size: many small writes cost more than one copy."""


def encode_json(value: JsonValue | Mapping[str, JsonValue]) -> bytes:
    """Encode a value as compact JSON; a lone surrogate stays an escape, since it has no UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


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
        self._old: list[Piece] = []
        self._new: deque[Piece] = deque()
        self._end: list[bytes] = []
        self._items: int = 0
        self._images: int = 0
        self._blanks: int = 0
        self._settled: int = 0  # (how many of the old pieces are behind the mark that stays)
        self._settling: int = 0

    def _encoded_head(self, params: Mapping[str, JsonValue]) -> bytes:
        return encode_json(dict(params))[:-1] + f',"{self.layout.key}":['.encode()

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<Transcript {self._items} items, {self._images} images>"

    @property
    def images(self) -> int:
        """How many images it holds that can be left out."""
        return self._images

    @property
    def blanks(self) -> int:
        """How many images it holds besides: they stand where an image must, and go with their items alone."""
        return self._blanks

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
            self._blanks += item.blanks
            if item.role == "user":
                data = b"".join(pieces)
                self._new.append(Piece(data, [Part(len(data), item.images, item.blanks)]))
                self._end = [item.tail]
            else:
                self._end = [*pieces, item.tail]
        while len(self._new) > self.layout.recent:
            self._retire(self._new.popleft())

    def _retire(self, piece: Piece) -> None:
        """Take in a piece that bears no mark any more."""
        if len(self._old) > max(self._settled, self._settling) and len(self._old[-1].data) < SMALL:
            piece = Piece.of((self._old.pop(), piece))
        self._old.append(piece)

    def prune(self, keep: int) -> int:
        """Leave out all images but the newest, whole items at a time, and return how many.

        The newest user items keep theirs. What is before the oldest image that stays is settled: it does not change any
        more.

        Args:
            keep: How many images stay at least.
        """
        self.settle()
        before = self._images
        index = self._settled
        while index < len(self._old) and self._images > keep:
            first, rest = self._old[index].split(self._images - keep)
            if not first.parts:
                break
            self._old[index : index + 1] = [first] if rest is None else [first, rest]
            self._leave_out(first)
            index += 1
        self._settling = index
        return before - self._images

    def _leave_out(self, piece: Piece, images: float = math.inf, size: int = 0) -> None:
        lost, blanks = piece.leave_out(self.layout, images, size)
        self._images -= lost
        self._blanks += blanks

    def settle(self) -> None:
        """Have the mark that stays move on to where images were left out last.

        That is one request after they were: what is cached up to where it stood before is thereby still found.
        """
        if self._settling > self._settled:
            self._old[: self._settling] = [Piece.of(self._old[: self._settling])]
            self._settled = self._settling = 1

    def shrink(self, max_bytes: int, max_images: int) -> int:
        """Leave out the oldest images, of the newest items too, until a request fits; return how many.

        Args:
            max_bytes: The size that the next request may have.
            max_images: How many images it may hold.
        """
        before = self._images
        for piece in (*self._old, *self._new):
            over, many = self.size - max_bytes, self._images - max_images
            if over <= 0 and many <= 0:
                break
            self._leave_out(piece, many, over)
        return before - self._images

    def forget(self, max_bytes: int, max_blanks: int) -> int:
        """Leave out the oldest items whole, but for the first and the newest, until a request fits; return how many.

        An item goes with the answers before it: no call stays without its result, and no result without its call.

        Args:
            max_bytes: The size that the next request may have.
            max_blanks: How many images it may hold that cannot be left out alone.
        """
        over, many = self.size - max_bytes, self.blanks - max_blanks
        old = Piece.of(self._old)
        kept: list[tuple[bytes, Part]] = []
        gone = 0
        for index, (data, part) in enumerate(old.items()):
            if index == 0 or (over <= 0 and many <= 0):
                kept.append((data, part))
                continue
            over, many = over - part.size, many - part.blanks
            self._images -= part.images
            self._blanks -= part.blanks
            gone += 1
        if gone:
            first, part = kept[0]
            if not first.endswith(self.layout.remark):
                kept[0] = (first + self.layout.remark, replace(part, size=part.size + len(self.layout.remark)))
            self._old = [Piece(b"".join(data for data, _ in kept), [part for _, part in kept])]
            self._settled = self._settling = 0
        return gone

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
