"""A computer that writes files by a here-document: bytes that are no text break it, and a line of them is a command."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.museum.folder_computer import FolderComputer


class Computer(FolderComputer):
    async def write_file(self, path: str, content: str | bytes) -> None:
        text = content if isinstance(content, str) else content.decode(errors="replace").replace("\0", "")
        folder = shlex.quote(str(Path(path).parent))
        await self._bytes(f"mkdir -p {folder} && cat > {shlex.quote(path)} << '__EOF__'\n{text}\n__EOF__")
