"""The key names that the vendor's desktop knows: those of its documents, and those of X11."""

from __future__ import annotations

from deskhand.testing.simulators.keysyms import MODIFIER_NAMES, key_named
from deskhand.testing.simulators.wire import ApiError

__all__ = ["canonical_chord"]


def canonical_chord(key: str) -> str:
    """Returns the chord in the names of the machine behind.

    Raises:
        ApiError: If a key has no such name with the vendor.
    """
    parts = key.split("+")
    if not all(parts):
        raise ApiError(400, f"Invalid key: {key}")
    named: list[str] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        name = MODIFIER_NAMES.get(part) or (key_named(part) if last else None)
        if name is None:
            raise ApiError(500, f"No such key name '{part}'", upstream_status=500)
        named.append(name)
    return "+".join(named)
