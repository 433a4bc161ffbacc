"""Encrypted reasoning: what a stateless caller carries from turn to turn, and cannot change.

The content says which item it belongs to, which one follows, and which model made it, under a checksum. Nothing is
remembered, so that a conversation can go on at another fake.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

__all__ = ["Sealed", "seal", "unseal"]

MARK = "gAAAAA"
CHECKSUM = 12


@dataclass(frozen=True, slots=True)
class Sealed:
    """What encrypted reasoning holds.

    Attributes:
        model: The model that reasoned.
        item: The id of the reasoning item.
        follower: The id of the item that follows it; empty where none does.
        text: The reasoning.
        whole: Whether the item was complete when this was made.
    """

    model: str
    item: str
    follower: str
    text: str
    whole: bool = True


def seal(sealed: Sealed) -> str:
    """Returns encrypted content."""
    fields = [sealed.model, sealed.item, sealed.follower, sealed.text, sealed.whole]
    data = json.dumps(fields, ensure_ascii=False).encode(errors="surrogatepass")
    return MARK + base64.urlsafe_b64encode(_checksum(data) + data).decode()


def unseal(content: str) -> Sealed | None:
    """Returns what encrypted content holds, None where no fake made it."""
    if not content.startswith(MARK):
        return None
    try:
        data = base64.b64decode(content[len(MARK) :], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if _checksum(data[CHECKSUM:]) != data[:CHECKSUM]:
        return None
    model, item, follower, text, whole = json.loads(data[CHECKSUM:].decode(errors="surrogatepass"))
    return Sealed(model, item, follower, text, whole)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECKSUM, person=b"fake reasoning").digest()
