"""How OpenAI's APIs write a history: Responses items and Chat messages, with images as data URLs."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from deskhand.harness.models.adapter import Json
from deskhand.harness.models.layout import ImageForm, Item, Layout
from deskhand.harness.models.transcript import encode_json
from deskhand.tools.formats import BLANK

__all__ = ["ChatForm", "ResponsesForm", "chat_chunk", "joined"]

_LEFT_OUT: Final = "[an older screenshot was left out]"

_FORGOTTEN: Final = b',{"role":"user","content":"[the oldest part of what followed was left out]"}'
"""A message behind the first one, of which both APIs have the same short form."""

_NO_SCREENSHOT: Final = b'{"image_url":"data:image/png;base64,' + BLANK.encode() + b'","type":"computer_screenshot"}'
"""Its fields are in another order than those of a screenshot, so that it is not taken for one."""


def _whole(text: str) -> str:
    """Return a text without half characters, which have no UTF-8."""
    return text.encode(errors="replace").decode()


def _data_url(data: bytes, mime: str) -> bytes:
    return b"".join((mime.encode(), b";base64,", binascii.b2a_base64(data, newline=False)))


class ResponsesForm:
    """Writes the items of the Responses API.

    Args:
        detail: How closely the model is to look at an image; left to it where not given.
    """

    layout: Layout

    def __init__(self, detail: str | None) -> None:
        shown = f'"detail":"{detail}",' if detail else ""
        self._image: bytes = f'{{"type":"input_image",{shown}"image_url":"data:'.encode()
        self._screenshot: bytes = b'{"type":"computer_screenshot","image_url":"data:'
        stub = encode_json({"type": "input_text", "text": _LEFT_OUT})
        self.layout = Layout(
            key="input",
            images=(
                ImageForm(self._image, b'"}', stub),
                ImageForm(self._screenshot, b'"}', _NO_SCREENSHOT, blank=True),
            ),
            remark=_FORGOTTEN,
        )

    def text(self, text: str) -> bytes:
        """Encode a text."""
        return encode_json({"type": "input_text", "text": _whole(text)})

    def image(self, data: bytes, mime: str) -> bytes:
        """Encode an image of a message or of a function's output."""
        return b"".join((self._image, _data_url(data, mime), b'"}'))

    def screenshot(self, data: bytes | None, mime: str) -> bytes:
        """Encode the output of a computer call; a black square where there is no screenshot."""
        return _NO_SCREENSHOT if data is None else b"".join((self._screenshot, _data_url(data, mime), b'"}'))

    def message(self, parts: Sequence[bytes]) -> bytes:
        """Encode what the user says."""
        return b'{"role":"user","content":[' + b",".join(parts) + b"]}"

    def function_output(self, call_id: str, text: str, image: bytes | None) -> bytes:
        """Encode the output of a function: a text, or a text and an image."""
        if image is None:
            return encode_json({"type": "function_call_output", "call_id": call_id, "output": _whole(text)})
        parts = [self.text(text), image] if text else [image]
        head = encode_json({"type": "function_call_output", "call_id": call_id})[:-1]
        return b"".join((head, b',"output":[', b",".join(parts), b"]}"))

    def computer_output(self, call_id: str, screenshot: bytes, acknowledged: Sequence[JsonValue]) -> bytes:
        """Encode the output of a computer call, with the safety checks that a person has approved."""
        head = encode_json({"type": "computer_call_output", "call_id": call_id})[:-1]
        tail = b""
        if acknowledged:
            tail = b',"acknowledged_safety_checks":' + encode_json(list(acknowledged))
        return b"".join((head, b',"output":', screenshot, tail, b"}"))


class ChatForm:
    """Writes the messages of the Chat Completions API.

    Args:
        detail: How closely the model is to look at an image; left to it where not given.
    """

    layout: Layout

    def __init__(self, detail: str | None) -> None:
        shown = f'"detail":"{detail}",' if detail else ""
        self._image: bytes = f'{{"type":"image_url","image_url":{{{shown}"url":"data:'.encode()
        stub = encode_json({"type": "text", "text": _LEFT_OUT})
        self.layout = Layout(
            key="messages",
            images=(ImageForm(self._image, b'"}}', stub),),
            remark=_FORGOTTEN,
        )

    def text(self, text: str) -> bytes:
        """Encode a text."""
        return encode_json({"type": "text", "text": _whole(text)})

    def image(self, data: bytes, mime: str) -> bytes:
        """Encode an image; only what the user says may hold one."""
        return b"".join((self._image, _data_url(data, mime), b'"}}'))

    def message(self, parts: Sequence[bytes]) -> bytes:
        """Encode what the user says."""
        return b'{"role":"user","content":[' + b",".join(parts) + b"]}"

    def tool_message(self, call_id: str, text: str) -> bytes:
        """Encode the output of a function."""
        return encode_json({"role": "tool", "tool_call_id": call_id, "content": _whole(text)})


def joined(entries: Sequence[bytes], *, images: int = 0, blanks: int = 0) -> Item:
    """Make one item of several entries of a history."""
    return Item("user", b",".join(entries), images=images, blanks=blanks)


def chat_chunk(message: Json, finish_reason: JsonValue) -> Json:
    """Return the chunk in which a whole message of Chat Completions would have come."""
    delta: Json = {name: value for name, value in message.items() if value is not None}
    given = message.get("tool_calls")
    calls = [
        {**call, "index": index}
        for index, call in enumerate(given if isinstance(given, list) else [])
        if isinstance(call, dict)
    ]
    if calls:
        delta["tool_calls"] = list[JsonValue](calls)
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
