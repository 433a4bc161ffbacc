"""A history as the floors keep it: fragments encoded once, and where old frames may go, their stubs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from measuring import arguments

_WRITE = 65_536
_KEPT, _MOST = 3, 28
"""Frames that stay when old ones go, and frames that come together before that."""


async def sent(fragments: list[bytes]) -> AsyncIterator[bytes]:
    """Yield what is written, one write each."""
    for fragment in fragments:
        yield fragment


class History:
    """What has been said so far, encoded.

    Args:
        head: The beginning of every request.
    """

    def __init__(self, head: bytes) -> None:
        self._fragments = [head]
        self._stubs = [head]
        self._prunes: bool = arguments().get("prune", False)

    def add(self, new: bytes, stub: bytes) -> None:
        """Append a turn, given with its frame and without."""
        if not self._prunes and len(self._fragments[-1]) < _WRITE:  # a write costs more than a copy of so little
            new = self._fragments.pop() + new
        self._fragments.append(new)
        if self._prunes:
            self._stubs.append(stub)
            whole = [at for at, each in enumerate(self._fragments[1:], 1) if each is not self._stubs[at]]
            if len(whole) > _MOST:
                for at in whole[:-_KEPT]:
                    self._fragments[at] = self._stubs[at]

    def body(self, end: bytes) -> list[bytes]:
        """Return the fragments of a request."""
        return [*self._fragments, end]
