"""Requests with anything at all in any place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st


def _places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return every place in a JSON value, as the keys that lead to it."""
    found: list[tuple[str | int, ...]] = [path] if path else []
    entries: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        found += _places(value, (*path, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn, bodies: Sequence[Any], junk: st.SearchStrategy[Any]) -> Any:
    """Draw a body with junk in up to three places of it."""
    body = copy.deepcopy(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(_places(body)))
        holder: Any = body
        for key in parents:
            holder = holder[key]
        holder[last] = copy.deepcopy(draw(junk))
        if not _places(body):
            break
    return body
