"""Files of a host: looked at and put in their place by commands; what is large goes over the vendor's routes."""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import quote

from deskhand.errors import FileMissingError, PayloadTooLargeError, UnsupportedError
from deskhand.providers.http.forms import file_form
from deskhand.providers.opencomputers.api import NAME, HostApi
from deskhand.providers.shell_commands import ShellCommands
from deskhand.providers.shell_files import ShellFiles

__all__ = ["HostFiles"]

_ROUTE: Final = "fs"


class HostFiles(ShellFiles):
    """The files of one host.

    Args:
        api: The API.
        host_id: The host.
        commands: Runs scripts there.
    """

    def __init__(self, api: HostApi, host_id: str, commands: ShellCommands) -> None:
        super().__init__(NAME, commands)
        self._api = api
        self._host_id = host_id

    async def _fetched(self, path: str, copy: str, length: int, part: int) -> bytes:
        """Fetch a copy over the route for downloads; by commands where there is none, or it does not see the copy."""
        if _ROUTE not in self._api.missing:
            where = f"fs/download?path={quote(copy, safe='')}"
            with suppress(UnsupportedError, FileMissingError):
                return (await self._api.ask("download a file", self._host_id, where)).data
        return await super()._fetched(path, copy, length, part)

    async def _put(self, path: str, place: str, content: bytes) -> None:
        """Write a content over the route for uploads; by commands where there is none, or it takes no more."""
        if _ROUTE not in self._api.missing:
            body, kind = file_form(place, content)
            with suppress(UnsupportedError, PayloadTooLargeError):
                await self._api.ask("upload a file", self._host_id, "fs/upload", content=body, headers=[kind])
                return
        await super()._put(path, place, content)
