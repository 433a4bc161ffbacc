"""What every computer of a vendor is: known as its vendor last told it, with files, and gone once that is noticed."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Protocol

from deskhand.errors import ComputerGoneError, DeskhandError, ProtocolError
from deskhand.providers.contract import Capability, ComputerInfo, ComputerStatus, ExternalComputer, FileInfo, Region
from deskhand.providers.pictures import ImageFormat, check_region, image_format, size_of

__all__ = ["HostedComputer", "HostedFiles"]


class HostedFiles(Protocol):
    """The files of one computer, whichever way its vendor has to them."""

    async def read(self, path: str) -> bytes:
        """Read a regular file."""
        ...

    async def write(self, path: str, content: bytes) -> None:
        """Write a file and put it in its place at once."""

    async def list(self, path: str) -> builtins.list[FileInfo]:
        """List a directory, sorted by name."""
        ...

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""
        ...

    async def delete(self, path: str, *, recursive: bool) -> None:
        """Delete what is there."""


class HostedComputer(ExternalComputer):
    """A computer that is its vendor's: derive from it in place of `ExternalComputer`.

    An adapter sets ``_info`` and ``_files``, does whatever it asks the vendor for inside ``_noticing()``, and says in
    ``_notice`` what it learns from an error.
    """

    gone_words: ClassVar[str] = "the {provider} computer {id} is destroyed"
    """What is said of it when it is no more."""

    _info: ComputerInfo
    _files: HostedFiles
    _is_ended = False

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of the last time that its vendor told."""
        return self._info

    @property
    def is_ended(self) -> bool:
        """Whether it was ended for certain, which a computer that its vendor did not find once may not be."""
        return self._is_ended

    def _check_there(self) -> None:
        """Refuse what is asked of a computer that is no more.

        Raises:
            ComputerGoneError: If it is.
        """
        info = self._info
        if info.status is ComputerStatus.DESTROYED:
            said = self.gone_words.format(provider=info.provider, id=info.id)
            raise ComputerGoneError(said, effect="no", provider=info.provider)

    def _check(self, *capabilities: Capability) -> None:
        self._check_there()
        self.require(*capabilities)

    def _check_picture(self, region: Region | None, form: str) -> ImageFormat:
        """Refuse a picture that cannot be taken, and return its format.

        Raises:
            InvalidInputError: If it is of no part of the screen, or there is no such format.
        """
        self._check(Capability.SCREENSHOT, *([Capability.REGION] if region is not None else []))
        if region is not None and self._info.screen is not None:
            check_region(region, self._info.screen)
        return image_format(form)

    def _seen(self, picture: bytes, region: Region | None = None) -> bytes:
        """Return a picture that the vendor took of a part of the screen or of all of it, which tells the screen's size.

        Raises:
            ProtocolError: If it is none, or that of a part has another size.
        """
        provider = self._info.provider
        size = size_of(picture, provider)
        if region is None:
            if size != self._info.screen:
                self._info = replace(self._info, screen=size)
        elif size != (region.right - region.left, region.bottom - region.top):
            said = f"{provider} sent a picture of {size.width}x{size.height} for a part of another size"
            raise ProtocolError(said, provider=provider, effect="no")
        return picture

    def _noticing(self, capability: Capability | None = None) -> Noticing:
        """Return a block that learns from the errors of what is done in it, for the sake of a capability."""
        return Noticing(self, capability)

    async def _notice(self, error: DeskhandError, capability: Capability | None) -> None:
        """Learn from an error, or raise another one in its place; by default nothing is learnt."""

    def _notice_gone(self) -> None:
        """Note that the vendor knows the computer no more."""
        self._info = replace(self._info, status=ComputerStatus.DESTROYED)

    async def _notice_if_gone(self, is_there: Callable[[str], Awaitable[bool]]) -> None:
        """Ask whether it is gone, as an error that says so may mean another one, which had to do with it.

        Args:
            is_there: Asks the vendor for the computer with an id.
        """
        if self._info.status is ComputerStatus.DESTROYED:
            return
        with suppress(DeskhandError):  # nobody can tell: its next use will
            if not await is_there(self._info.id):
                self._notice_gone()

    async def read_bytes(self, path: str) -> bytes:
        """Read a regular file, at most 100 MiB."""
        self._check(Capability.FILES)
        async with self._noticing(Capability.FILES):
            return await self._files.read(path)

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte and put it in its place at once; a link is written through."""
        self._check(Capability.FILES)
        async with self._noticing(Capability.FILES):
            await self._files.write(path, content.encode() if isinstance(content, str) else content)

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name; links are told as such."""
        self._check(Capability.FILES)
        async with self._noticing(Capability.FILES):
            return await self._files.list(path)

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is; a link is told as such."""
        self._check(Capability.FILES)
        async with self._noticing(Capability.FILES):
            return await self._files.stat(path)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, an empty directory, or with ``recursive`` a directory and all in it."""
        self._check(Capability.FILES)
        async with self._noticing(Capability.FILES):
            await self._files.delete(path, recursive=recursive)


class Noticing:
    """A block in which a computer learns from errors; a class of its own, as every call goes through one."""

    __slots__ = ("_capability", "_computer")

    def __init__(self, computer: HostedComputer, capability: Capability | None) -> None:
        self._computer = computer
        self._capability = capability

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        """Let the computer learn from what went wrong."""
        if isinstance(error, DeskhandError):
            await self._computer._notice(error, self._capability)
