"""Files: looked at and put in their place by commands, their content over the server's own ways to read and write."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from deskhand.errors import ProtocolError
from deskhand.providers.cua.api import NAME
from deskhand.providers.cua.commands import CuaCommands
from deskhand.providers.cua.server import CuaServer
from deskhand.providers.shell_files import ShellFiles

__all__ = ["CuaFiles"]

_PART: Final = 4 << 20
"""Bytes that travel at once; a message holds 10 MiB, and base64 makes three bytes four."""


class CuaFiles(ShellFiles):
    """The files of one computer; large ones go over `read_bytes` and `write_bytes`, in parts."""

    def __init__(self, server: CuaServer, commands: CuaCommands) -> None:
        super().__init__(NAME, commands)
        self._server = server

    async def _fetched(self, path: str, copy: str, length: int, part: int) -> bytes:
        """Fetch a copy, which nobody changes, in parts of at most 4 MiB."""
        data = bytearray()
        while len(data) < length:
            wanted = min(max(part, _PART), length - len(data))
            params = {"path": copy, "offset": len(data), "length": wanted}
            piece = _decoded((await self._server.ask("fetch a part of a file", params)).get("content_b64"), path)
            if not 0 < len(piece) <= wanted:
                raise self._garbled(path)
            data += piece
        return bytes(data)

    async def _put(self, path: str, place: str, content: bytes) -> None:
        """Append to an empty file of our own, in parts: one that nobody can be sure of spoils the whole."""
        try:
            place.encode()
        except UnicodeEncodeError:  # JSON has no words for such a name
            await super()._put(path, place, content)
            return
        for start in range(0, len(content), _PART):
            packed = base64.b64encode(content[start : start + _PART]).decode()
            await self._server.ask("append to a file", {"path": place, "content_b64": packed, "append": True})


def _decoded(text: object, path: str) -> bytes:
    try:
        if isinstance(text, str):
            return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        pass
    raise ProtocolError(f"{path} did not arrive as base64", provider=NAME, effect="no")
