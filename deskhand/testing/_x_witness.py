"""A program that puts a window over an X screen and writes down every input event it receives, one JSON object a line.

It shares no code with what it checks: blocking calls, its own window, which the window manager treats like any other,
and the keyboard map looked up as applications do it, when an event is read. A line ``sync`` on its standard input is
answered when everything sent before has arrived: it sends a button of its own behind it, and waits for that. Nothing is
written before that: a full pipe would have it read the next events later, under another keyboard map than they came.
"""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any, Final

import xcffib
import xcffib.xproto as x
import xcffib.xtest

MARKER: Final = 10  # a button that nobody else presses
READY_DEADLINE: Final = 10.0
SYNC_DEADLINE: Final = 40.0  # a window manager takes its time over a changed keyboard, and holds clicks back meanwhile

_client: Any = xcffib
_MASK: Final = (
    x.EventMask.KeyPress
    | x.EventMask.KeyRelease
    | x.EventMask.ButtonPress
    | x.EventMask.ButtonRelease
    | x.EventMask.PointerMotion
    | x.EventMask.StructureNotify
)
_KINDS: Final = {2: "key_down", 3: "key_up", 4: "button_down", 5: "button_up", 6: "motion"}
_BUTTONS: Final = {
    1: "left",
    2: "middle",
    3: "right",
    4: "wheel_up",
    5: "wheel_down",
    6: "wheel_left",
    7: "wheel_right",
    8: "back",
    9: "forward",
}
_SHIFT, _LOCK, _CONTROL, _ALT, _NUM_LOCK, _SUPER, _LEVEL3 = 1, 2, 4, 8, 16, 64, 128
_MODIFIERS: Final = {_SHIFT: "shift", _CONTROL: "ctrl", _ALT: "alt", _SUPER: "super", _LEVEL3: "altgr"}
_NAMES: Final = {
    0x20: "space",
    0xFF08: "backspace",
    0xFF09: "tab",
    0xFE20: "tab",
    0xFF0D: "enter",
    0xFF1B: "escape",
    0xFFFF: "delete",
    0xFF63: "insert",
    0xFF50: "home",
    0xFF57: "end",
    0xFF55: "page_up",
    0xFF56: "page_down",
    0xFF51: "left",
    0xFF52: "up",
    0xFF53: "right",
    0xFF54: "down",
    0xFF67: "menu",
    0xFF13: "pause",
    0xFFE1: "shift",
    0xFFE2: "shift",
    0xFFE3: "ctrl",
    0xFFE4: "ctrl",
    0xFFE9: "alt",
    0xFFEA: "alt",
    0xFFE7: "alt",
    0xFFE8: "alt",
    0xFFEB: "super",
    0xFFEC: "super",
    0xFE03: "altgr",
    0xFFE5: "caps_lock",
    0xFF7F: "num_lock",
    0xFF14: "scroll_lock",
    0xFF61: "print_screen",
    0xFF8D: "kp_enter",
    0xFFAB: "kp_add",
    0xFFAD: "kp_subtract",
    0xFFAA: "kp_multiply",
    0xFFAF: "kp_divide",
    0xFFAE: "kp_decimal",
    **{0xFFB0 + n: f"kp_{n}" for n in range(10)},
    **{0xFFBE + n: f"f{n + 1}" for n in range(24)},
}
_TEXTS: Final = {"space": " ", "enter": "\n", "kp_enter": "\n", "tab": "\t", **{f"kp_{n}": str(n) for n in range(10)}}
_EURO: Final = 0x20AC


def character(keysym: int) -> str:
    """Return the character that a keysym stands for, or nothing."""
    if keysym & 0xFF000000 == 0x01000000:
        return chr(keysym & 0xFFFFFF)
    if keysym == _EURO:
        return "€"
    return chr(keysym) if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF else ""


