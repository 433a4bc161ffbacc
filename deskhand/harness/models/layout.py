"""How a history is laid out as bytes: what a vendor's format writes around it, and the pieces that it is kept in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ImageForm", "Item", "Layout", "Part", "Piece"]


@dataclass(frozen=True, slots=True)
class ImageForm:
    """How a vendor's format writes an image, so that an old one can be found among a history's bytes.

    Where an image begins is unmistakable: inside a JSON string every quote would be escaped.

    Attributes:
        begin: The bytes with which it begins.
        end: The first bytes after its data.
        stub: What stands in place of it, from ``begin`` to ``end``, once it is left out.
        blank: Whether the stub is an image too: it counts as one, and cannot be left out.
    """

    begin: bytes
    end: bytes
    stub: bytes
    blank: bool = False

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
        remark: What is put behind the first user item once items behind it are left out.
        recent: How many user items at the end keep their images as long as that can be; as many marks may be set.
    """

    key: str
    images: Sequence[ImageForm]
    mark: bytes = b""
    remark: bytes = b""
    recent: int = 3

    def without_images(self, piece: bytes, images: float = math.inf, size: int = 0) -> tuple[bytes, int, int]:
        """Return a part of a history without its first images, how many there were, and how many left a blank one.

        Args:
            piece: The part.
            images: How many are enough, as soon as they make up ``size``; all go where not given.
            size: Bytes that are enough.
        """
        total, blanks, before = 0, 0, len(piece)
        for form in self.images:
            piece, lost = form.without(piece, images - total, size - (before - len(piece)))
            total += lost
            blanks += lost * form.blank
        return piece, total, blanks


@dataclass(frozen=True, slots=True)
class Item:
    """One or several entries of a history, encoded, with commas between them.

    Attributes:
        role: Who says it.
        body: The bytes up to where a cache mark may stand.
        tail: The bytes after it.
        images: How many images it holds that can be left out.
        blanks: How many it holds besides: they stand where an image must.
    """

    role: Literal["user", "assistant"]
    body: bytes = field(repr=False)
    tail: bytes = field(default=b"", repr=False)
    images: int = 0
    blanks: int = 0


@dataclass(slots=True)
class Part:
    """A user item with the answers before it, as a part of a piece: its bytes, its images, and the blank ones."""

    size: int
    images: int
    blanks: int


@dataclass(slots=True)
class Piece:
    """Neighbouring items as one run of bytes, each ending where a mark may stand."""

    data: bytes
    parts: list[Part]

    @classmethod
    def of(cls, pieces: Iterable[Piece]) -> Piece:
        """Join neighbours."""
        joined = list(pieces)
        return cls(b"".join(piece.data for piece in joined), [part for piece in joined for part in piece.parts])

    def split(self, images: int) -> tuple[Piece, Piece | None]:
        """Return the first items, as many as hold no more than so many images, and the rest."""
        held = length = 0
        for index, part in enumerate(self.parts):
            held += part.images
            if held > images:
                return Piece(self.data[:length], self.parts[:index]), Piece(self.data[length:], self.parts[index:])
            length += part.size
        return self, None

    def items(self) -> Iterator[tuple[bytes, Part]]:
        """Yield the items, each with its bytes."""
        at = 0
        for part, size in [(part, part.size) for part in self.parts]:  # (who gets a part may change it)
            yield self.data[at : at + size], part
            at += size

    def leave_out(self, layout: Layout, images: float = math.inf, size: int = 0) -> tuple[int, int]:
        """Leave out images, the first ones first, and return how many, and how many of them left a blank one.

        Args:
            layout: How they are written.
            images: How many are enough, as soon as they make up ``size``; all go where not given.
            size: Bytes that are enough.
        """
        kept: list[bytes] = []
        total = freed = left = 0
        for data, part in self.items():
            if total >= images and freed >= size:
                kept.append(data)
                continue
            less, lost, blanks = layout.without_images(data, images - total, size - freed)
            total += lost
            left += blanks
            freed += len(data) - len(less)
            part.size, part.images, part.blanks = len(less), part.images - lost, part.blanks + blanks
            kept.append(less)
        self.data = b"".join(kept)
        return total, left
