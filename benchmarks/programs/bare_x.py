"""The least that a screenshot, a click and typing take: blocking requests to the X server, nothing around them."""

from __future__ import annotations

import ctypes
import zlib
from typing import Any

import xcffib
import xcffib.shm
import xcffib.xproto as x
import xcffib.xtest

_client: Any = xcffib


class BareX:
    """A connection and a shared segment, for one screen."""

    def __init__(self, width: int, height: int) -> None:
        self._connection = _client.connect()
        self._test = self._connection(xcffib.xtest.key)
        self._shm = self._connection(xcffib.shm.key)
        self._root = self._connection.get_setup().roots[0].root
        self._size = (width, height)
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(0, width * height * 4, 0o1600)
        address = libc.shmat(segment, None, 0)
        self._memory = memoryview((ctypes.c_ubyte * (width * height * 4)).from_address(address)).cast("B")
        self._segment = self._connection.generate_id()
        self._shm.Attach(self._segment, segment, False)
        self._connection.core.GetInputFocus().reply()
        libc.shmctl(segment, 0, None)
        self._scanlines = bytearray(height * (1 + 3 * width))
        self._keycodes = self._keys()

    def _keys(self) -> dict[str, int]:
        setup = self._connection.get_setup()
        first = setup.min_keycode
        table = self._connection.core.GetKeyboardMapping(first, setup.max_keycode - first + 1).reply()
        per, keysyms = table.keysyms_per_keycode, list(table.keysyms)
        return {chr(keysyms[at]): first + at // per for at in range(0, len(keysyms), per) if keysyms[at] < 0x100}

    def screenshot(self) -> bytes:
        """Capture the screen and encode it as the PNG's one compressed chunk."""
        import numpy
        from isal import isal_zlib

        width, height = self._size
        request = (self._root, 0, 0, width, height, 0xFFFFFFFF, x.ImageFormat.ZPixmap, self._segment, 0)
        self._shm.GetImage(*request).reply()
        source = numpy.frombuffer(self._memory, numpy.uint8).reshape(height, width, 4)
        target = numpy.ndarray((height, width, 3), numpy.uint8, self._scanlines, 1, (1 + 3 * width, 3, 1))
        for channel in range(3):
            target[..., channel] = source[..., 2 - channel]
        data: bytes = isal_zlib.compress(self._scanlines, 1)
        zlib.crc32(data)
        return data

    def has_window_manager(self) -> bool:
        """Whether a window manager says that it is there."""
        core, name = self._connection.core, "_NET_SUPPORTING_WM_CHECK"
        atom = core.InternAtom(False, len(name), name).reply().atom
        return bool(core.GetProperty(False, self._root, atom, 0, 0, 1).reply().value_len)

    def click(self, px: int, py: int) -> None:
        """Move, press, release."""
        for kind, detail in ((6, 0), (4, 1), (5, 1)):
            self._test.FakeInput(kind, detail, 0, self._root, px, py, 0)
        self._connection.core.GetInputFocus().reply()

    def type(self, text: str) -> None:
        """Press and release a key for each character, all of which have one of their own."""
        for character in text:
            for kind in (2, 3):
                self._test.FakeInput(kind, self._keycodes[character], 0, self._root, 0, 0, 0)
        self._connection.core.GetInputFocus().reply()