def say(**fields: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Witness:
    """The window and what it has seen."""

    def __init__(self) -> None:
        self._connection = _client.connect()
        self._screen = self._connection.get_setup().roots[0]
        self._first = self._connection.get_setup().min_keycode
        self._core = self._connection.core
        self._test = self._connection(xcffib.xtest.key)
        self._window = self._connection.generate_id()
        self._down: dict[int, tuple[str, str]] = {}
        self._markers = 0
        self._unsaid: list[str] = []
        self._keysyms: list[int] = []
        self._per = 0

    def run(self) -> None:
        """Write down what comes, until standard input ends."""
        self._open()
        say(kind="ready")
        while True:
            self._drain()
            readable, _, _ = select.select([self._connection.get_file_descriptor(), sys.stdin], [], [])
            if sys.stdin in readable:
                if not sys.stdin.readline():
                    return
                self._sync()

    # The window

    def _open(self) -> None:
        """Cover the screen: full screen by the window manager where there is one, above everything where not."""
        is_managed = bool(self._property(self._screen.root, "_NET_SUPPORTING_WM_CHECK"))
        size = (self._screen.width_in_pixels, self._screen.height_in_pixels)
        self._core.CreateWindow(
            *(self._screen.root_depth, self._window, self._screen.root, 0, 0, *size, 0),
            *(x.WindowClass.InputOutput, self._screen.root_visual),
            *(x.CW.BackPixel | x.CW.OverrideRedirect | x.CW.EventMask, [0x336699, not is_managed, _MASK]),
        )
        if is_managed:
            full_screen = self._atom("_NET_WM_STATE_FULLSCREEN")
            state = self._atom("_NET_WM_STATE")
            self._core.ChangeProperty(x.PropMode.Replace, self._window, state, x.Atom.ATOM, 32, 1, [full_screen])
        self._core.MapWindow(self._window)
        self._read_keyboard()
        deadline = time.monotonic() + READY_DEADLINE
        while not self._covers():
            if time.monotonic() > deadline:
                sys.exit("the window does not cover the screen, or does not get the keyboard")
            time.sleep(0.01)

    def _covers(self) -> bool:
        """Whether the window lies over the whole screen and has the keyboard, which it takes where it can."""
        if self._core.GetWindowAttributes(self._window).reply().map_state != x.MapState.Viewable:
            return False
        self._take_focus()
        root = self._core.GetGeometry(self._screen.root).reply()
        mine = self._core.GetGeometry(self._window).reply()
        place = self._core.TranslateCoordinates(self._window, self._screen.root, 0, 0).reply()
        covers = (place.dst_x, place.dst_y, mine.width, mine.height) == (0, 0, root.width, root.height)
        return covers and self._has_focus()

    def _has_focus(self) -> bool:
        return bool(self._core.GetInputFocus().reply().focus == self._window)

    def _take_focus(self) -> None:
        if not self._has_focus():
            self._core.ConfigureWindow(self._window, x.ConfigWindow.StackMode, [x.StackMode.Above])
            self._core.SetInputFocus(x.InputFocus.PointerRoot, self._window, x.Time.CurrentTime)
            self._connection.flush()

    def _atom(self, name: str) -> int:
        return int(self._core.InternAtom(False, len(name), name).reply().atom)

    def _property(self, window: int, name: str) -> bytes:
        reply = self._core.GetProperty(False, window, self._atom(name), x.Atom.Any, 0, 64).reply()
        return bytes(reply.value.buf())

    # What arrives

    def _sync(self) -> None:
        """Answer once everything that was sent has arrived: what is frozen by a grab comes before the marker too."""
        wanted = self._markers + 1
        for kind in (4, 5):
            self._test.FakeInput(kind, MARKER, 0, 0, 0, 0, 0)
        self._connection.flush()
        deadline = time.monotonic() + SYNC_DEADLINE
        while self._markers < wanted:
            self._drain()
            left = deadline - time.monotonic()
            if self._markers < wanted:
                if left <= 0:
                    sys.exit("a button of its own did not reach the window: something else lies over it")
                select.select([self._connection.get_file_descriptor()], [], [], min(left, 0.05))
        self._core.GetInputFocus().reply()
        self._drain()
        self._take_focus()
        sys.stdout.writelines(self._unsaid)
        self._unsaid.clear()
        say(kind="synced")

    def _drain(self) -> None:
        while (event := self._connection.poll_for_event()) is not None:
            if isinstance(event, x.MappingNotifyEvent):
                self._read_keyboard()
                continue
            kind = _KINDS.get(event.response_type & 127)
            if kind is None:
                continue
            if kind.startswith("button") and event.detail == MARKER:
                self._markers += kind == "button_up"
                continue
            name, text = self._named(kind, event)
            received = {
                "kind": kind,
                "name": name,
                "text": text if kind == "key_down" else "",
                "x": event.root_x,
                "y": event.root_y,
                "modifiers": [modifier for bit, modifier in _MODIFIERS.items() if event.state & bit],
                "time": event.time / 1000,
            }
            self._unsaid.append(json.dumps(received) + "\n")

    def _named(self, kind: str, event: Any) -> tuple[str, str]:
        if kind == "motion":
            return "", ""
        if kind.startswith("button"):
            return _BUTTONS.get(event.detail, f"button {event.detail}"), ""
        if kind == "key_up":  # a Shift may be up already: it is the key that went down
            return self._down.pop(event.detail, None) or self._key(event.detail, event.state)
        self._down[event.detail] = self._key(event.detail, event.state)
        return self._down[event.detail]

    def _key(self, keycode: int, state: int) -> tuple[str, str]:
        """Return a key's name and what it types, by the rules of the core protocol."""
        start = (keycode - self._first) * self._per
        row = [*self._keysyms[start : start + self._per], 0, 0, 0, 0, 0, 0][:6]
        base = 4 if state & _LEVEL3 and row[4] else 0
        is_keypad = 0xFF80 <= row[1] <= 0xFFBD
        shifted = bool(state & _SHIFT) != (is_keypad and bool(state & _NUM_LOCK))
        keysym = row[base + 1] if shifted and row[base + 1] else row[base]
        typed = character(keysym)
        if state & _LOCK and typed.isalpha() and row[base] != row[base + 1]:
            typed = typed.swapcase()
        name = _NAMES.get(keysym) or typed or f"keysym {keysym:#x}"
        text = "" if state & (_CONTROL | _ALT | _SUPER) else _TEXTS.get(name, typed)
        return name, text

    def _read_keyboard(self) -> None:
        reply = self._core.GetKeyboardMapping(self._first, 255 - self._first + 1).reply()
        self._keysyms, self._per = list(reply.keysyms), reply.keysyms_per_keycode


if __name__ == "__main__":
    Witness().run()
