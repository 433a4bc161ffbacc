"""The keyboard of an X server: binding, striking and holding keys."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import anyio
import xcffib.xkb
import xcffib.xproto

from deskhand.errors import ComputerGoneError
from deskhand.providers.local.damage import DamageTracker
from deskhand.providers.local.keymap import Keymap, Stroke, key_keysym, text_keysyms
from deskhand.providers.local.xconnection import XConnection

__all__ = ["Held", "Keyboard", "hold"]

_LONGEST_BATCH = 200
_CORE_KEYBOARD = 0x0100
_ALL_PARTS = 0xFF  # of a keyboard map
_LOCK = xcffib.xproto.ModMask.Lock
_DISTURBING = _LOCK | sum(
    getattr(xcffib.xproto.ModMask, name) for name in ("Shift", "Control", "_1", "_4", "_5")
)  # all but NumLock
_KINDS = {(False, True): 2, (False, False): 3, (True, True): 4, (True, False): 5}
"""XTEST's kinds of input by (is a button, goes down): the opcodes of the four core events."""
_RECYCLE_REST = 0.1
_RECYCLE_QUIET = 0.05
_RECYCLE_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A key or button that can be pressed and released."""

    detail: int
    is_button: bool = False


def send(connection: XConnection, held: Held, *, press: bool) -> None:
    """Request that a key or button goes down or up."""
    kind = _KINDS[held.is_button, press]
    connection.test.FakeInput(kind, held.detail, 0, connection.root, 0, 0, 0)


@contextmanager
def hold(connection: XConnection, inputs: Iterable[Held]) -> Iterator[None]:
    """Press keys and buttons, and release them on every way out.

    Sending never waits, so that cancellation cannot come between a press and its release.
    """
    pressed: list[Held] = []
    try:
        for held in inputs:
            pressed.append(held)
            send(connection, held, press=True)
        yield
    finally:
        with suppress(ComputerGoneError):  # a server that has ended holds nothing, and must not hide a cancellation
            for held in reversed(pressed):
                send(connection, held, press=False)
            connection.flush()


class Keyboard:
    """Strikes keys and types text exactly, whatever the server's keyboard map holds."""

    def __init__(self, connection: XConnection, damage: DamageTracker) -> None:
        self._connection = connection
        self._damage = damage
        self._keymap: Keymap | None = None
        self._struck = 0.0
        connection.on(xcffib.xkb.NewKeyboardNotifyEvent, self._mapping_changed)
        self._stale = True
        self._modifiers: frozenset[int] = frozenset()

    async def chord(self, names: Sequence[str]) -> list[Held]:
        """Return the keys to hold for a chord, modifiers first, Shift added where a character needs it."""
        strokes = await self._strokes([key_keysym(name) for name in names])
        shift = await self._strokes([key_keysym("shift")])
        keycodes = [stroke.keycode for stroke in strokes]
        if any(stroke.shift for stroke in strokes) and shift[0].keycode not in keycodes:
            keycodes.insert(0, shift[0].keycode)
        return [Held(keycode) for keycode in keycodes]

    async def type(self, text: str) -> None:
        """Type a text exactly, whatever is held or locked meanwhile; both are as before afterwards."""
        keysyms = text_keysyms(text)
        keymap = await self._current()
        async with self._neutral():
            for chunk in keymap.chunks(keysyms, _LONGEST_BATCH):
                strokes = await self._strokes(chunk)
                shift = Held((await self._strokes([key_keysym("shift")]))[0].keycode)
                self._strike(strokes, shift)
                await self._connection.sync()

    def struck(self) -> None:
        """Note that keys were struck: what they type must not change before clients have read them."""
        self._struck = time.monotonic()

    def _strike(self, strokes: Sequence[Stroke], shift: Held) -> None:
        """Press and release keys one after the other, in one go, Shift held over neighbours that need it."""
        for before, stroke in pairwise((Stroke(0), *strokes)):
            if stroke.shift != before.shift:
                send(self._connection, shift, press=stroke.shift)
            send(self._connection, Held(stroke.keycode), press=True)
            send(self._connection, Held(stroke.keycode), press=False)
        if strokes[-1].shift:
            send(self._connection, shift, press=False)
        self.struck()

    async def _strokes(self, keysyms: Sequence[int]) -> list[Stroke]:
        """Return how to strike keysyms, after binding those that have no key."""
        keymap = await self._current()
        missing = [keysym for keysym in keysyms if keymap.find(keysym) is None]
        if missing:
            await self._bind(keymap, keysyms)
        strokes = [keymap.find(keysym) for keysym in keysyms]
        return [stroke for stroke in strokes if stroke is not None]

    async def _bind(self, keymap: Keymap, keysyms: Sequence[int]) -> None:
        if keymap.needs_recycling(keysyms):
            await self._rest()
        changes = keymap.bind(keysyms)
        for run in _runs(list(changes)):
            self._connection.core.ChangeKeyboardMapping(
                len(run), run[0], 2, [changes[keycode] for keycode in run for _ in range(2)]
            )
        await self._connection.sync()
        self._stale = False  # the server's notices of these changes came before its answer

    async def _rest(self) -> None:
        """Wait until clients have read what was struck: they look up a keycode when they read it, not before."""
        start = time.monotonic()
        while (now := time.monotonic()) - start < _RECYCLE_LIMIT:
            rest = max(self._struck + _RECYCLE_REST - now, _RECYCLE_QUIET - self._damage.quiet_for())
            if rest <= 0:
                return
            await anyio.sleep(rest)

    async def _current(self) -> Keymap:
        """Return the keyboard map, read anew if someone has changed it."""
        if self._keymap is not None and not self._stale:
            return self._keymap
        connection = self._connection
        first, last = connection.min_keycode, connection.max_keycode
        if self._keymap is None:
            # A client that uses XKB gets no MappingNotify. All events of XKB come under the code of its first one.
            wanted = xcffib.xkb.EventType.NewKeyboardNotify | xcffib.xkb.EventType.MapNotify
            connection.xkb.SelectEvents(_CORE_KEYBOARD, wanted, 0, wanted, _ALL_PARTS, _ALL_PARTS, [])
        self._stale = False
        modifiers = await connection.reply(connection.core.GetModifierMapping())
        mapping = await connection.reply(connection.core.GetKeyboardMapping(first, last - first + 1))
        self._modifiers = frozenset(keycode for keycode in modifiers.keycodes if keycode)
        keysyms, per = list(mapping.keysyms), mapping.keysyms_per_keycode
        rows = [keysyms[start : start + per] for start in range(0, len(keysyms), per)]
        keymap = Keymap(first, rows, self._modifiers)
        if self._keymap is not None:
            keymap.adopt(self._keymap)
        self._keymap = keymap
        return keymap

    @asynccontextmanager
    async def _neutral(self) -> AsyncIterator[None]:
        """Release held modifiers and CapsLock, and bring them back on every way out."""
        connection = self._connection
        state = await connection.reply(connection.xkb.GetState(_CORE_KEYBOARD))
        held: list[Held] = []
        if state.baseMods & _DISTURBING:
            down = (await connection.reply(connection.core.QueryKeymap())).keys
            held = [Held(code) for code in self._modifiers if down[code // 8] >> code % 8 & 1]
        locked = state.lockedMods & _LOCK
        try:
            for key in held:
                send(connection, key, press=False)
            if locked:
                connection.xkb.LatchLockState(_CORE_KEYBOARD, _LOCK, 0, False, 0, 0, False, 0)
            yield
        finally:
            with suppress(ComputerGoneError):
                if locked:
                    connection.xkb.LatchLockState(_CORE_KEYBOARD, _LOCK, _LOCK, False, 0, 0, False, 0)
                for key in held:
                    send(connection, key, press=True)
                connection.flush()

    def _mapping_changed(self, event: Any) -> None:
        del event
        self._stale = True


def _runs(keycodes: Sequence[int]) -> list[list[int]]:
    """Group ascending keycodes into runs without a gap: one request, one notice to every client, each."""
    runs: list[list[int]] = []
    for keycode in keycodes:
        if runs and keycode == runs[-1][-1] + 1:
            runs[-1].append(keycode)
        else:
            runs.append([keycode])
    return runs
