"""An X client of its own process that writes down every input event it receives, one JSON object a line.

It shares no code with what it checks: blocking calls, its own window, and the keyboard map looked up as applications do
it, when an event is read.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import xcffib
import xcffib.xproto as x

_client: Any = xcffib
_MASK = (
    x.EventMask.KeyPress
    | x.EventMask.KeyRelease
    | x.EventMask.ButtonPress
    | x.EventMask.ButtonRelease
    | x.EventMask.PointerMotion
    | x.EventMask.Exposure
)
_SPECIAL = {0xFF0D: "\n", 0xFF09: "\t"}
_NAMES = {2: "key_down", 3: "key_up", 4: "button_down", 5: "button_up", 6: "motion"}


def character(keysym: int) -> str:
    """Return what a keysym types."""
    if keysym in _SPECIAL:
        return _SPECIAL[keysym]
    if keysym & 0xFF000000 == 0x01000000:
        return chr(keysym & 0xFFFFFF)
    return chr(keysym) if 0x20 <= keysym <= 0xFF else ""


def say(**fields: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Open a window over the whole screen, take the focus and write down what comes.

    With the argument ``managed`` it is an ordinary window, which a window manager frames and focuses.
    """
    managed = "managed" in sys.argv
    connection = _client.connect()
    screen = connection.get_setup().roots[0]
    core, first = connection.core, connection.get_setup().min_keycode
    window = connection.generate_id()
    core.CreateWindow(
        *(screen.root_depth, window, screen.root, 0, 0, screen.width_in_pixels, screen.height_in_pixels, 0),
        *(x.WindowClass.InputOutput, screen.root_visual),
        *(x.CW.BackPixel | x.CW.OverrideRedirect | x.CW.EventMask, [0x336699, not managed, _MASK]),
    )
    core.MapWindow(window)
    if not managed:
        core.SetInputFocus(x.InputFocus.PointerRoot, window, 0)
    connection.flush()

    def keyboard() -> tuple[list[int], int]:
        reply = core.GetKeyboardMapping(first, 255 - first + 1).reply()
        return list(reply.keysyms), reply.keysyms_per_keycode

    keysyms, per = keyboard()
    core.GetInputFocus().reply()
    say(kind="ready")
    while True:
        event = connection.wait_for_event()
        if isinstance(event, x.MappingNotifyEvent):
            keysyms, per = keyboard()
        name = _NAMES.get(event.response_type & 127)
        if name is None:
            continue
        fields = {
            "x": event.root_x,
            "y": event.root_y,
            "state": event.state,
            "detail": event.detail,
            "time": event.time,
        }
        if name.startswith("key"):
            row = keysyms[(event.detail - first) * per :][:per]
            keysym = row[1] if event.state & 1 and row[1] else row[0]
            text = character(keysym)
            if event.state & 2 and text.isascii():
                text = text.swapcase()
            fields |= {"keysym": keysym, "text": text}
        say(kind=name, **fields)


if __name__ == "__main__":
    main()
