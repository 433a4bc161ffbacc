"""How Anthropic's Messages API writes a history: messages of content blocks, with cache marks that move on."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

from deskhand.harness.models.layout import ImageForm, Item, Layout

__all__ = ["MESSAGES", "assistant_item", "encode_image", "user_item"]

CACHE_MARK: Final = b',"cache_control":{"type":"ephemeral"}'
MOVING_MARKS: Final = 3
"""Cache marks behind user items; the fourth that the API allows stands at the end of the fixed part."""

_IMAGE: Final = b'{"type":"image","source":{"type":"base64","media_type":"'
_IMAGE_END: Final = b'"}'
"""The end of an image but for its last brace, which is behind the place for a cache mark."""

_STUB: Final = b'{"type":"text","text":"[an older screenshot was left out]"'

_REMARK: Final = b'},{"type":"text","text":"[the oldest part of what followed was left out]"'

MESSAGES: Final = Layout(
    key="messages",
    images=(ImageForm(_IMAGE, _IMAGE_END, _STUB),),
    mark=CACHE_MARK,
    remark=_REMARK,
    recent=MOVING_MARKS,
)
"""How a request to the Messages API is laid out."""


def encode_image(data: bytes, mime: str) -> bytes:
    """Encode an image block."""
    head = _IMAGE + mime.encode() + b'","data":"'
    return b"".join((head, binascii.b2a_base64(data, newline=False), _IMAGE_END, b"}"))


def user_item(blocks: Sequence[bytes], *, images: int = 0) -> Item:
    """Make a user message of encoded blocks; a mark would stand at the end of the last."""
    last = memoryview(blocks[-1])[:-1]
    between = [piece for block in blocks[:-1] for piece in (block, b",")]
    return Item("user", b"".join((b'{"role":"user","content":[', *between, last)), b"}]}", images)


def assistant_item(content: bytes) -> Item:
    """Make an assistant message of its encoded content."""
    return Item("assistant", b'{"role":"assistant","content":' + content + b"}")
