"""Capture the screen through shared memory."""

from __future__ import annotations

import ctypes
import os

import anyio
import anyio.to_thread
import xcffib
from xcffib.xproto import ImageFormat as XImageFormat

from deskhand.errors import ComputerGoneError, ConfigError
from deskhand.providers.contract import Region, Screen
from deskhand.providers.local.encode import Cursor, FrameEncoder
from deskhand.providers.local.xconnection import XConnection
from deskhand.providers.pictures import ImageFormat, check_region

__all__ = ["ScreenCapture"]

_IPC_PRIVATE, _IPC_RMID, _IPC_CREAT = 0, 0, 0o1000
_ALL_PLANES = 0xFFFFFFFF
_FAILED = ctypes.c_void_p(-1).value


class _Segment:
    """A System V shared memory segment."""

    def __init__(self, size: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.shmat.restype = ctypes.c_void_p
        self._libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        self._libc.shmdt.argtypes = (ctypes.c_void_p,)
        self.id: int = self._libc.shmget(_IPC_PRIVATE, size, _IPC_CREAT | 0o600)
        if self.id < 0:
            raise _no_shared_memory()
        self._address: int = self._libc.shmat(self.id, None, 0)
        if self._address == _FAILED:
            self.mark_for_removal()
            raise _no_shared_memory()
        self.memory = memoryview((ctypes.c_ubyte * size).from_address(self._address)).cast("B")

    def mark_for_removal(self) -> None:
        """Have the kernel remove the segment once nobody is attached: no crash leaks it."""
        self._libc.shmctl(self.id, _IPC_RMID, None)

    def detach(self) -> None:
        self.memory.release()
        self._libc.shmdt(self._address)


def _no_shared_memory() -> ConfigError:
    return ConfigError(
        f"no shared memory for the screen: {os.strerror(ctypes.get_errno())}",
        hint="raise kernel.shmmax and kernel.shmall, or use a smaller screen",
    )


class ScreenCapture:
    """Captures and encodes frames of one screen into buffers that are kept; one capture at a time."""

    def __init__(self, connection: XConnection) -> None:
        self._connection = connection
        self._lock = anyio.Lock()
        self._segment: _Segment | None = None
        self._x_segment = 0
        self._screen = Screen(0, 0)
        self._encoder = FrameEncoder(0, 0)

    async def resize(self, screen: Screen) -> None:
        """Make the buffers for a screen of that size."""
        async with self._lock:
            segment = _Segment(screen.width * screen.height * 4)
            identifier = self._connection.new_id()
            try:
                await self._attach(segment, identifier)
            except BaseException:  # cancellation too: the memory is ours to give back
                segment.detach()
                raise
            finally:
                segment.mark_for_removal()
            if self._segment is not None:
                self._connection.shm.Detach(self._x_segment)
            self._release()
            self._segment, self._x_segment, self._screen = segment, identifier, screen
            self._encoder = FrameEncoder(*screen)

    async def capture(self, region: Region | None, *, cursor: bool, form: ImageFormat) -> bytes:
        """Capture a region, or all of the screen, and encode it.

        Raises:
            InvalidInputError: If the region is empty or not within the screen.
        """
        region = region or Region(0, 0, *self._screen)
        check_region(region, self._screen)
        width, height = region.right - region.left, region.bottom - region.top
        async with self._lock:
            segment = self._segment
            if segment is None:
                raise ComputerGoneError("the computer has no screen any more: it was closed", effect="no")
            drawn = await self._pointer(region) if cursor else None
            await self._connection.reply(
                self._connection.shm.GetImage(
                    self._connection.root,
                    *(region.left, region.top, width, height),
                    *(_ALL_PLANES, XImageFormat.ZPixmap, self._x_segment, 0),
                )
            )
            frame = segment.memory[: width * height * 4]
            try:
                return await anyio.to_thread.run_sync(self._encoder.encode, frame, width, height, drawn, form)
            finally:
                frame.release()

    async def aclose(self) -> None:
        """Give the memory back, once nobody reads it; the connection is closed before, so that nobody waits for it."""
        async with self._lock:
            self._release()

    async def _pointer(self, region: Region) -> Cursor:
        image = await self._connection.reply(self._connection.fixes.GetCursorImage())
        left, top = image.x - image.xhot - region.left, image.y - image.yhot - region.top
        return Cursor(left, top, image.width, image.height, list(image.cursor_image))

    async def _attach(self, segment: _Segment, identifier: int) -> None:
        request = self._connection.shm.Attach(identifier, segment.id, False, is_checked=True)
        answered = (
            self._connection.core.GetInputFocus()
        )  # a request without a reply is known to be done by the next one
        try:
            await self._connection.reply(answered)
            await self._connection.reply(request)
        except xcffib.Error as error:
            raise ConfigError(
                f"the X server cannot share memory with this process ({error!r})",
                hint="run both in one IPC namespace, as one user",
            ) from error

    def _release(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.detach()
