"""pyautogui with Pillow, at its fastest: without its pause. Each action is said with the time before it began."""

from __future__ import annotations

import io
import os
import sys
import time

import pyautogui
from measuring import arguments, report
from PIL import ImageGrab

pyautogui.PAUSE = 0
pyautogui.FAILSAFE = False


def _click() -> None:
    pyautogui.click(640, 400)


def _screenshot() -> None:
    # What pyautogui itself does is another program (scrot or gnome-screenshot) where Pillow is not asked.
    ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).save(io.BytesIO(), "PNG")


def main() -> None:
    """Do one thing many times, with a pause between in which the screen comes to rest."""
    given = arguments()
    do = {"click": _click, "screenshot": _screenshot, "type": lambda: pyautogui.write(given["text"])}[given["do"]]
    began, took = [], []
    do()
    time.sleep(0.2)
    for _ in range(given["times"]):
        began.append(time.monotonic_ns())
        do()
        took.append((time.monotonic_ns() - began[-1]) / 1e9)
        time.sleep(0.05)
    sys.stdout.write("\n")
    report(began=began, took=took)


if __name__ == "__main__":
    main()
