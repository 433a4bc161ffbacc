"""An X window over the whole screen that says when it receives what, on the clock that all processes share.

Lines: ``ready``, then for each event ``up NANOSECONDS`` (a button was released) or ``key NANOSECONDS TEXT`` (a key was
pressed). Blocking calls, and no code of deskhand.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import xcffib
import xcffib.xproto as x

_client: Any = xcffib


def main() -> None:
    """Open the window, take the focus, and write."""
    connection = _client.connect()
    setup = connection.get_setup()
    screen, core = setup.roots[0], connection.core
    window = connection.generate_id()
    mask = x.EventMask.KeyPress | x.EventMask.ButtonRelease
    core.CreateWindow(
        *(screen.root_depth, window, screen.root, 0, 0, screen.width_in_pixels, screen.height_in_pixels, 0),
        *(x.WindowClass.InputOutput, screen.root_visual),
        *(x.CW.BackPixel | x.CW.OverrideRedirect | x.CW.EventMask, [0x336699, 1, mask]),
    )
    core.MapWindow(window)
    core.SetInputFocus(x.InputFocus.PointerRoot, window, 0)
    core.GetInputFocus().reply()
    first = setup.min_keycode
    table = core.GetKeyboardMapping(first, setup.max_keycode - first + 1).reply()
    keysyms, per = list(table.keysyms), table.keysyms_per_keycode
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        event = connection.wait_for_event()
        now = time.monotonic_ns()
        kind = event.response_type & 127
        if kind == 2:
            keysym = keysyms[(event.detail - first) * per + (event.state & 1)]
            text = chr(keysym) if 0x20 <= keysym <= 0xFF else ""
            if text:
                sys.stdout.write(f"key {now} {text}\n")
        elif kind == 5:
            sys.stdout.write(f"up {now}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
